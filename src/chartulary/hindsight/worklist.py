"""Claims that a change touches which became known later: which, in which direction, for how much, by which sentence."""

from __future__ import annotations

import gc
from calendar import monthrange
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

from chartulary import batch
from chartulary.claim import Claim, Event, Line
from chartulary.coding import Coding
from chartulary.errors import Problem
from chartulary.graph import EVENTS
from chartulary.hindsight import Cause, ClaimComparison, Direction, Hindsight, Shift
from chartulary.hindsight.remittances import Adjustment, Fit, PaidLine, Reasons, Remittance, Remittances
from chartulary.readers import MOST_PROBLEMS_WITHOUT_CLAIM, Part, read_part
from chartulary.register import Register
from chartulary.report import Citation, Report
from chartulary.terms import POL

_DENIAL = "denial"
"""The register's name for the event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """A filing limit that a policy sets, counted for a claim."""

    day: date | None
    """The last day; None where the day that it is counted from is not known."""
    provision: str
    label: str
    cites: tuple[Citation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A claim on the list."""

    key: str
    """Names the claim by file, place and identifier, as ``validate`` does."""
    claim: str
    source: str
    where: str
    payer: str
    line_of_business: str
    setting: str
    first_day: date | None
    last_day: date | None
    direction: Direction
    before: str
    """The claim's outcome with what was known on the first day."""
    after: str
    shifts: tuple[Shift, ...]
    lines: tuple[int, ...]
    """Numbers of the lines concerned; all, where it is the claim itself."""
    codes: tuple[str, ...]
    charge: Decimal | None
    """Of the lines concerned."""
    claim_charge: Decimal | None
    paid: Decimal | None
    """For the lines concerned; of the claim where the remittance has no lines for them. None without a remittance."""
    claim_paid: Decimal | None
    remitted_on: date | None
    reasons: tuple[str, ...]
    """Groups and reason codes (CARC) of what was not paid: those of the lines concerned and of the claim."""
    remarks: tuple[str, ...]
    """Remark codes (RARC) likewise."""
    fit: Fit | None
    """Whether a reason tells of what the provisions ask for; None without a remittance."""
    fit_note: str
    causes: tuple[str, ...]
    """IRIs of :attr:`Worklist.causes`."""
    notices: tuple[str, ...]
    """What the same documents tell about this claim: provisions by IRI."""
    deadlines: tuple[Deadline, ...]
    """Filing limits that policies set for this claim, the first to end first; none where no policy sets one."""

    @property
    def file_by(self) -> str:
        """The first deadline, in words; empty where no policy sets one."""
        if not self.deadlines:
            return ""
        return str(self.deadlines[0].day or "not known from when")


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """Claims of one direction and cause together."""

    direction: Direction
    causes: tuple[str, ...]
    claims: int
    lines: int
    charge: Decimal | None
    """Of the lines concerned; None where no claim states one."""
    paid: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Worklist:
    """Claims whose outcome is another with what was known on a second day."""

    register_revision: str
    known: tuple[date | None, date | None]
    entries: tuple[Entry, ...]
    causes: tuple[Cause, ...]
    counts: Counter[str]
    """Claims read, by what became of them: ``listed``, ``same``, ``no remittance``, ``paid``, ``other reason``,
    ``nothing lacking``."""
    problems: tuple[Problem, ...]
    with_remits: bool

    @property
    def totals(self) -> tuple[Total, ...]:
        groups: dict[tuple[Direction, tuple[str, ...]], list[Entry]] = {}
        for entry in self.entries:
            groups.setdefault((entry.direction, tuple(sorted(entry.causes))), []).append(entry)
        return tuple(
            Total(
                direction=direction,
                causes=causes,
                claims=len(entries),
                lines=sum(len(e.lines) for e in entries),
                charge=_sum(e.charge for e in entries),
                paid=_sum(e.paid for e in entries),
            )
            for (direction, causes), entries in groups.items()
        )

    @property
    def months(self) -> dict[str, tuple[int, Decimal]]:
        """Claims and the charge of the lines concerned, by month of service: see :func:`month_of`."""
        found: dict[str, tuple[int, Decimal]] = {}
        for entry in self.entries:
            month = month_of(entry)
            claims, charge = found.get(month, (0, Decimal()))
            found[month] = claims + 1, charge + (entry.charge or Decimal())
        return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is looked for. ``since`` and ``until`` are days of knowledge; None is all that the register holds."""

    since: date | None
    until: date | None = None
    remits: Remittances | None = None
    """With them, only claims that were denied or reduced."""
    any_reason: bool = False
    """Those as well that were denied for a reason which tells of something else, and those that a person had only to
    review and of which the reason tells nothing."""


def worklist(
    files: Sequence[str], settings: batch.Settings, wish: Wish, *, jobs: int = 1, register: Register | None = None
) -> Worklist:
    """Holds the claims in files against what was known on both days; see :func:`chartulary.batch.inputs` for names.

    Raises:
        ChartularyError: as :meth:`Register.load` does, or a worker process was stopped by the system.
    """
    register = register or Register.load(policies=settings.policies, cache=settings.cache)
    hindsight = Hindsight(register, since=wish.since, until=wish.until, unknown=settings.unknown)
    if jobs > 1:
        for snapshot in hindsight.snapshots:  # once, before processes are forked
            _ = snapshot.statements, snapshot.reader
    collects = gc.isenabled()
    try:
        steps = batch.run(files, Maker(settings, wish, hindsight), jobs=jobs)
        return gathered((step.done for step in steps), wish, hindsight)
    finally:
        if collects:
            gc.enable()


def gathered(parts: Iterable[batch.Done], wish: Wish, hindsight: Hindsight) -> Worklist:
    """The list, from what :class:`Pair` made of each part."""
    entries: list[Entry] = []
    problems: list[Problem] = list(wish.remits.problems if wish.remits else ())
    counts: Counter[str] = Counter()
    for done in parts:
        entries += done.written
        problems += done.problems
        counts.update(done.outcomes)
    causes = dict.fromkeys(cause for entry in entries for cause in entry.causes)
    return Worklist(
        register_revision=hindsight.register.revision,
        known=(wish.since, wish.until),
        entries=tuple(entries),
        causes=tuple(map(hindsight.cause, causes)),
        counts=counts,
        problems=tuple(problems),
        with_remits=wish.remits is not None,
    )


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the worker of a process; a forked one has the snapshots already."""

    settings: batch.Settings
    wish: Wish
    hindsight: Hindsight | None = None

    def __call__(self) -> Pair:
        hindsight = self.hindsight
        if hindsight is None:
            register = Register.load(policies=self.settings.policies, cache=self.settings.cache)
            hindsight = Hindsight(register, since=self.wish.since, until=self.wish.until, unknown=self.settings.unknown)
        return Pair(self.settings, self.wish, hindsight)

    def __reduce__(self) -> tuple[type[Maker], tuple[batch.Settings, Wish]]:
        return Maker, (self.settings, self.wish)


class Pair(batch.Worker):
    """Judges each part twice, with what was known on either day, and keeps the claims that fare otherwise."""

    def __init__(self, settings: batch.Settings, wish: Wish, hindsight: Hindsight) -> None:
        before, after = hindsight.snapshots
        super().__init__(settings, list, before)
        self._after = batch.Worker(settings, list, after)
        self._wish, self._hindsight = wish, hindsight
        self._reasons = [Reasons(snapshot.facts) for snapshot in hindsight.snapshots]

    def work(self, part: Part | Problem, source: str) -> batch.Done:
        claims: list[Claim] = []
        problems: list[Problem] = []
        for item in [part] if isinstance(part, Problem) else read_part(part, source=source):
            if isinstance(item, Claim):
                claims.append(item)
            else:
                problems.append(item)
                if len(problems) == MOST_PROBLEMS_WITHOUT_CLAIM and not claims:
                    break
        done = self.hold(claims)
        done.problems = problems + done.problems
        return done

    def hold(self, claims: Iterable[Claim]) -> batch.Done:
        """What becomes of claims that were read."""
        done = batch.Done(written=[])
        waiting: list[tuple[Claim, Remittance | None]] = []
        for claim in claims:
            remittance = self._wish.remits.of(claim) if self._wish.remits else None
            if self._wish.remits and remittance is None:
                done.outcomes["no remittance"] += 1
            elif remittance and not remittance.is_denied_or_reduced:
                done.outcomes["paid"] += 1
            else:
                waiting.append((_told(claim, remittance), remittance))
        self._judge_both(waiting, done)
        return done

    def _judge_both(self, waiting: list[tuple[Claim, Remittance | None]], done: batch.Done) -> None:
        if self._hindsight.same_knowledge:
            done.outcomes["same"] += len(waiting)
            return
        claims = [claim for claim, _ in waiting]
        both = zip(waiting, self.judge(claims), self._after.judge(claims), strict=True)
        for (claim, remittance), before, after in both:
            if isinstance(before, Problem) or isinstance(after, Problem):
                done.problems += [item for item in (before, after) if isinstance(item, Problem)][:1]
                continue
            compared = self._hindsight.beside(before[1], after[1])
            if not compared.differs:
                done.outcomes["same"] += 1
                continue
            entry = self._entry(batch.key_of(claim), claim, compared, remittance)
            lacked = any("violation" in (shift.before, shift.after) for shift in entry.shifts)
            if entry.fit == "does not fit" and not self._wish.any_reason:
                done.outcomes["other reason"] += 1
                continue
            if entry.fit == "not mapped" and not lacked and not self._wish.any_reason:
                # Neither the claim nor the payer says that anything was lacking.
                done.outcomes["nothing lacking"] += 1
                continue
            done.outcomes["listed"] += 1
            done.written.append(entry)

    def _entry(self, key: str, claim: Claim, compared: ClaimComparison, remittance: Remittance | None) -> Entry:
        shifts = compared.decisive
        lines = _lines(claim, shifts)
        report: Report = compared.after
        answers = [paid for line in lines for paid in (remittance.lines_for(line) if remittance else ())]
        answers = list({id(paid): paid for paid in answers}.values())
        fit, reasons, remarks, note = self._fit(remittance, answers, shifts)
        notices = {n.provision for cause in compared.causes for n in self._hindsight.cause(cause).notices}
        told = [f.provision for r in (compared.before, compared.after) for f in r.findings if f.provision in notices]
        first, last = claim.days_of_service(stay=False)
        return Entry(
            key=key,
            claim=claim.id,
            source=claim.source,
            where=claim.where,
            payer=report.payer,
            line_of_business=report.line_of_business,
            setting=report.setting,
            first_day=min((s.first_day for s in shifts if s.first_day), default=None if first == date.min else first),
            last_day=max((s.last_day for s in shifts if s.last_day), default=None if last == date.max else last),
            direction=compared.direction,
            before=compared.before.outcome,
            after=compared.after.outcome,
            shifts=shifts,
            lines=tuple(line.number for line in lines),
            codes=tuple(dict.fromkeys(s.code for s in shifts if s.code)),
            charge=_sum(line.charge for line in lines),
            claim_charge=claim.total_charge,
            paid=_sum(paid.paid for paid in answers) if answers else remittance.paid if remittance else None,
            claim_paid=remittance.paid if remittance else None,
            remitted_on=remittance.day if remittance else None,
            reasons=reasons,
            remarks=remarks,
            fit=fit,
            fit_note=note,
            causes=compared.causes,
            notices=tuple(dict.fromkeys(told)),
            deadlines=tuple(self._deadlines(claim, report)),
        )

    def _deadlines(self, claim: Claim, report: Report) -> list[Deadline]:
        """What the later knowledge tells of the claim with a filing limit."""
        snapshot = self._hindsight.snapshots[1]
        facts = snapshot.facts
        found: dict[str, Deadline] = {}
        for provision in (finding.provision for finding in report.findings):
            days, months = (facts.value(provision, p) for p in (POL.filingLimitDays, POL.filingLimitMonths))
            if provision in found or (days is None and months is None):
                continue
            begins = _counted_from(claim, facts.value(provision, POL.countedFrom), snapshot.coding)
            day = begins and (_months_after(begins, months) if days is None else begins + timedelta(days=days))
            label, cites = snapshot.reader.label(provision), snapshot.reader.cites(provision)
            found[provision] = Deadline(day=day, provision=provision, label=label, cites=cites)
        return sorted(found.values(), key=lambda each: each.day or date.max)

    def _fit(
        self, remittance: Remittance | None, answers: list[PaidLine], shifts: Sequence[Shift]
    ) -> tuple[Fit | None, tuple[str, ...], tuple[str, ...], str]:
        """What was not paid and why, and whether that is what the provisions ask for."""
        if remittance is None:
            return None, (), (), ""
        chosen = answers or remittance.lines
        adjustments: list[Adjustment] = [*remittance.adjustments, *(a for paid in chosen for a in paid.adjustments)]
        remarks = dict.fromkeys((*remittance.remarks, *(code for paid in chosen for code in paid.remarks)))
        fits: list[Fit] = []
        notes: dict[str, None] = {}
        for reasons in self._reasons:
            causes, remarked = reasons.of(adjustments), reasons.of_remarks(remarks)
            provisions = [shift.provision for shift in shifts]
            fits.append(reasons.fit(causes.values(), remarked.values(), provisions))
            for code, reason in (*causes.items(), *remarked.items()):
                notes[f"{code}: {reason.label if reason else 'not mapped'}"] = None
        # A provision may be known on one of the days only, so what fits on either fits.
        fit: Fit = "fits" if "fits" in fits else "not mapped" if "not mapped" in fits else "does not fit"
        return fit, tuple(dict.fromkeys(map(str, adjustments))), tuple(remarks), "; ".join(notes)


def _told(claim: Claim, remittance: Remittance | None) -> Claim:
    """A claim with the denial that the remittance tells of: what a document says of denied claims then speaks of it."""
    if remittance is None or not remittance.has_denial or any(event.kind == _DENIAL for event in claim.history):
        return claim
    return replace(claim, history=(*claim.history, Event(kind=_DENIAL, date=remittance.day)))


def _counted_from(claim: Claim, event: str | None, coding: Coding) -> date | None:
    """The last day of an event of the claim's history; without an event the last day of service."""
    if event is None:
        last = claim.days_of_service(stay=True)[1]
        return None if last == date.max else last
    days = [each.date for each in claim.history if each.date and coding.named(EVENTS, each.kind) == event]
    return max(days, default=None)


def _months_after(day: date, months: int) -> date:
    """The same day so many months later, or the last of a month that is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _lines(claim: Claim, shifts: Sequence[Shift]) -> list[Line]:
    places = {shift.position for shift in shifts}
    return [line for place, line in enumerate(claim.lines, 1) if None in places or place in places]


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """None where no amount is known."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal()) if known else None


def month_of(entry: Entry) -> str:
    """Of the first day of service; empty where none is known."""
    return entry.first_day.isoformat()[:7] if entry.first_day else ""


def by_cause(found: Worklist) -> Iterator[tuple[Total, list[Entry]]]:
    """The entries under their totals, in the order of first sight."""
    for total in found.totals:
        yield (
            total,
            [e for e in found.entries if (e.direction, tuple(sorted(e.causes))) == (total.direction, total.causes)],
        )

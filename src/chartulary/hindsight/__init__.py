"""The register as known on two days: what would have been answered on each, and what makes the difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from chartulary.ask import Answer
from chartulary.claim import Claim
from chartulary.facts import Memory
from chartulary.report import Change, Citation, ClaimOutcome, Finding, Report
from chartulary.terms import LABEL, POL, TYPE

if TYPE_CHECKING:
    from chartulary.engines import EngineName
    from chartulary.facts import Facts
    from chartulary.register import Register, Snapshot
    from chartulary.snapshot import Unknown

Verdict: TypeAlias = Literal["violation", "review", "overridden", "info", "met", "none"]
"""What a provision gives on an item: that of its finding, ``met`` where it was held against it and found nothing, or
``none`` where it was not held against it."""
Certainty: TypeAlias = Literal["certain", "maybe", "none"]
"""Whether a provision answers a question; ``none``: not at all."""
Direction: TypeAlias = Literal[
    "now-conformant",
    "no-longer-governed",
    "newly-in-violation",
    "fewer-violations",
    "more-violations",
    "other-violations",
    "now-to-review",
    "newly-to-review",
    "as-before",
]
DIRECTIONS: Mapping[Direction, str] = {
    "now-conformant": "now conformant",
    "no-longer-governed": "no longer governed by any policy",
    "newly-in-violation": "newly in violation",
    "fewer-violations": "fewer violations than before",
    "more-violations": "more violations than before",
    "other-violations": "other violations than before",
    "now-to-review": "a violation before, now for a person to review",
    "newly-to-review": "newly for a person to review",
    "as-before": "outcome as before",
}
_DECIDE = ("violation", "review")
_ASKED = ("kind", "certainty", "severity", "requires", "prohibits", "when", "unless")
"""What an answer says of a provision; its days and sentences may change and the answer for the day stay as it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A day from which a change was known, or may have been."""

    day: date
    bound: Literal["exact", "earliest", "latest"]
    documents: tuple[str, ...]
    """What came out on the day."""
    says: tuple[str, ...]
    """The register's words of the sentences that tell of the day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that the same document tells, without asking for anything: what to do, and when it applies."""

    provision: str
    label: str
    when: tuple[str, ...]
    cites: tuple[Citation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """An amendment, or a new version of a policy, that was better known on one of the two days than on the other."""

    kind: Literal["amendment", "version"]
    change: Change
    """With its days; a version has no days of service of its own."""
    known: tuple[Certainty, Certainty]
    """On the first day and on the second."""
    published: tuple[Publication, ...]
    notices: tuple[Notice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerChange:
    """A provision that one day's answer has and the other's has not, or has otherwise."""

    provision: str
    label: str
    kind: str
    """``requirement``, ``prohibition`` or ``notice``."""
    before: Certainty
    after: Certainty
    row: Mapping[str, Any]
    """As it is answered, on the first day where it stands there."""
    causes: tuple[str, ...]
    """IRIs of :attr:`Comparison.causes`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One question, answered with what was known on two days."""

    parameters: Mapping[str, str]
    register_revision: str
    known: tuple[date | None, date | None]
    """The two days; None is all that the register holds."""
    before: Answer
    after: Answer
    changes: tuple[AnswerChange, ...]
    causes: tuple[Cause, ...]
    beside: tuple[Cause, ...]
    """What became known in between about the same provisions, and makes no difference on the day asked about."""

    @property
    def same(self) -> bool:
        return not self.changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A provision that judges the claim or a line otherwise than before."""

    provision: str
    label: str
    line: int | None
    position: int | None
    code: str | None
    first_day: date | None
    last_day: date | None
    before: Verdict
    after: Verdict
    expected: str | None
    found: str | None
    cites: tuple[Citation, ...]
    causes: tuple[str, ...]

    @property
    def decides(self) -> bool:
        """Whether it is more than news: a violation or a review, before or after."""
        return self.before in _DECIDE or self.after in _DECIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimComparison:
    """One claim, judged with what was known on two days."""

    direction: Direction
    before: Report
    after: Report
    shifts: tuple[Shift, ...]

    @property
    def decisive(self) -> tuple[Shift, ...]:
        return tuple(shift for shift in self.shifts if shift.decides)

    @property
    def news(self) -> tuple[Shift, ...]:
        """What the later documents tell about the claim without asking for anything, and the like."""
        return tuple(shift for shift in self.shifts if not shift.decides)

    @property
    def differs(self) -> bool:
        """Whether the claim's outcome, or what it is in violation of, is another."""
        return self.before.outcome != self.after.outcome or any(
            "violation" in (shift.before, shift.after) for shift in self.shifts
        )

    @property
    def causes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cause for shift in self.decisive or self.shifts for cause in shift.causes))


class Hindsight:
    """A register on two days of knowledge. ``since`` and ``until`` are days, None is all that the register holds.

    ``snapshots`` are those of the two days, where they are at hand.
    """

    def __init__(
        self,
        register: Register,
        *,
        since: date | None,
        until: date | None,
        unknown: Unknown = "review",
        snapshots: tuple[Snapshot, Snapshot] | None = None,
    ) -> None:
        self.register = register
        self.known = (since, until)
        self.unknown: Unknown = unknown
        self.snapshots = snapshots or (self._snapshot(since), self._snapshot(until))
        self._causes = Memory(self._causes_of)
        self._told = Memory(self._cause)

    def _snapshot(self, day: date | None) -> Snapshot:
        # Days on which as much was known share what is prepared for them.
        return self.register.snapshot(as_known_on=self.register.day_like(day), unknown=self.unknown)

    @property
    def same_knowledge(self) -> bool:
        """Whether nothing at all became known in between."""
        return self.snapshots[0] is self.snapshots[1]

    def cause(self, iri: str) -> Cause:
        """What is known of an amendment or version."""
        return self._told[iri]

    def causes_of(self, *compared: ClaimComparison) -> list[Cause]:
        """What makes the difference for some claims, each once."""
        return [self._told[iri] for iri in dict.fromkeys(iri for each in compared for iri in each.causes)]

    # --- A question ---------------------------------------------------------------------------------------------------

    def compare(self, question: str = "requirements", /, **parameters: str | date) -> Comparison:
        """Answers a question on both days; see :meth:`Register.ask` for its parameters and errors."""
        before, after = (snapshot.ask(question, endpoint=None, **parameters) for snapshot in self.snapshots)
        return self.between(before, after)

    def between(self, before: Answer, after: Answer) -> Comparison:
        """Two answers to one question, given with what was known on the two days."""
        before, after = (replace(a, as_known_on=day) for a, day in zip((before, after), self.known, strict=True))
        old, new = (_by_provision(answer) for answer in (before, after))
        changes: list[AnswerChange] = []
        beside: list[str] = []
        for provision in dict.fromkeys((*old, *new)):
            was, now = old.get(provision), new.get(provision)
            row = was or now or {}
            if was and now and all(was.get(name) == now.get(name) for name in _ASKED):
                beside.extend(self._causes[provision])
                continue
            changes.append(
                AnswerChange(
                    provision=provision,
                    label=str(row.get("label", "")),
                    kind=str(row.get("kind", "")),
                    before=_certainty(was),
                    after=_certainty(now),
                    row=row,
                    causes=self._causes[provision],
                )
            )
        behind = dict.fromkeys(cause for change in changes for cause in change.causes)
        return Comparison(
            parameters=before.parameters,
            register_revision=self.register.revision,
            known=self.known,
            before=before,
            after=after,
            changes=tuple(changes),
            causes=tuple(self._told[iri] for iri in behind),
            beside=tuple(self._told[iri] for iri in dict.fromkeys(beside) if iri not in behind),
        )

    # --- A claim ------------------------------------------------------------------------------------------------------

    def judge(self, claim: Claim, *, engine: EngineName = "auto") -> ClaimComparison:
        """Holds a claim against what was known on each day."""
        before, after = (snapshot.validate(claim, engine=engine) for snapshot in self.snapshots)
        return self.beside(before, after)

    def beside(self, before: Report, after: Report) -> ClaimComparison:
        """Two reports on one claim, made with what was known on the two days."""
        before, after = (replace(r, as_known_on=day) for r, day in zip((before, after), self.known, strict=True))
        old, new = (_by_place(report) for report in (before, after))
        governed = tuple({(g.provision, g.line) for g in report.governed_by} for report in (before, after))
        shifts = []
        for place in sorted({*old, *new}, key=lambda p: (p[0] or 0, p[1])):
            was, now = old.get(place), new.get(place)
            shown = was or now
            assert shown is not None
            verdicts = [
                finding.outcome if finding else "met" if (shown.provision, shown.line) in held else "none"
                for finding, held in zip((was, now), governed, strict=True)
            ]
            if verdicts[0] != verdicts[1]:
                shifts.append(self._shift(shown, now, *verdicts))
        return ClaimComparison(
            direction=_direction(before.outcome, after.outcome, shifts),
            before=before,
            after=after,
            shifts=tuple(shifts),
        )

    def _shift(self, shown: Finding, now: Finding | None, before: Any, after: Any) -> Shift:
        causes = self._causes[shown.provision]
        if not causes and now and now.overridden_by:
            causes = self._causes[now.overridden_by]
        return Shift(
            provision=shown.provision,
            label=shown.label,
            line=shown.line,
            position=shown.position,
            code=shown.code,
            first_day=shown.first_day,
            last_day=shown.last_day,
            before=before,
            after=after,
            expected=shown.expected,
            found=shown.found,
            cites=shown.cites,
            causes=causes,
        )

    # --- What makes the difference ------------------------------------------------------------------------------------

    @cached_property
    def _facts(self) -> tuple[Facts, Facts]:
        return self.snapshots[0].facts, self.snapshots[1].facts

    def _knowledge(self, iri: str) -> tuple[Certainty, Certainty]:
        """Of a thing, on each day."""
        states: list[Certainty] = []
        for facts in self._facts:
            there = bool(facts.objects(iri, TYPE))
            states.append("none" if not there else "maybe" if facts.has(iri, POL.knowledge, POL.Maybe) else "certain")
        return states[0], states[1]

    def _causes_of(self, provision: str) -> tuple[str, ...]:
        """Amendments that end a provision on one day only, else the version that it came with, if that is news."""

        def is_news(iri: str) -> bool:
            before, after = self._knowledge(iri)
            return before != after

        amendments = sorted({str(a) for facts in self._facts for a in facts.objects(provision, POL.endedBy)})
        if found := tuple(filter(is_news, amendments)):
            return found
        version = provision.partition("#")[0]
        return (version,) if is_news(version) else ()

    def _cause(self, iri: str) -> Cause:
        known = self._knowledge(iri)
        # The day on which it is known better tells more of it.
        snapshot = self.snapshots[0 if known[0] == "certain" or known[1] == "none" else 1]
        facts, version = snapshot.facts, iri.partition("#")[0]
        change = snapshot.reader.change(iri)
        told = facts.objects(iri, POL.cites) | facts.objects(version, POL.cites)
        return Cause(
            kind="amendment" if facts.has(iri, TYPE, POL.Amendment) else "version",
            change=change,
            known=known,
            published=tuple(_publications(facts, version, change, sorted(told))),
            notices=tuple(
                Notice(
                    provision=provision,
                    label=snapshot.reader.label(provision),
                    when=tuple(snapshot.reader.label(c) for c in sorted(facts.objects(provision, POL.when))),
                    cites=snapshot.reader.cites(provision),
                )
                for provision in facts.subjects(POL.notice, True)
                if provision.partition("#")[0] == version
            ),
        )


def _publications(facts: Facts, version: str, change: Change, told: list[str]) -> Iterator[Publication]:
    first, last = change.published_earliest, change.published_latest
    sources = sorted(str(s) for s in facts.objects(version, POL.source))
    bounds = {
        source: (
            facts.value(source, POL.publishedOn) or facts.value(source, POL.publishedEarliest),
            facts.value(source, POL.publishedOn) or facts.value(source, POL.publishedLatest),
        )
        for source in sources
    }
    days: list[tuple[date | None, Literal["exact", "earliest", "latest"]]] = (
        [(first, "exact")] if first == last else [(first, "earliest"), (last, "latest")]
    )
    for day, bound in days:
        if day is None:
            continue
        out = [s for s in sources if bounds[s] == (day, day)] or [
            s for s in sources if day == bounds[s][0 if bound == "earliest" else 1]
        ]
        in_words = f"{day.day} {day:%B} {day.year}"
        says = [str(said) for s in told for said in facts.objects(s, POL.says) if in_words in str(said)]
        yield Publication(
            day=day,
            bound=bound,
            documents=tuple(str(facts.value(s, LABEL) or s) for s in out),
            says=tuple(dict.fromkeys(says)),
        )


def _by_provision(answer: Answer) -> dict[str, Mapping[str, Any]]:
    """The provisions of an answer; what an amendment changed is told as a cause."""
    return {str(row["provision"]): row for row in answer if row.get("kind") != "change"}


def _certainty(row: Mapping[str, Any] | None) -> Certainty:
    if row is None:
        return "none"
    return "maybe" if row.get("certainty") == "maybe" else "certain"


def _by_place(report: Report) -> dict[tuple[int | None, str], Finding]:
    return {(finding.position, finding.provision): finding for finding in report.findings}


def _direction(before: ClaimOutcome, after: ClaimOutcome, shifts: list[Shift]) -> Direction:
    gone = sum(shift.before == "violation" for shift in shifts)
    come = sum(shift.after == "violation" for shift in shifts)
    if before != after:
        if after == "violation":
            return "newly-in-violation"
        if after == "needs-review":
            return "now-to-review" if before == "violation" else "newly-to-review"
        return "now-conformant" if after == "conformant" else "no-longer-governed"
    if gone or come:
        return "fewer-violations" if gone > come else "more-violations" if come > gone else "other-violations"
    return "as-before"

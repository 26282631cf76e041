"""What differs between two registers, in words, and which claims fare otherwise.

Rules, shapes and questions are those of the running version on both sides: what differs is policies alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

from chartulary.claim import Claim
from chartulary.errors import ChartularyError, Problem
from chartulary.facts import Text
from chartulary.report import Report
from chartulary.terms import COD, IS_PART_OF, LABEL, PERIOD, POL, ROOT, SKOS, TYPE
from chartulary.workbench.sides import Named, Side, short

What: TypeAlias = Literal["added", "removed", "changed", "ended", "reopened"]
_Reads: TypeAlias = Callable[[], Iterator[Claim | Problem]]

_COMMENT = "http://www.w3.org/2000/01/rdf-schema#comment"
_STATEMENT = f"{ROOT}statement/"
_ORDER = (
    "policy", "version", "amendment", "provision", "criterion", "scope", "payer", "line of business", "setting",
    "kind of request", "validity", "code system", "code", "proposal", "proposal's status", "source", "statement",
    "thing",
)  # fmt: skip
_SLOTS = (POL.when, POL.unless, POL.requires, POL.prohibits)
_DAYS = {POL[name] for name in PERIOD}
_SAID_OTHERWISE = {
    SKOS.altLabel: "other name",
    SKOS.broader: "belongs to",
    SKOS.inScheme: "code system",
    IS_PART_OF: "document",
    POL.cites: "cites",
}
_AT_ONCE = 5000
_FEW = 500
"""Claims that are not worth a set-at-a-time engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing of the register that differs."""

    what: What
    """``ended`` and ``reopened``: a provision that an amendment ends on one side only."""
    kind: str
    iri: str
    label: str
    policy: Named | None
    """The policy that it belongs to; None for what policies share."""
    effective_from: date | None
    """First day of service on which it makes a difference; None where no day bounds it."""
    effective_until: date | None
    period: str
    """The same in words; empty for what has no days."""
    known_since: str
    scopes: tuple[Named, ...]
    """Whom it binds; of an amendment and of what is shared: whom the provisions behind it bind."""
    payers: tuple[Named, ...]
    lines_of_business: tuple[Named, ...]
    by: Named | None
    """The amendment that ends, or no longer ends, the provision."""
    details: tuple[str, ...]
    used_by: tuple[Named, ...]
    """Provisions that it ends (an amendment) or that rest on it (what is shared)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A finding that a claim has on one side only."""

    outcome: str
    """That of the finding; ``governs`` for a provision without a finding."""
    provision: str
    label: str
    line: int | None
    reason: str
    """The change behind it, where one is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimChange:
    """A claim that fares otherwise."""

    claim: str
    source: str
    where: str
    old: str
    new: str
    gone: tuple[Verdict, ...]
    come: tuple[Verdict, ...]

    @property
    def flips(self) -> bool:
        """Whether the claim's outcome is another."""
        return self.old != self.new


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """All that differs between two registers."""

    old: str
    new: str
    old_revision: str
    new_revision: str
    warnings: tuple[str, ...]
    changes: tuple[Change, ...]
    claims_held: int
    """Claims held against both."""
    claims: tuple[ClaimChange, ...]

    @property
    def flips(self) -> tuple[ClaimChange, ...]:
        """Claims whose outcome is another."""
        return tuple(claim for claim in self.claims if claim.flips)


# --- What differs -----------------------------------------------------------------------------------------------------


def compare(old: Side, new: Side, *, claims: Sequence[str] | None = None) -> Difference:
    """All that differs. ``claims`` names files, folders or patterns; None is the claims beside the policies."""
    changes = tuple(_changes(old, new))
    warnings = [*old.warnings, *(text for text in new.warnings if text not in old.warnings)]
    held = 0
    differing: list[ClaimChange] = []
    if old.register.revision != new.register.revision:
        items = _given_claims(claims, warnings) if claims is not None else _claims_beside(old, new, warnings)
        why = _reasons(changes, old, new)
        while chunk := list(islice(items, _AT_ONCE)):
            held += len(chunk)
            differing += _claims_that_differ(chunk, old, new, why)
    return Difference(
        old=old.name,
        new=new.name,
        old_revision=old.register.revision,
        new_revision=new.register.revision,
        warnings=tuple(warnings),
        changes=changes,
        claims_held=held,
        claims=tuple(differing),
    )


def _changes(old: Side, new: Side) -> Iterator[Change]:
    there = set(old.stated.relation(TYPE)) | set(new.stated.relation(TYPE))
    made: list[Change] = []
    for iri in there:
        was, now = iri in old.stated.relation(TYPE), iri in new.stated.relation(TYPE)
        if was and now:
            made += _changed(old, new, iri)
        else:
            made.append(_alone(new if now else old, iri, "added" if now else "removed"))
    told = {change.iri for change in made}

    def says_itself(change: Change) -> bool:
        """A criterion that comes or goes with what names it needs no word of its own."""
        if change.kind != "criterion" or change.what == "changed":
            return False
        side = new if change.what == "added" else old
        return any(user in told for name in (*_SLOTS, POL.member) for user in side.stated.subjects(name, change.iri))

    yield from sorted(
        (change for change in made if not says_itself(change)),
        key=lambda c: (
            c.policy is None,
            c.policy.label if c.policy else "",
            _ORDER.index(c.kind),
            c.what,
            c.label,
            c.iri,
        ),
    )


def _alone(side: Side, iri: str, what: What) -> Change:
    """Something that only one side has."""
    kind = side.kind(iri)
    details: list[str] = []
    ends: set[str] = set()
    days = side.period(iri)
    if kind == "amendment":
        ends = {str(p) for p in side.stated.objects(iri, POL.ends)}
        first = side.stated.value(iri, POL.effectiveFrom) or side.stated.value(iri, POL.effectiveEarliest)
        surely = side.stated.value(iri, POL.effectiveFrom) or side.stated.value(iri, POL.effectiveLatest)
        days = (first or date.min, surely or first or date.min, date.max, date.max)
    if kind in ("amendment", "version") and (day := side.stated.value(iri, POL.implementedOn)):
        details.append(f"in the payer's systems from {day}")
    if kind == "provision":
        for slot in _SLOTS:
            for criterion in side.named(map(str, side.stated.objects(iri, slot))):
                details.append(f"{_words(slot)}: {criterion.label}")
    if kind == "validity":
        details.append("of " + ", ".join(sorted(side.label(c) for c in side.facts.subjects(COD.validity, iri))))
    return _change(side, side, iri, what, days=days, details=details, used_by=ends)


def _changed(old: Side, new: Side, iri: str) -> Iterator[Change]:
    """What differs of a thing that both sides have; for a provision also what amendments do to it."""
    kind = new.kind(iri)
    predicates = sorted(
        {p for side in (old, new) for p, rows in side.stated.relations.items() if iri in rows}, key=_predicate_order
    )
    differing = [p for p in predicates if old.stated.objects(iri, p) != new.stated.objects(iri, p)]
    was, now = old.period(iri), new.period(iri)
    if differing:
        days = None
        if was and now and set(differing) <= _DAYS:
            days = _days_between(was, now)
        details = [text for p in differing for text in _difference(old, new, iri, p)]
        used = set()
        if kind == "code":
            moved = {g for p in differing for g in old.stated.objects(iri, p) ^ new.stated.objects(iri, p)}
            groups = moved if set(differing) <= {SKOS.broader} else {*moved, iri}
            used = {user for group in groups for side in (old, new) for user in side.speaking_of(str(group))}
        elif kind != "amendment":
            used = old.users(iri, kind) | new.users(iri, kind)
        else:
            used = {str(p) for side in (old, new) for p in side.stated.objects(iri, POL.ends)}
        if days is None and kind not in ("amendment", "version"):
            held = [d for p in {iri, *used} for side in (old, new) if (d := side.period(p))]
            days = (min(d[0] for d in held), max(d[3] for d in held)) if held else None
        period = (days[0], days[0], days[1], days[1]) if days else None
        yield _change(old, new, iri, "changed", days=period, details=details, used_by=used)
    if kind != "provision" or not was or not now:
        return
    before, after = (set(map(str, side.facts.objects(iri, POL.endedBy))) for side in (old, new))
    for amendment in sorted(after - before):
        by = Named(iri=amendment, label=new.label(amendment))
        yield _change(old, new, iri, "ended", days=_between(now, was), by=by)
    for amendment in sorted(before - after):
        by = Named(iri=amendment, label=old.label(amendment))
        yield _change(old, new, iri, "reopened", days=_between(was, now), by=by)
    if was != now and before == after and not differing:
        # Its amendment, or the version that it has its days from, says otherwise.
        amended = sorted(before) if was[2:] != now[2:] else []
        through = Named(iri=amended[0], label=new.label(amended[0])) if amended else None
        first, last = _days_between(was, now)
        details = [f"held {in_words(was)}, now {in_words(now)}"]
        if was[:2] == now[:2] and _until(was) and _until(now):
            details = [f"last day: {_until(was)} → {_until(now)}"]
        yield _change(old, new, iri, "changed", days=(first, first, last, last), by=through, details=details)


_Days: TypeAlias = tuple[date, date, date, date]


def _between(ended: _Days, held: _Days) -> _Days:
    """The days on which a provision holds on one side and, being ended, not on the other."""
    return (_next(ended[2]), _next(ended[3]), held[2], held[3])


def _days_between(was: _Days, now: _Days) -> tuple[date, date]:
    """First and last day that only one of two periods has, or both as a whole where they differ at both ends."""
    if was[2:] == now[2:] and was[0] == was[1] and now[0] == now[1]:
        return min(was[0], now[0]), _next(max(was[0], now[0]), -1)
    if was[:2] == now[:2] and was[2] == was[3] and now[2] == now[3]:
        return _next(min(was[3], now[3])), max(was[3], now[3])
    return min(was[0], now[0]), max(was[3], now[3])


def _next(day: date, step: int = 1) -> date:
    return day + timedelta(days=step) if date.min < day < date.max else day


def _change(
    old: Side,
    new: Side,
    iri: str,
    what: What,
    *,
    days: _Days | None = None,
    details: Iterable[str] = (),
    used_by: AbstractSet[str] = frozenset(),
    by: Named | None = None,
) -> Change:
    side = old if what in ("removed", "reopened") else new
    kind = side.kind(iri)
    bound = {iri} if kind == "provision" else used_by
    scopes = {str(s) for each in (old, new) for p in bound for s in each.stated.objects(p, POL.scope)}
    users = {
        user.iri: user for each in (old, new) for user in each.named(u for u in used_by if each.kind(u) != "thing")
    }

    def of_scopes(name: str) -> tuple[Named, ...]:
        found = {str(o): each for each in (old, new) for s in scopes for o in each.stated.objects(s, name)}
        return tuple(sorted((Named(iri=o, label=e.label(o)) for o, e in found.items()), key=lambda n: n.label))

    return Change(
        what=what,
        kind=kind,
        iri=iri,
        label=side.label(iri),
        policy=side.policy(iri),
        effective_from=days[0] if days and days[0] > date.min else None,
        effective_until=days[3] if days and days[3] < date.max else None,
        period=in_words(days) if days else "",
        known_since=side.known_since(by.iri if by else iri),
        scopes=new.named(s for s in scopes if new.kind(s) == "scope") or old.named(scopes),
        payers=of_scopes(POL.payer),
        lines_of_business=of_scopes(POL.lineOfBusiness),
        by=by,
        details=tuple(details),
        used_by=tuple(sorted(users.values(), key=lambda n: (n.label, n.iri))),
    )


def in_words(days: _Days) -> str:
    """``from 2019-08-07 to 2025-06-25``; days that are known within bounds only are said so."""
    first, surely, last_sure, last = days
    begins = "" if first == date.min else f"{first}" if first == surely else f"some day from {first} to {surely}"
    if begins and first != surely:
        begins = f"some day between {first} and {surely}" if surely < date.max else f"{first} or later"
    ends = _until(days)
    if not begins and not ends:
        return "on every day of service"
    if first == last and begins:
        return f"on {first}"
    return " ".join(part for part in (f"from {begins}" if begins else "", f"until {ends}" if ends else "") if part)


def _until(days: _Days) -> str:
    *_, surely, last = days
    if last == date.max:
        return "" if surely == date.max else f"{surely} or later"
    return str(last) if surely == last or surely == date.max else f"some day between {surely} and {last}"


# --- Differences in words ---------------------------------------------------------------------------------------------

_PREDICATES = (
    LABEL, SKOS.altLabel, *sorted(_DAYS), POL.publishedOn, POL.implementedOn, POL.scope, POL.about, POL.checks, *_SLOTS,
    POL.severity, POL.overrides, POL.suspends, POL.member, POL.expects,
)  # fmt: skip


def _predicate_order(predicate: str) -> tuple[int, str]:
    known = _PREDICATES.index(predicate) if predicate in _PREDICATES else len(_PREDICATES)
    return (known + (predicate == POL.cites), predicate)


def _words(predicate: str) -> str:
    """A property's name in words: ``effectiveFrom`` is “effective from”."""
    name = predicate.rsplit("/", 1)[-1].rsplit("#", 1)[-1]
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
    return _SAID_OTHERWISE.get(predicate, spaced)


def _value(side: Side, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and not isinstance(value, Text):
        if value.startswith(_STATEMENT):
            return value.removeprefix(_STATEMENT)
        if not side.stated.objects(value, LABEL):
            return short(value).removeprefix("def/").rpartition("#")[2]
        return f"“{side.label(value)}”"
    text = " ".join(str(value).split())
    return f"“{text[:117]}…”" if len(text) > 118 else f"“{text}”" if isinstance(value, Text) else text


def _difference(old: Side, new: Side, iri: str, predicate: str) -> Iterator[str]:
    """What one property says otherwise."""
    gone = old.stated.objects(iri, predicate) - new.stated.objects(iri, predicate)
    come = new.stated.objects(iri, predicate) - old.stated.objects(iri, predicate)
    name = _words(predicate)
    if predicate in (*_SLOTS, POL.member):
        yield from _criteria_difference(old, new, name, set(map(str, gone)), set(map(str, come)))
    elif predicate == _COMMENT:
        yield "the comment reads otherwise"
    elif len(gone) == len(come) == 1:
        yield f"{name}: {_value(old, next(iter(gone)))} → {_value(new, next(iter(come)))}"
    else:
        now, was = sorted(_value(new, v) for v in come), sorted(_value(old, v) for v in gone)
        yield from _come_and_gone(name, now, was, had=bool(old.stated.objects(iri, predicate)))


def _come_and_gone(name: str, come: Sequence[str], gone: Sequence[str], *, had: bool = True) -> Iterator[str]:
    if come:
        yield f"{name}: now {'also ' if had and not gone else ''}{', '.join(come)}"
    if gone:
        yield f"{name}: no longer {', '.join(gone)}"


def _criteria_difference(old: Side, new: Side, name: str, gone: set[str], come: set[str]) -> Iterator[str]:
    """Criteria of one place that differ, compared by what they ask and not by what they are called."""
    for mine in sorted(gone):
        same = next((other for other in sorted(come) if _form(old, mine) == _form(new, other)), None)
        if same:
            gone, come = gone - {mine}, come - {same}
            yield f"{name}: “{old.label(mine)}” → “{new.label(same)}”, the same condition under another name"
    if len(gone) == len(come) == 1:
        (mine,), (other,) = gone, come
        inner = "; ".join(_deep(old, new, mine, other))
        yield f"{name}: “{old.label(mine)}” → “{new.label(other)}”" + (f" ({inner})" if inner else "")
        return
    yield from _come_and_gone(
        name, sorted(f"“{new.label(c)}”" for c in come), sorted(f"“{old.label(c)}”" for c in gone)
    )


_OF_NO_EFFECT = {TYPE, LABEL, _COMMENT, POL.cites}


def _form(side: Side, criterion: str, above: tuple[str, ...] = ()) -> object:
    """A criterion by what it asks: kind, properties and members, whatever it is called."""
    said: list[object] = [sorted(map(str, side.stated.objects(criterion, TYPE)))]
    for predicate, rows in sorted(side.stated.relations.items()):
        if criterion not in rows or predicate in _OF_NO_EFFECT:
            continue
        if predicate == POL.member and criterion not in above:
            forms = [_form(side, str(member), (*above, criterion)) for member in rows[criterion]]
            said.append((predicate, sorted(forms, key=repr)))
        else:
            said.append((predicate, sorted(map(str, rows[criterion]))))
    return said


def _deep(old: Side, new: Side, mine: str, other: str, depth: int = 0) -> Iterator[str]:
    """What one criterion asks that another in its place does not."""
    kinds = (_value(old, old.stated.value(mine, TYPE)), _value(new, new.stated.value(other, TYPE)))
    if kinds[0] != kinds[1]:
        yield f"{_words(kinds[0])} → {_words(kinds[1])}"
    said = {p for side, c in ((old, mine), (new, other)) for p, rows in side.stated.relations.items() if c in rows}
    for predicate in sorted(said - _OF_NO_EFFECT, key=_predicate_order):
        gone = old.stated.objects(mine, predicate) - new.stated.objects(other, predicate)
        come = new.stated.objects(other, predicate) - old.stated.objects(mine, predicate)
        name = _words(predicate)
        if predicate == POL.member and depth < 3:
            yield from _criteria_difference(old, new, name, set(map(str, gone)), set(map(str, come)))
        elif len(gone) == len(come) == 1:
            yield f"{name} {_value(old, next(iter(gone)))} → {_value(new, next(iter(come)))}"
        else:
            now, was = sorted(_value(new, v) for v in come), sorted(_value(old, v) for v in gone)
            yield from _come_and_gone(name, now, was, had=bool(old.stated.objects(mine, predicate)))


# --- Claims -----------------------------------------------------------------------------------------------------------


def _claims_beside(old: Side, new: Side, warnings: list[str]) -> Iterator[Claim]:
    """The claims of both sides' suites; where a file is on both, as the new side has it."""
    from chartulary.readers import read_claims_from

    files: dict[str, tuple[Side, Path]] = {}
    for side in (old, new):
        for folder in side.folder.rglob("claims"):
            for path in folder.rglob("*") if folder.is_dir() else ():
                if path.is_file():
                    files[path.relative_to(side.folder).as_posix()] = side, path
    read = (
        read_claims_from(path.read_bytes(), source=f"{side.shown}{name}")
        for name, (side, path) in sorted(files.items())
    )
    yield from _only_claims((item for items in read for item in items), warnings)


def _given_claims(names: Sequence[str], warnings: list[str]) -> Iterator[Claim]:
    """The claims of files, folders and patterns, each file once."""
    from chartulary import batch
    from chartulary.readers import read_claims

    files: dict[Path, str] = {}
    for name in names:
        inside = list(batch.inputs([name]))
        if inside == [name] and not Path(name).exists():
            raise ChartularyError(f"{name}: no such file or folder")
        # Suites and policies lie among the claims of a whole register.
        folder = Path(name).is_dir()
        for path in inside:
            if not (
                folder and (path.endswith("suite.toml") or "claims" not in Path(path).parts and path.endswith(".ttl"))
            ):
                files.setdefault(Path(path).resolve(), path)
    yield from _only_claims((item for path in files.values() for item in read_claims(path)), warnings)


def _only_claims(items: Iterable[Claim | Problem], warnings: list[str]) -> Iterator[Claim]:
    problems: Counter[str] = Counter()
    for item in items:
        if isinstance(item, Claim):
            yield item
        elif not item.warning:
            problems[item.source] += 1
    if problems:
        first = min(problems)
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        warnings.append(f"{first}{more}: could not be read in full; chartulary validate says why")


def _claims_that_differ(claims: list[Claim], old: Side, new: Side, why: Callable[[str], str]) -> Iterator[ClaimChange]:
    engine: Literal["python", "sql"] = "python" if len(claims) < _FEW else "sql"
    before = old.register.snapshot().validate_all(claims, engine=engine)
    after = new.register.snapshot().validate_all(claims, engine=engine)
    for was, now in zip(before, after, strict=True):
        gone, come = _verdicts(was) - _verdicts(now), _verdicts(now) - _verdicts(was)
        if was.outcome == now.outcome and not gone and not come:
            continue
        if not gone and not come:
            gone, come = _governing(was) - _governing(now), _governing(now) - _governing(was)
        yield ClaimChange(
            claim=was.claim,
            source=was.source,
            where=was.where,
            old=was.outcome,
            new=now.outcome,
            gone=_told(gone, was, why),
            come=_told(come, now, why),
        )


_Verdict: TypeAlias = tuple[int, str, str]


def _verdicts(report: Report) -> Counter[_Verdict]:
    return Counter((f.line or 0, f.provision, f.outcome) for f in report.findings)


def _governing(report: Report) -> Counter[_Verdict]:
    return Counter((g.line or 0, g.provision, "governs") for g in report.governed_by)


def _told(verdicts: Counter[_Verdict], report: Report, why: Callable[[str], str]) -> tuple[Verdict, ...]:
    labels = {f.provision: f.label for f in report.findings} | {g.provision: g.label for g in report.governed_by}
    return tuple(
        Verdict(outcome=outcome, provision=provision, label=labels[provision], line=line or None, reason=why(provision))
        for line, provision, outcome in sorted(verdicts.elements())
    )


def _reasons(changes: Iterable[Change], old: Side, new: Side) -> Callable[[str], str]:
    """Says which change is behind what becomes of a provision's finding."""
    own: dict[str, str] = {}
    shared: dict[str, str] = {}
    ways = {"ended": "ended by", "reopened": "no longer ended by", "changed": "ends otherwise by"}
    for change in changes:
        if change.kind == "provision":
            text = f"{ways[change.what]} “{change.by.label}”" if change.by else f"provision {change.what}"
            own.setdefault(change.iri, text)
        elif change.kind != "amendment":
            for user in change.used_by:
                shared.setdefault(user.iri, f"{change.kind} “{change.label}” {change.what}")

    def why(provision: str) -> str:
        if told := own.get(provision) or shared.get(provision):
            return told
        for side in (old, new):
            for name in (POL.overrides, POL.outranks):
                for stronger in side.facts.subjects(name, provision):
                    if told := own.get(stronger) or shared.get(stronger):
                        return f"“{side.label(stronger)}”, which goes before it: {told}"
        return ""

    return why

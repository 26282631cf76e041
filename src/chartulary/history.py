"""What a code was asked for over dates of service, and as known on which days: lines for a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

from chartulary import question
from chartulary.book import Contents
from chartulary.errors import ChartularyError
from chartulary.formats import published
from chartulary.question import Ground, Subject
from chartulary.register import Register, Snapshot
from chartulary.snapshot import FIRST_DAY, LAST_DAY, span
from chartulary.terms import COD, IS_PART_OF, POL
from chartulary.timeline import Row

_AROUND = 184
"""Days to show before the first change and after the last."""
_PERIOD = (POL.possibleFrom, POL.certainFrom, POL.certainUntil, POL.possibleUntil)
_ORDER = ("code", "requirement", "prohibition", "notice")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """Days of service, first and last included, on which something surely holds (``certain``) or may (``possible``)."""

    kind: str
    first: date
    last: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Line(Row):
    """A rule, a change, or the days of a code itself, with what a reader of a picture must know besides."""

    spans: tuple[Span, ...] = ()
    scope: str = ""
    """What it binds; of a payer's own rules without the payer's name."""
    when: tuple[str, ...] = ()
    """Conditions under which it asks; without any it asks always."""
    judged: bool = False
    """Whether a person decides, and not the claim alone."""
    own: bool = True
    """Whether it is this payer's, and not every payer's."""
    source: str = ""
    """The documents that it rests on."""
    out: str = ""
    """When it came out, in words."""
    ends: tuple[str, ...] = ()
    """The rules that a change ends."""


@dataclass(frozen=True, slots=True)
class Band:
    """What was known of some rules on some days: the first and the last of these, None where there is no end."""

    first: date | None
    last: date | None
    maybe: bool
    """Whether no source says on which of these days the change came out."""
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Hindsight:
    """Rules that began or ended for days of service before anyone could know it."""

    labels: tuple[str, ...]
    some: bool
    """Whether each of them asks of some claims only."""
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The answer, over the days of service between two days, both included."""

    subject: str
    payer: str
    asked: str
    """What else was asked, in words."""
    first: date
    last: date
    lines: tuple[Line, ...]
    hindsight: tuple[Hindsight, ...]
    notices: int
    """Rules that only tell something, and are left out."""
    revision: str
    as_known_on: date | None

    @property
    def title(self) -> str:
        return f"{self.subject} under {self.payer}, by date of service"

    @property
    def known(self) -> str:
        day = f"as known on {self.as_known_on}" if self.as_known_on else "all that the register holds"
        return f"{self.asked}; {day}; register {self.revision}"

    def within(self, spans: Iterable[Span]) -> tuple[Span, ...]:
        """What of some spans lies in the picture."""
        return tuple(
            Span(each.kind, max(each.first, self.first), min(each.last, self.last))
            for each in spans
            if each.first <= self.last and each.last >= self.first
        )

    @property
    def changes(self) -> list[Line]:
        """The changes with a day of their own in the picture."""
        return [
            line
            for line in self.lines
            if line.kind == "change" and any(self.first <= day <= self.last for day in line.days)
        ]

    @property
    def parts(self) -> tuple[list[list[Line]], list[Line]]:
        """Each change of the picture after the rules that it ends; and the rules that no such change touches."""
        groups: list[list[Line]] = []
        used: set[str] = set()
        shown = [line for line in self.lines if self.within(line.spans)]
        for change in self.changes:
            ended = [line for line in shown if line.target in change.ends and line.target not in used]
            used |= {line.target for line in ended}
            groups.append([*ended, change])
        return groups, [line for line in shown if line.kind != "code" and line.target not in used]

    def throughout(self, line: Line) -> bool:
        """Whether a rule surely holds on every day of the picture."""
        return self.within(line.spans) == (Span("certain", self.first, self.last),)


def read(
    register: Register,
    given: Mapping[str, str],
    *,
    first: date | None = None,
    last: date | None = None,
    as_known_on: date | None = None,
) -> History:
    """The history of a code or a product.

    ``given`` are the parameters of the question ``requirements`` but the day of service. ``first`` and ``last`` bound
    the days of service; without them the picture shows every change since the code came into use.

    Raises:
        ChartularyError: a parameter names nothing in the register, or the register holds nothing on it.
    """

    def at(day: date) -> Snapshot:
        return register.snapshot(as_known_on=register.day_like(day))

    ground = Ground(register.snapshot(as_known_on=as_known_on))
    return trace(ground, at, given, first=first, last=last, as_known_on=as_known_on)


def trace(
    ground: Ground,
    at: Callable[[date], Snapshot],
    given: Mapping[str, str],
    *,
    first: date | None = None,
    last: date | None = None,
    as_known_on: date | None = None,
) -> History:
    """The same for those who keep snapshots themselves: ``ground`` is what was known on ``as_known_on``, ``at`` gives
    what was known on another day."""
    form = question.read(ground, given, LAST_DAY)
    for name, fault in form.errors.items():
        raise ChartularyError(f"--{name}: {fault}")
    assert form.subject is not None
    found = ground.ever(form.subject, *form.values.items())
    if not found:
        raise ChartularyError(
            "the register holds nothing on this; that is not to say that nothing applies"
            + (f" (as known on {as_known_on})" if as_known_on else "")
        )
    lines = [_line(ground, node, kind, form.values["payer"]) for node, kind in found.items()]
    lines += _codes(ground, form.subject)
    # What only tells is left out, but where the day decides whether it still does.
    shown = [line for line in lines if line.kind != "notice" or line.spans[-1].last < LAST_DAY]
    if not any(line.kind != "code" for line in shown):
        shown = lines
    first, last = _window(shown, first, last)
    label = ground.reader.label
    return History(
        subject=form.subject.label,
        payer=label(form.values["payer"]),
        asked=", ".join(label(form.values[name]) for name in ("setting", "lob", "request")),
        first=first,
        last=last,
        lines=tuple(sorted(shown, key=_order)),
        hindsight=tuple(_hindsight(ground, at, shown, (first, last), as_known_on)),
        notices=len(lines) - len(shown),
        revision=ground.register.revision,
        as_known_on=as_known_on,
    )


def _order(line: Line) -> tuple[int, date, date, str]:
    kind = "requirement" if line.kind == "change" else line.kind
    first, last = (line.spans[0].first, line.spans[-1].last) if line.spans else (FIRST_DAY, FIRST_DAY)
    return _ORDER.index(kind), first, last, line.label


def _line(contents: Contents, node: str, kind: str, payer: str) -> Line:
    facts, label = contents.facts, contents.reader.label
    version = node.partition("#")[0]
    told = contents.bounds(node, "published")
    told = told if any(told) else contents.bounds(version, "published")
    source = _source(contents, node)
    out = f"published {published(span(*told))}" if any(told) else "undated"
    if kind == "change":
        return Line(
            kind=kind,
            label=label(node),
            told=f"for services from {contents.since(node)}",
            target=node,
            starts=contents.starts(node),
            published=told,
            implemented=facts.value(node, POL.implementedOn) or facts.value(version, POL.implementedOn),
            ends=tuple(sorted(facts.objects(node, POL.ends))),
            source=source,
            out=out,
        )
    scope = facts.value(node, POL.scope)
    named = facts.objects(scope, POL.payer)
    when = [*contents.labels(facts.objects(node, POL.when))]
    when += [f"not: {each}" for each in contents.labels(facts.objects(node, POL.unless))]
    return Line(
        kind=kind,
        label=label(node),
        told=contents.period(node).words,
        target=node,
        spans=_spans(contents, node),
        published=told,
        scope=label(scope).removeprefix(f"{label(payer)}: "),
        when=tuple(when),
        judged=contents.severity(node) == "review",
        own=not all(each.endswith("/any") for each in named),
        source=source,
        out=out,
    )


def _spans(contents: Contents, node: str) -> tuple[Span, ...]:
    """The days on which a rule holds, in order and without overlap."""
    begins, sure, ends, until = (contents.facts.value(node, name) for name in _PERIOD)
    if sure > ends:
        parts = [("possible", begins, until)]
    else:
        parts = [
            ("possible", begins, sure - _DAY if sure > FIRST_DAY else FIRST_DAY),
            ("certain", sure, ends),
            ("possible", ends + _DAY if ends < LAST_DAY else LAST_DAY, until),
        ]
        if sure == begins:
            parts = parts[1:]
        if ends == until:
            parts = parts[:-1]
    return tuple(Span(*part) for part in parts)


def _codes(contents: Contents, subject: Subject) -> Iterator[Line]:
    """The days on which the code itself may be billed, if one was asked about and the register says."""
    if subject.codes != (subject.iri,):
        return
    facts = contents.facts
    seen: dict[tuple[Span, ...], str] = {}
    for validity in sorted(facts.objects(subject.iri, COD.validity)):
        seen.setdefault(_spans(contents, validity), validity)
    for spans, validity in seen.items():
        told = contents.period(validity).words
        source = _source(contents, validity)
        yield Line(kind="code", label="The code may be billed", told=told, target=validity, spans=spans, source=source)


def _source(contents: Contents, node: str) -> str:
    """The documents that something rests on."""
    facts = contents.facts
    return ", ".join(contents.labels({facts.value(cited, IS_PART_OF) for cited in facts.objects(node, POL.cites)}))


def _window(lines: list[Line], first: date | None, last: date | None) -> tuple[date, date]:
    """Whole months around all days on which the answer changes, since the code came into use."""
    begins = min((line.spans[0].first for line in lines if line.kind == "code"), default=FIRST_DAY)
    days = [day for line in lines for day in (*line.days, *(d for s in line.spans for d in (s.first, s.last)))]
    days = [day for day in days if max(begins, FIRST_DAY + _DAY) <= day < LAST_DAY]
    days = days or [day for day in (first, last) if day]
    if not days:
        raise ChartularyError("no rule on this begins, ends or came out on a stated day: give --from or --until")
    low = first or _moved(min(days) if not last else min(*days, last), -_AROUND).replace(day=1)
    high = last or _moved(_moved(max(*days, low), _AROUND).replace(day=28), 4).replace(day=1) - _DAY
    high = min(high, LAST_DAY - _DAY)  # there must be a day after
    if low > high:
        raise ChartularyError(f"--from {low} is after --until {high}")
    return low, high


def _moved(day: date, days: int) -> date:
    """Some days later, as far as the calendar goes."""
    return date.fromordinal(min(max(day.toordinal() + days, FIRST_DAY.toordinal()), LAST_DAY.toordinal()))


# --- Days of knowledge ------------------------------------------------------------------------------------------------


def _hindsight(
    ground: Contents,
    at: Callable[[date], Snapshot],
    lines: list[Line],
    shown: tuple[date, date],
    as_known_on: date | None,
) -> Iterator[Hindsight]:
    """Rules that began or ended before that came out, with what was known of them before, between and after."""
    first, last = shown
    late: dict[str, list[Line]] = {}
    for line in lines:
        begins = _begins(line)
        if not line.published or line.published[0] is None:
            continue  # it may have been known all the time
        out = line.published[1] or line.published[0]
        if begins and begins < out and begins <= last and out >= first:
            for rule in line.ends if line.kind == "change" else (line.target,):
                if line.kind == "change" or begins > first:
                    late.setdefault(rule, []).append(line)
    alike: dict[tuple[Band, ...], list[Line]] = {}
    for line in lines:
        if told := late.get(line.target):
            cuts = sorted({day for each in told for day in each.published or () if day})
            days = [cut - _DAY for cut in cuts if cut <= (as_known_on or LAST_DAY)]
            known = [*((day, Contents(at(day))) for day in days), (as_known_on, ground)]
            alike.setdefault(tuple(_bands(known, line.target, shown, cuts[-1])), []).append(line)
    for bands, rules in alike.items():
        if len({band.spans for band in bands}) > 1:
            # What was known before the change was known since the last of the rules came out.
            own = max((day for rule in rules for day in rule.published or () if day), default=None)
            if own and bands[0].spans and bands[0].last and own <= bands[0].last:
                bands = (replace(bands[0], first=own), *bands[1:])
            yield Hindsight(tuple(sorted(rule.label for rule in rules)), all(rule.when for rule in rules), bands)


def _begins(line: Line) -> date | None:
    """The latest that the first day of service of a rule or a change may be; None where none is stated."""
    if line.kind == "change":
        return max((day for day in line.starts or () if day), default=None)
    sure = next((each.first for each in line.spans if each.kind == "certain"), None)
    return sure if sure and sure > FIRST_DAY and line.kind not in ("code", "notice") else None


def _bands(known: list[tuple[date | None, Contents]], rule: str, shown: tuple[date, date], out: date) -> Iterator[Band]:
    """``known``: days on which some of it became known the day after, and the last day, with what was known."""
    begins: date | None = None
    for until, contents in known:
        spans = _spans(contents, rule) if contents.facts.value(rule, POL.possibleFrom) else ()
        spans = tuple(
            Span(each.kind, max(each.first, shown[0]), min(each.last, shown[1]))
            for each in spans
            if each.first <= shown[1] and each.last >= shown[0]
        )
        yield Band(begins, until, bool(begins and begins < out), spans)
        begins = until + _DAY if until else None

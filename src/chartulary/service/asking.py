"""What a code or a product is asked for: rows of the question ``requirements``, ready for a page.

A page asks the same question as programs do, for each code that what was typed stands for. Nothing is decided here.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import urlencode

from chartulary.book import Contents
from chartulary.coding import folded
from chartulary.facts import Facts
from chartulary.formats import period, published
from chartulary.register import Snapshot
from chartulary.service.drawing import Drawing, draw
from chartulary.snapshot import FIRST_DAY, LAST_DAY
from chartulary.terms import COD, IS_PART_OF, POL, SKOS, TYPE
from chartulary.timeline import Row

QUESTION = "requirements"
_KINDS = {"payer": POL.Payer, "setting": POL.Setting, "lob": POL.LineOfBusiness, "request": POL.Request}
_FIRST_QUOTES = 2
_MOST_CODES = 40
_TIMELINES_KEPT = 128


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of a source, and what the register makes of it."""

    statement: str
    document: str
    section: str
    quote: str
    says: str
    ambiguity: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Card:
    """A row of the answer: a rule that held on the day, or a change that had ended one by then."""

    iri: str
    kind: str
    maybe: bool
    severity: str
    label: str
    about: tuple[str, ...]
    """The codes, or groups of them, that it or what it ended is about."""
    needs: tuple[str, ...]
    prohibits: tuple[str, ...]
    when: tuple[str, ...]
    unless: tuple[str, ...]
    days: str
    since: str
    """A change's first day of service."""
    began: date | None
    """The earliest that this may be."""
    scope: str
    version: str
    version_label: str
    published: str
    implemented: str
    quotes: tuple[Quote, ...]
    changes: tuple[Mapping[str, Any], ...]
    nearness: int
    """0 where it, or what it ended, names the very code; 1 where it reaches it through a group."""

    @property
    def spot(self) -> str:
        """Its place on the page."""
        return "p-" + self.iri.rpartition("/")[2].replace("#", "-")

    @property
    def first_quotes(self) -> tuple[Quote, ...]:
        return self.quotes[:_FIRST_QUOTES]

    @property
    def more_quotes(self) -> tuple[Quote, ...]:
        return self.quotes[_FIRST_QUOTES:]


@dataclass(frozen=True, slots=True)
class Subject:
    """What was typed, as codes to ask about."""

    label: str
    iri: str
    codes: tuple[str, ...]
    naming: frozenset[str] | None = None
    """Only rules that name it: where no rule is about it, as with a modifier; None takes every rule about the codes."""


@dataclass
class Form:
    """What was asked, field by field, and what is wrong with it."""

    given: Mapping[str, str]
    errors: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    """The things named, by field."""
    subject: Subject | None = None
    day: date = LAST_DAY
    as_known_on: date | None = None

    def get(self, name: str) -> str:
        return self.given.get(name, "")

    @property
    def asked(self) -> bool:
        """Whether anything was asked at all."""
        return bool(self.given)

    def with_(self, **changed: object) -> str:
        """The address of the same question with some of it changed; None leaves a field out."""
        fields = {**self.given, **{name.replace("_", "-"): value for name, value in changed.items()}}
        return "?" + urlencode({name: str(value) for name, value in fields.items() if value})


def choices(contents: Contents, name: str) -> list[tuple[str, str]]:
    """Values and labels of a field with few: what is for anyone first, strangers left out."""
    kind = _KINDS[name]
    things = [
        thing for thing in contents.by_label(contents.facts.subjects(TYPE, kind)) if _last(thing) != "unrecognised"
    ]
    if name == "payer":  # who is asked must be said
        things = [thing for thing in things if _last(thing) != "any"]
    things.sort(key=lambda thing: _last(thing) != "any")
    if name == "request":
        default = _default(contents, name)
        things.sort(key=lambda thing: _last(thing) != default)
    return [(_last(thing), contents.reader.label(thing)) for thing in things]


def suggestions(contents: Contents) -> list[tuple[str, str]]:
    """Codes and products that can be typed, with their labels."""
    facts, label = contents.facts, contents.reader.label
    found: list[tuple[str, str]] = []
    for code in facts.subjects(TYPE, COD.Code):
        scheme = facts.value(code, SKOS.inScheme)
        notation = facts.value(code, SKOS.notation)
        if notation is not None and scheme and facts.has(scheme, COD.onEveryClaim, True):
            words = label(code)
            found.append((str(notation), f"{words} ({label(scheme)})" if words == str(notation) else words))
        elif facts.subjects(COD.describes, code):
            found.append((label(code), label(scheme) if scheme else ""))
    return sorted(set(found))


def read(contents: Contents, given: Mapping[str, str], today: date) -> Form:
    """The question that a form asks; what cannot be understood is said at its field."""
    form = Form(given)
    coding = contents.snapshot.coding
    for name, kind in _KINDS.items():
        text = form.get(name).strip()
        default = _default(contents, name)
        if not text and default is None:
            form.errors[name] = "choose one"
            continue
        thing = coding.named(kind, text or str(default))
        if thing is None:
            form.errors[name] = f"the register has no {name} “{text}”{_near(text, coding.names(kind))}"
        else:
            form.values[name] = thing
    text = form.get("dos").strip()
    try:
        form.day = date.fromisoformat(text) if text else today
    except ValueError:
        form.errors["dos"] = f"“{text}” is not a day (yyyy-mm-dd)"
    text = form.get("code").strip()
    if not text:
        form.errors["code"] = "give a code or a product"
    else:
        form.subject = _subject(contents, text, form.values.get("payer"))
        if form.subject is None:
            names = [value for value, _ in suggestions(contents)]
            form.errors["code"] = f"the register has no code or product “{text}”{_near(text, names)}"
    return form


def _default(contents: Contents, name: str) -> str | None:
    parameters = contents.register.queries[QUESTION].parameters
    default = next(parameter.default for parameter in parameters if parameter.name == name)
    return default.partition(":")[2] if default else None


def _near(text: str, names: list[str]) -> str:
    near = difflib.get_close_matches(text.casefold(), [name.casefold() for name in names], n=1)
    return f"; did you mean “{next(name for name in names if name.casefold() == near[0])}”?" if near else ""


def _last(iri: str) -> str:
    return iri.rpartition("/")[2]


# --- What was typed ---------------------------------------------------------------------------------------------------


def _subject(contents: Contents, text: str, payer: str | None) -> Subject | None:
    facts, coding, label = contents.facts, contents.snapshot.coding, contents.reader.label
    found = coding.find_code(text)
    if not found:
        named = (coding.named(scheme.iri, text) for scheme in coding.schemes)
        found = [thing for thing in named if thing is not None]
    if not found:
        return None
    thing = found[0]
    if facts.value(thing, SKOS.notation) is None:
        return Subject(label(thing), thing, tuple(_codes_of(contents, thing)))
    if any(facts.subjects(POL.about, group) for group in facts.objects(thing, POL.within)):
        return Subject(label(thing), thing, (thing,))
    payers = facts.objects(payer or "", POL.within)
    naming = {r for r in _naming(facts, thing) if facts.objects(facts.value(r, POL.scope), POL.payer) & payers}
    about = {group for rule in naming for group in facts.objects(rule, POL.about)}
    codes = sorted({code for group in about for code in _one_of_each_system(contents, group)})
    return Subject(label(thing), thing, tuple(codes), frozenset(naming))


def _one_of_each_system(contents: Contents, group: str) -> list[str]:
    """Codes enough to find every rule about a group."""
    by_system = {contents.facts.value(code, SKOS.inScheme): code for code in _codes_of(contents, group)}
    return list(by_system.values())


def _codes_of(contents: Contents, thing: str) -> list[str]:
    """The codes on a claim that stand for a thing: itself, those that describe it, or those under it."""
    facts = contents.facts
    under = [thing, *contents.snapshot.coding.all_narrower(thing)]
    describing = {code for each in under for code in facts.subjects(COD.describes, each)}
    codes = describing or {code for code in under if facts.value(code, SKOS.notation) is not None}
    return sorted(codes)[:_MOST_CODES]


def _naming(facts: Facts, code: str) -> set[str]:
    """The rules with a criterion that looks for a code."""
    criteria = {
        criterion for group in facts.objects(code, POL.within) for criterion in facts.subjects(POL.expects, group)
    }
    return {rule for criterion in criteria for rule in facts.subjects(POL.tests, criterion)}


# --- The answer -------------------------------------------------------------------------------------------------------


class Ground(Contents):
    """Where answers are looked up. Keeps what was found for the last few questions over all days."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot)
        self.ever = lru_cache(maxsize=_TIMELINES_KEPT)(self._ever)

    def rows(self, subject: Subject, values: Mapping[str, str], day: date) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Each row of the answer for a day, with the code that it was found for."""
        for code in subject.codes:
            for row in self.snapshot.ask(QUESTION, code=code, dos=day, **values).results:
                if subject.naming is None or self.ruled(row) & subject.naming:
                    yield code, row

    def ruled(self, row: Mapping[str, Any]) -> set[str]:
        """The rule of a row, or those that it ended."""
        provision = row["provision"]
        return set(self.facts.objects(provision, POL.ends)) if row["kind"] == "change" else {provision}

    def _ever(self, subject: Subject, *values: tuple[str, str]) -> dict[str, str]:
        """Every rule and change on any day of service, with its kind."""
        found: dict[str, str] = {}
        asked = dict(values)
        for code in subject.codes:
            for day in sorted(self._beginnings(code, asked["payer"])):
                for _, row in self.rows(replace(subject, codes=(code,)), asked, day):
                    found.setdefault(row["provision"], row["kind"])
        return found

    def _beginnings(self, code: str, payer: str) -> set[date]:
        """The first days of all rules that may be about a code, and the last day that there is.

        A rule holds on the first day on which it may, so that none is missed by asking on each of them; and on the last
        day every change has come.
        """
        facts = self.facts
        shown = {code, *facts.objects(code, COD.describes)}
        groups = {group for thing in shown for group in facts.objects(thing, POL.within)}
        payers = facts.objects(payer, POL.within)
        rules = {rule for group in groups for rule in facts.subjects(POL.about, group)}
        binding = (rule for rule in rules if facts.objects(facts.value(rule, POL.scope), POL.payer) & payers)
        return {LAST_DAY, *(facts.value(rule, POL.possibleFrom) for rule in binding)}


class Answered:
    """The answer to a form that is right, and how it is over all days of service."""

    def __init__(self, contents: Ground, form: Form) -> None:
        assert form.subject is not None and not form.errors
        self.contents, self.form, self.subject = contents, form, form.subject
        self.cards = self._cards(form.day)

    @property
    def changed(self) -> list[Card]:
        """What had been ended by the day: what names the code first, then the latest."""
        found = [card for card in self.cards if card.kind == "change"]
        found.sort(key=lambda card: card.began or FIRST_DAY, reverse=True)
        return sorted(found, key=lambda card: card.nearness)

    @property
    def asked(self) -> list[Card]:
        """What is asked whatever else the claim shows."""
        return [card for card in self.cards if card.kind in ("requirement", "prohibition") and not card.when]

    @property
    def conditional(self) -> list[Card]:
        """What is asked of some claims."""
        return [card for card in self.cards if card.kind in ("requirement", "prohibition") and card.when]

    @property
    def gist(self) -> str:
        """The answer in a line: how many rules ask something, and whether some no longer do."""
        asked = len(self.asked) + len(self.conditional)
        rules, asks = ("rule", "asks") if asked == 1 else ("rules", "ask")
        if self.subject.naming is None:
            said = f"{rules} {asks} {'something' if asked else 'anything'} of {self.subject.label}"
        else:
            names = "names" if asked == 1 else "name"
            said = f"{rules} that {names} {self.subject.label} {asks} {'something' if asked else 'anything'}"
        said = f"{asked or 'No'} {said}"
        if not self.changed:
            return said
        had = "may have" if all(card.maybe for card in self.changed) else "had"
        if not asked:
            return f"{said}; what was asked before {had} ended"
        count = len(self.changed)
        return f"{said}; {count} {'change' if count == 1 else 'changes'} {had} ended others"

    @property
    def notices(self) -> list[Card]:
        return [card for card in self.cards if card.kind == "notice"]

    def _cards(self, day: date) -> list[Card]:
        cards: dict[tuple[str, str], Card] = {}
        for code, row in self.contents.rows(self.subject, self.form.values, day):
            key = (row["provision"], row["kind"])
            cards.setdefault(key, self._card(row, code))
        return list(cards.values())

    def _card(self, row: Mapping[str, Any], code: str) -> Card:
        facts = self.contents.facts
        change = row["kind"] == "change"
        starts = self.contents.starts(row["provision"]) if change else (None, None)
        begun = not change or bool(starts[1] and starts[1] <= self.form.day)
        about = {group for rule in self.contents.ruled(row) for group in facts.objects(rule, POL.about)}
        version = str(row["provision"]).partition("#")[0]
        return Card(
            iri=row["provision"],
            kind=row["kind"],
            maybe=row["certainty"] == "maybe" or not begun,
            severity=row["severity"] or "",
            label=row["label"],
            about=tuple(self.contents.labels(about)),
            needs=tuple(row["requires"]),
            prohibits=tuple(row["prohibits"]),
            when=tuple(row["when"]),
            unless=tuple(row["unless"]),
            days=period(row),
            since=self.contents.since(row["provision"]) if change else "",
            began=starts[0],
            scope=row["scope_label"] or "",
            version=version,
            version_label=row["policy_label"],
            published=published(row["published_on"]),
            implemented=row["implemented_on"] or "",
            quotes=quotes(facts, row["cites"], row["label"]),
            changes=() if change else tuple(row["changed_by"]),
            nearness=0 if code in about else 1,
        )

    # --- Over time ----------------------------------------------------------------------------------------------------

    @cached_property
    def over_time(self) -> list[Row]:
        """Every rule over the days on which it holds, and every change: what begins first comes first."""
        contents = self.contents
        rows = []
        for node, kind in contents.ever(self.subject, *self.form.values.items()).items():
            label, target = contents.reader.label(node), node
            if kind == "change":
                told = f"for services from {contents.since(node)}"
                rows.append(Row(kind=kind, label=label, told=told, target=target, starts=contents.starts(node)))
            else:
                held = contents.period(node)
                rows.append(Row(kind=kind, label=label, told=held.words, target=target, period=held))
        order = ("requirement", "prohibition", "change", "notice")
        return sorted(rows, key=lambda row: (order.index(row.kind), *_began(row), row.label))

    @cached_property
    def days_of_change(self) -> list[date]:
        """The days of service on which the answer may be another than the day before."""
        days: set[date] = set()
        for row in self.over_time:
            days |= {day for day in row.starts or () if day}
            if held := row.period:
                days |= {day for day in (held.possible_from, held.certain_from) if day}
                days |= {day + timedelta(days=1) for day in (held.certain_until, held.possible_until) if day}
        return sorted(days)

    @property
    def change_before(self) -> date | None:
        place = bisect_left(self.days_of_change, self.form.day)
        return self.days_of_change[place - 1] if place else None

    @property
    def change_after(self) -> date | None:
        place = bisect_right(self.days_of_change, self.form.day)
        return self.days_of_change[place] if place < len(self.days_of_change) else None

    @cached_property
    def drawing(self) -> Drawing | None:
        return draw(self.over_time, self.form.day)


def _began(row: Row) -> tuple[date, date]:
    if row.period:
        return row.period.order
    day = (row.starts or (None,))[0] or FIRST_DAY
    return day, day


def quotes(facts: Facts, cites: list[Mapping[str, Any]], label: str) -> tuple[Quote, ...]:
    """Sentences, those first that speak of what a label says; among alike the one that the fewest rest on."""
    wanted = set(folded(label).replace("-", " ").split())
    found = []
    for cite in cites:
        statement = cite["statement"]
        says = str(facts.value(statement, POL.says) or "")
        source = facts.value(statement, IS_PART_OF)
        status = facts.value(statement, POL.verificationStatus) or facts.value(source, POL.verificationStatus)
        words = Counter(folded(f"{cite['quote']} {says}").replace("-", " ").replace(".", "").split())
        shared = sum(1 for word in wanted if words[word])
        quote = Quote(
            statement,
            cite["document"],
            cite["section"],
            cite["quote"],
            says,
            cite["ambiguity"] or "",
            status != POL.Unverified,
        )
        found.append((-shared, len(facts.subjects(POL.cites, statement)), statement, quote))
    return tuple(quote for *_, quote in sorted(found, key=lambda each: each[:3]))


# --- Where to begin ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the register as a question to ask: the first day of service on which it holds."""

    label: str
    since: str
    published: str
    query: str


def latest_changes(contents: Contents) -> list[Change]:
    """Questions that amendments answer, the last published first."""
    facts, reader = contents.facts, contents.reader
    found = []
    for amendment in facts.subjects(TYPE, POL.Amendment):
        day = next((day for day in reversed(contents.starts(amendment)) if day), None)
        for rule in sorted(facts.objects(amendment, POL.ends)):
            scope = facts.value(rule, POL.scope)
            payer = facts.value(scope, POL.payer)
            if day is None or payer is None or _last(payer) == "any":
                continue
            codes = [code for group in sorted(facts.objects(rule, POL.about)) for code in _codes_of(contents, group)]
            codes = [code for code in codes if _valid(facts, code, day)]
            if not codes:
                continue
            fields = {
                "payer": _last(payer),
                "request": _last(str(facts.value(scope, POL.request))),
                "code": str(facts.value(codes[0], SKOS.notation)),
                "dos": str(day),
            }
            change = Change(
                reader.label(amendment), contents.since(amendment), contents.known(amendment), urlencode(fields)
            )
            version = amendment.partition("#")[0]
            told = (*contents.bounds(version, "published"), *contents.bounds(amendment, "published"))
            found.append((next((day for day in reversed(told) if day), FIRST_DAY), change))
            break
    found.sort(key=lambda each: each[0], reverse=True)
    return [change for _, change in found]


def _valid(facts: Facts, code: str, day: date) -> bool:
    """Whether a code may be billed on a day, as far as the register says."""
    validities = facts.objects(code, COD.validity)
    return not validities or any(
        facts.value(validity, POL.certainFrom) <= day <= facts.value(validity, POL.certainUntil)
        for validity in validities
    )

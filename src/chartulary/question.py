"""A code or a product that somebody asks about, as they wrote it: what it stands for, and where answers are looked up.

The question ``requirements`` is asked for each code that what was typed stands for. Nothing is decided here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from chartulary.ask import Answer
from chartulary.book import Contents
from chartulary.facts import Facts
from chartulary.register import Snapshot
from chartulary.snapshot import LAST_DAY
from chartulary.terms import COD, POL, SKOS, TYPE

QUESTION = "requirements"
_KINDS = {"payer": POL.Payer, "setting": POL.Setting, "lob": POL.LineOfBusiness, "request": POL.Request}
_MOST_CODES = 40
_TIMELINES_KEPT = 128


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
        thing for thing in contents.by_label(contents.facts.subjects(TYPE, kind)) if name_of(thing) != "unrecognised"
    ]
    if name == "payer":  # who is asked must be said
        things = [thing for thing in things if name_of(thing) != "any"]
    things.sort(key=lambda thing: name_of(thing) != "any")
    if name == "request":
        default = _default(contents, name)
        things.sort(key=lambda thing: name_of(thing) != default)
    return [(name_of(thing), contents.reader.label(thing)) for thing in things]


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


def name_of(iri: str) -> str:
    """The last part of an IRI."""
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
        return Subject(label(thing), thing, tuple(codes_of(contents, thing)))
    if any(facts.subjects(POL.about, group) for group in facts.objects(thing, POL.within)):
        return Subject(label(thing), thing, (thing,))
    payers = facts.objects(payer or "", POL.within)
    naming = {r for r in _naming(facts, thing) if facts.objects(facts.value(r, POL.scope), POL.payer) & payers}
    about = {group for rule in naming for group in facts.objects(rule, POL.about)}
    codes = sorted({code for group in about for code in _one_of_each_system(contents, group)})
    return Subject(label(thing), thing, tuple(codes), frozenset(naming))


def _one_of_each_system(contents: Contents, group: str) -> list[str]:
    """Codes enough to find every rule about a group."""
    by_system = {contents.facts.value(code, SKOS.inScheme): code for code in codes_of(contents, group)}
    return list(by_system.values())


def codes_of(contents: Contents, thing: str) -> list[str]:
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


# --- Answers ----------------------------------------------------------------------------------------------------------


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

    def answer(self, subject: Subject, values: Mapping[str, str], day: date) -> Answer:
        """The rows of all codes as one answer; a code that was not known yet has none."""
        known = tuple(code for code in subject.codes if self.snapshot.coding.find_code(code))
        rows = {
            (row["provision"], row["kind"]): row for _, row in self.rows(replace(subject, codes=known), values, day)
        }
        return Answer(
            query=QUESTION,
            parameters={"code": subject.iri, **values, "dos": str(day)},
            register_revision=self.register.revision,
            as_known_on=self.snapshot.as_known_on,
            results=tuple(rows.values()),
        )

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

"""What a code or a product is asked for: rows of the question ``requirements``, ready for a page.

A page asks the same question as programs do, for each code that what was typed stands for. Nothing is decided here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from chartulary.book import Contents
from chartulary.coding import shared
from chartulary.facts import Facts
from chartulary.formats import period, published
from chartulary.question import Form, Ground, codes_of, name_of
from chartulary.service.drawing import Drawing, draw
from chartulary.snapshot import FIRST_DAY
from chartulary.terms import COD, IS_PART_OF, POL, SKOS, TYPE
from chartulary.timeline import Row

_FIRST_QUOTES = 2


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


# --- The answer -------------------------------------------------------------------------------------------------------


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
    found = []
    for cite in cites:
        statement = cite["statement"]
        says = str(facts.value(statement, POL.says) or "")
        source = facts.value(statement, IS_PART_OF)
        status = facts.value(statement, POL.verificationStatus) or facts.value(source, POL.verificationStatus)
        quote = Quote(
            statement,
            cite["document"],
            cite["section"],
            cite["quote"],
            says,
            cite["ambiguity"] or "",
            status != POL.Unverified,
        )
        found.append(
            (-shared(label, f"{cite['quote']} {says}"), len(facts.subjects(POL.cites, statement)), statement, quote)
        )
    return tuple(quote for *_, quote in sorted(found, key=lambda each: each[:3]))


# --- Where to begin ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the register as a question to ask: the first day of service on which it surely holds."""

    label: str
    since: str
    published: str
    query: str
    known: str
    """The same question with what was known on the day before it came out, and once it surely had; may be empty."""


def latest_changes(contents: Contents) -> list[Change]:
    """Questions that amendments answer, the last published first."""
    found = []
    for amendment in contents.facts.subjects(TYPE, POL.Amendment):
        if change := change_of(contents, amendment):
            found.append((_published(contents, amendment)[1] or FIRST_DAY, change))
    found.sort(key=lambda each: each[0], reverse=True)
    return [change for _, change in found]


def change_of(contents: Contents, amendment: str) -> Change | None:
    """The question that an amendment answers, if it ends a rule of some payer on a day that a source bounds."""
    facts = contents.facts
    day = next((day for day in reversed(contents.starts(amendment)) if day), None)
    for rule in sorted(facts.objects(amendment, POL.ends)):
        scope = facts.value(rule, POL.scope)
        payer = facts.value(scope, POL.payer)
        if day is None or payer is None or name_of(payer) == "any":
            continue
        codes = [code for group in sorted(facts.objects(rule, POL.about)) for code in codes_of(contents, group)]
        codes = [code for code in codes if _valid(facts, code, day)]
        if not codes:
            continue
        fields = {
            "payer": name_of(payer),
            "request": name_of(str(facts.value(scope, POL.request))),
            "code": str(facts.value(codes[0], SKOS.notation)),
            "dos": str(day),
        }
        first, last = _published(contents, amendment)
        first = first or last
        known = {"known": str(first - timedelta(days=1)), "known-later": str(last or first)} if first else {}
        return Change(
            label=contents.reader.label(amendment),
            since=contents.since(amendment),
            published=contents.known(amendment),
            query=urlencode(fields),
            known=urlencode({**fields, **known}) if known else "",
        )
    return None


def _published(contents: Contents, amendment: str) -> tuple[date | None, date | None]:
    """When an amendment came out, at the earliest and the latest: by its own days, else by those of its version."""
    own = contents.bounds(amendment, "published")
    return own if any(own) else contents.bounds(amendment.partition("#")[0], "published")


def _valid(facts: Facts, code: str, day: date) -> bool:
    """Whether a code may be billed on a day, as far as the register says."""
    validities = facts.objects(code, COD.validity)
    return not validities or any(
        facts.value(validity, POL.certainFrom) <= day <= facts.value(validity, POL.certainUntil)
        for validity in validities
    )

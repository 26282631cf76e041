"""Writes a claim as the facts that the rules read (vocabulary: ``ontology/claim.ttl``)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from chartulary.claim import Attachment, Claim, FindingValue, Line, Note
from chartulary.coding import Coding, folded
from chartulary.facts import Facts, Memory, Text, Value, to_graph
from chartulary.terms import CLM, POL, ROOT, TYPE

if TYPE_CHECKING:
    from rdflib import Graph

SHARED = (TYPE, POL.within)
"""What a claim states with the same predicates as the register: what is an item, and what a code nobody listed is."""
LITERALS: dict[str, type] = {
    **dict.fromkeys((CLM.firstDay, CLM.lastDay, CLM.onDay, CLM.referenceDay, CLM.bornOn), date),
    **dict.fromkeys((CLM.lastDayNumber, CLM.dayNumber, CLM.referenceDayNumber, CLM.statedAge), int),
    CLM.recordedNumber: Decimal,
    CLM.unused: Text,
}
"""What a claim states of literals, and of which type; everything else is between IRIs."""
ROWS = {
    "items": (CLM.claim, CLM.level, CLM.firstDay, CLM.lastDay),
    "claims": (CLM.request, CLM.payer, CLM.lineOfBusiness, CLM.setting),
}
"""What is stated once of each item, and of each claim."""
_NOTES, _SERVICES = ROOT + "scheme/note", ROOT + "scheme/service"
_PRODUCTS, _FINDINGS, _DOCUMENTS, EVENTS, _RESULTS, _ATTACHMENTS, _MEASURES = (
    f"{ROOT}scheme/{name}" for name in ("product", "finding", "document", "event", "result", "attachment", "measure")
)
# A fact may be a finding, a document or an event; claims name each in the same way.
_FACTS = ((_FINDINGS, CLM.finding), (_DOCUMENTS, CLM.shows), (EVENTS, CLM.event))
# Not more digits than every engine can count with.
_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,15})?", re.ASCII)
_IN_WORDS = {"yes": True, "true": True, "no": False, "false": False, "none": False}
_NOT_SAID = {"unknown", "not known"}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def iri_for(claim_id: str, position: int | None = None) -> str:
    """The name of a claim, or of its line at a position from 1, in graphs and reports.

    Line numbers as sent may repeat. The name is no address, and it is kept nowhere.
    """
    claim = f"urn:chartulary:claim:{quote(claim_id, safe='')}"
    return f"{claim}:line:{position}" if position else claim


def names_of(claims: Iterable[Claim]) -> list[str]:
    """The claims' names, each its own: an identifier comes again where a claim was sent again."""
    seen: Counter[str] = Counter()
    names = []
    for claim in claims:
        name = iri_for(claim.id)
        names.append(f"{name}:again:{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return names


def claim_facts(claim: Claim, coding: Coding) -> Facts:
    """What one claim states: the claim and each line an item, each code an IRI, each day a bound."""
    return facts_of([(iri_for(claim.id), claim)], coding)


def facts_of(claims: Iterable[tuple[str, Claim]], coding: Coding) -> Facts:
    """What claims state, each under a name of its own; of an unlisted code, all say the same."""
    facts = Facts()
    writer = _Writer(facts, coding)
    for name, claim in claims:
        writer.claim(name, claim)
    return facts


def claim_graph(claim: Claim, coding: Coding) -> Graph:
    """The same as an RDF graph."""
    return to_graph(claim_facts(claim, coding))


class _Writer:
    def __init__(self, facts: Facts, coding: Coding) -> None:
        self._relations, self._coding = facts.relations, coding
        self._one: Memory[str, Any] = Memory(lambda value: frozenset((value,)))
        """Most things have one value, and many the same."""
        self._records = 0
        self._met: set[str] = set()
        """Codes that were written before: of an unlisted one no more need be said."""
        self._measures = [(name, measure) for name in ("units", "charge") if (measure := coding.named(_MEASURES, name))]

    def claim(self, me: str, claim: Claim) -> None:
        add, coding = self._add, self._coding
        setting = coding.setting(claim)
        payer, business = coding.payer_and_business(claim, setting)
        days = claim.days_of_service(stay=coding.is_stay(setting))
        lines = [f"{me}:line:{position}" for position in range(1, len(claim.lines) + 1)]
        self._records = 0
        self._items(me, lines, claim, days)
        add(me, CLM.request, f"{ROOT}request/{claim.request}")
        add(me, CLM.payer, payer)
        add(me, CLM.lineOfBusiness, business)
        add(me, CLM.setting, setting)
        self._code(me, "form", claim.form)
        self._code(me, "drg", claim.drg)
        for diagnosis in claim.diagnoses:
            self._code(me, "diagnosis", diagnosis.code, diagnosis.system)
        for procedure in claim.procedures:
            self._code(me, "procedure", procedure.code, procedure.system)
        for condition in claim.condition_codes:
            self._code(me, "conditionCode", condition)
        self._notes(me, claim.notes)
        self._product(me, claim)
        self._patient(me, claim)
        self._reference(me, claim.submitted or days[0])
        for name, value in claim.findings:
            self._finding(me, name, value)
        self._documents(me, claim)
        self._attachments(me, claim.attachments)
        for item, line in zip(lines, claim.lines, strict=True):
            self._line(item, claim, line)

    def _items(self, me: str, lines: list[str], claim: Claim, days: tuple[date, date]) -> None:
        """What makes the claim and its lines items, each with its days."""
        items = [me, *lines]
        first, last = {me: {days[0]}}, {me: {days[1]}}
        for item, line in zip(lines, claim.lines, strict=True):
            begin = line.first_day or days[0]
            end = (line.last_day or begin) if line.first_day else days[1]
            first[item] = first[me] if begin == days[0] else {begin}
            last[item] = last[me] if end == days[1] else {end}
        numbers = {day: {day.toordinal()} for (day,) in last.values()}
        for predicate, stated in (
            (TYPE, {me: {CLM.Item, CLM.Claim}, **dict.fromkeys(lines, {CLM.Item, CLM.Line})}),
            (CLM.level, {me: {CLM.Claim}, **dict.fromkeys(lines, {CLM.Line})}),
            (CLM.claim, dict.fromkeys(items, {me})),
            (CLM.part, {me: set(items)}),
            (CLM.firstDay, first),
            (CLM.lastDay, last),
            (CLM.lastDayNumber, {item: numbers[day] for item, (day,) in last.items() if day != date.max}),
        ):
            if stated:
                self._relations.setdefault(predicate, {}).update(stated)

    def _add(self, subject: str, predicate: str, value: Value) -> None:
        relation = self._relations.get(predicate)
        if relation is None:
            relation = self._relations[predicate] = {}
        values = relation.get(subject)
        if values is None:
            relation[subject] = self._one[value] if type(value) is str else {value}
        elif type(values) is set:
            values.add(value)
        else:
            relation[subject] = {*values, value}

    def _line(self, me: str, claim: Claim, line: Line) -> None:
        self._code(me, "procedureCode", line.code, line.code_system)
        self._code(me, "revenueCode", line.revenue_code)
        self._code(me, "placeOfService", line.place_of_service or claim.place_of_service)
        for modifier in line.modifiers:
            self._code(me, "modifier", modifier)
        for name, measure in self._measures:
            if (number := getattr(line, name)) is not None:
                self._record(me, measure, number=number)
        if line.attachments:
            self._attachments(me, line.attachments)
        if line.notes:
            self._notes(me, line.notes)
        if line.description:
            self._words(me, line.description)

    def _code(
        self, item: str, field: str, text: str | None, sent_as: str | None = None, shows: str | None = None
    ) -> None:
        if not text:
            return
        coding = self._coding
        found = coding.code(field, text, sent_as)
        if found:
            code, scheme = found
            self._add(item, shows or CLM[field], code)
            if code not in self._met:
                self._met.add(code)
                if not coding.is_listed(code):  # it still counts as a code of its system
                    self._add(code, POL.within, code)
                    self._add(code, POL.within, scheme)
        elif coding.takes(field, sent_as):
            self._unused(item, f"“{text}” is written like no {coding.noun(field)}")

    def _notes(self, item: str, notes: tuple[Note, ...]) -> None:
        for note in notes:
            for known in self._coding.in_words(_NOTES, note.text):
                self._add(item, CLM.note, known)
            self._words(item, note.text)

    def _words(self, item: str, text: str) -> None:
        for service in self._coding.in_words(_SERVICES, text):
            self._add(item, CLM.service, service)

    def _product(self, me: str, claim: Claim) -> None:
        for name in (claim.product, claim.donor_type):
            if name and (product := self._coding.named(_PRODUCTS, name)):
                self._add(me, CLM.statedProduct, product)
            elif name:
                for group in self._coding.in_words(_PRODUCTS, name):
                    self._add(me, CLM.statedProduct, group)
                self._unused(me, f"product “{name}” is not in the register")

    def _unused(self, item: str, what: str) -> None:
        """A misspelt name must not pass in silence: the report says that it was not used."""
        self._add(item, CLM.unused, Text(what))

    # --- Facts and records --------------------------------------------------------------------------------------------

    def _patient(self, me: str, claim: Claim) -> None:
        if claim.patient.birth_date:
            self._add(me, CLM.bornOn, claim.patient.birth_date)
        elif claim.patient.age is not None:
            self._add(me, CLM.statedAge, claim.patient.age)

    def _reference(self, me: str, day: date) -> None:
        """The day as of which documents are so old: of the request, else of the service."""
        if day != date.min:
            self._add(me, CLM.referenceDay, day)
            self._add(me, CLM.referenceDayNumber, day.toordinal())

    def _finding(self, me: str, name: str, value: FindingValue) -> None:
        if isinstance(value, str):
            if folded(value) in _NOT_SAID:
                return
            value = _IN_WORDS.get(folded(value), value)
        facts = self._facts(name)
        if not facts and isinstance(value, str):
            facts, value = self._facts(value), True  # "vein": "peripheral vein" says all that is needed
        if not facts:
            self._unused(me, f"finding “{name}” is not in the register")
            return
        kind, shows = facts[0]
        if value is None and self._coding.none_means_unknown(kind):
            return
        if value in (None, False, ()):
            self._none_of(me, (fact for fact, _ in facts))  # a test and the paper that tells of it may bear one name
        elif isinstance(value, tuple):
            self._list(me, name, kind, shows, value)
        else:
            self._add(me, shows, kind)
            if isinstance(value, str):
                self._text(me, name, kind, shows, value)

    def _facts(self, name: str) -> list[tuple[str, str]]:
        """What a name stands for, each with how a claim shows it; the first is meant where one is said to be so."""
        return [(found, shows) for scheme, shows in _FACTS if (found := self._coding.named(scheme, name))]

    def _text(self, me: str, name: str, kind: str, shows: str, value: str) -> None:
        if day := _as_day(value):
            self._record(me, kind, day=day)
        elif known := self._coding.narrower(kind, value):
            self._add(me, shows, known)
        elif _NUMBER.fullmatch(value):
            self._record(me, kind, number=Decimal(value))
        elif self._coding.is_exclusive(kind):
            self._none_of(me, self._coding.all_narrower(kind))
            self._unused(me, f"“{value}” of finding “{name}” is not in the register: taken as none of those that are")
        elif product := self._coding.named(_PRODUCTS, value):
            self._record(me, kind, product=product)

    def _list(self, me: str, name: str, kind: str, shows: str, values: tuple[str, ...]) -> None:
        """These and no others: what is under the head and not listed is denied."""
        add, coding = self._add, self._coding
        add(me, shows, kind)
        listed = []
        for value in values:
            known, day = coding.narrower(kind, value), _as_day(value)
            if known:
                listed.append(known)
                add(me, shows, known)
            if day:
                self._record(me, kind, day=day)
            elif not known:
                self._unused(me, f"“{value}” of finding “{name}” is not in the register")
        for other in coding.all_narrower(kind):
            if not any(coding.is_within(known, other) or coding.is_within(other, known) for known in listed):
                add(me, CLM.noFinding, other)

    def _none_of(self, me: str, things: Iterable[str]) -> None:
        for thing in things:
            self._add(me, CLM.noFinding, thing)

    def _documents(self, me: str, claim: Claim) -> None:
        """Documents and what happened before, each with its day where it is known."""
        for document in claim.documents:
            kind = self._coding.named(_DOCUMENTS, document.kind)
            if kind is None:
                self._unused(me, f"document “{document.kind}” is not in the register")
                continue
            self._add(me, CLM.shows, kind)
            result = self._coding.named(_RESULTS, document.result) if document.result else None
            if document.result and result is None:
                self._unused(me, f"result “{document.result}” is not in the register")
            if document.date or result:
                self._record(me, kind, day=document.date, result=result)
        happened = [(event.kind, event.date) for event in claim.history]
        if claim.submitted:
            happened.append(("submission", claim.submitted))
        if claim.prior_authorization:
            happened.append(("prior-approval", None))
        for name, day in happened:
            if event := self._coding.named(EVENTS, name):
                self._add(me, CLM.event, event)
                if day:
                    self._record(me, event, day=day)

    def _attachments(self, item: str, attachments: tuple[Attachment, ...]) -> None:
        for attachment in attachments:
            kind = self._coding.named(_ATTACHMENTS, attachment.kind) if attachment.kind else None
            if kind:
                self._add(item, CLM.shows, kind)
                if attachment.date:
                    self._record(item, kind, day=attachment.date)
            else:
                self._code(item, "attachment", attachment.kind, shows=CLM.shows)

    def _record(
        self,
        item: str,
        kind: str,
        *,
        day: date | None = None,
        result: str | None = None,
        number: Decimal | None = None,
        product: str | None = None,
    ) -> None:
        self._records += 1
        record, add = f"{item}:record:{self._records}", self._add
        add(item, CLM.record, record)
        add(record, CLM.recordOf, kind)
        if day:
            add(record, CLM.onDay, day)
            add(record, CLM.dayNumber, day.toordinal())
        if result:
            add(record, CLM.recordedResult, result)
        if number is not None:
            add(record, CLM.recordedNumber, number)
        if product:
            add(record, CLM.recordedProduct, product)


def _as_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None

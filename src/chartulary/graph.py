"""Writes a claim as the RDF graph that the rules read (vocabulary: ``ontology/claim.ttl``)."""

from __future__ import annotations

from datetime import date
from urllib.parse import quote

from rdflib import RDF, Graph, Literal, URIRef

from chartulary.claim import Claim, Line, Note
from chartulary.coding import Coding
from chartulary.namespaces import CLM, POL, ROOT

_NOTES, _SERVICES = URIRef(ROOT + "scheme/note"), URIRef(ROOT + "scheme/service")
_PRODUCTS, _FINDINGS, _EVENTS = (URIRef(f"{ROOT}scheme/{name}") for name in ("product", "finding", "event"))


def iri_for(claim_id: str, position: int | None = None) -> URIRef:
    """The name of a claim, or of its line at a position from 1, in graphs and reports.

    Line numbers as sent may repeat. The name is no address, and it is kept nowhere.
    """
    claim = f"urn:chartulary:claim:{quote(claim_id, safe='')}"
    return URIRef(f"{claim}:line:{position}" if position else claim)


def claim_graph(claim: Claim, coding: Coding) -> Graph:
    """One claim as a graph: the claim and each line an item, each code an IRI, each day a bound."""
    graph = Graph()
    writer = _Writer(graph, coding)
    writer.claim(claim)
    return graph


class _Writer:
    def __init__(self, graph: Graph, coding: Coding) -> None:
        self._graph, self._coding = graph, coding

    def claim(self, claim: Claim) -> None:
        graph, coding, me = self._graph, self._coding, iri_for(claim.id)
        setting = coding.setting(claim)
        payer, business = coding.payer_and_business(claim, setting)
        days = claim.days_of_service(stay=coding.is_stay(setting))
        self._item(me, me, CLM.Claim, *days)
        graph.add((me, CLM.request, URIRef(f"{ROOT}request/{claim.request}")))
        graph.add((me, CLM.payer, payer))
        graph.add((me, CLM.lineOfBusiness, business))
        graph.add((me, CLM.setting, setting))
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
        self._findings(me, claim)
        self._events(me, claim)
        for position, line in enumerate(claim.lines, 1):
            self._line(me, iri_for(claim.id, position), claim, line, days)

    def _item(self, item: URIRef, claim: URIRef, level: URIRef, first: date, last: date) -> None:
        graph = self._graph
        graph.add((item, RDF.type, CLM.Item))
        graph.add((item, RDF.type, level))
        graph.add((item, CLM.level, level))
        graph.add((item, CLM.claim, claim))
        graph.add((claim, CLM.part, item))
        graph.add((item, CLM.firstDay, Literal(first)))
        graph.add((item, CLM.lastDay, Literal(last)))

    def _line(self, claim_node: URIRef, me: URIRef, claim: Claim, line: Line, days: tuple[date, date]) -> None:
        first, last = (line.first_day, line.last_day or line.first_day) if line.first_day else days
        self._item(me, claim_node, CLM.Line, first, last or first)
        self._code(me, "procedureCode", line.code, line.code_system)
        self._code(me, "revenueCode", line.revenue_code)
        self._code(me, "placeOfService", line.place_of_service or claim.place_of_service)
        for modifier in line.modifiers:
            self._code(me, "modifier", modifier)
        self._notes(me, line.notes)
        if line.description:
            self._words(me, line.description)

    def _code(self, item: URIRef, field: str, text: str | None, sent_as: str | None = None) -> None:
        found = self._coding.code(field, text, sent_as) if text else None
        if found:
            code, scheme = found
            self._graph.add((item, CLM[field], code))
            # Codes that the register does not list still count as a code of their system.
            self._graph.add((code, POL.within, code))
            self._graph.add((code, POL.within, scheme))
        elif text and self._coding.takes(field, sent_as):
            self._unused(item, f"“{text}” is written like no {self._coding.noun(field)}")

    def _notes(self, item: URIRef, notes: tuple[Note, ...]) -> None:
        for note in notes:
            for known in self._coding.in_words(_NOTES, note.text):
                self._graph.add((item, CLM.note, known))
            self._words(item, note.text)

    def _words(self, item: URIRef, text: str) -> None:
        for service in self._coding.in_words(_SERVICES, text):
            self._graph.add((item, CLM.service, service))

    def _product(self, me: URIRef, claim: Claim) -> None:
        for name in (claim.product, claim.donor_type):
            if name and (product := self._coding.named(_PRODUCTS, name)):
                self._graph.add((me, CLM.statedProduct, product))
            elif name:
                self._unused(me, f"product “{name}” is not in the register")

    def _unused(self, item: URIRef, what: str) -> None:
        """A misspelt name must not pass in silence: the report says that it was not used."""
        self._graph.add((item, CLM.unused, Literal(what)))

    def _findings(self, me: URIRef, claim: Claim) -> None:
        for name, value in claim.findings:
            finding = self._coding.named(_FINDINGS, value if isinstance(value, str) else name)
            if finding is None:
                self._unused(me, f"finding “{name}” is not in the register")
            else:
                self._graph.add((me, CLM.noFinding if value in (False, None) else CLM.finding, finding))

    def _events(self, me: URIRef, claim: Claim) -> None:
        dated = [(event.kind, event.date) for event in claim.history]
        if claim.submitted:
            dated.append(("submission", claim.submitted))
        for number, (kind, day) in enumerate(dated, 1):
            event = self._coding.named(_EVENTS, kind)
            if event:
                self._graph.add((me, CLM.event, event))
                if day:
                    node = URIRef(f"{me}:event:{number}")
                    self._graph.add((me, CLM.dated, node))
                    self._graph.add((node, CLM.event, event))
                    self._graph.add((node, CLM.date, Literal(day)))

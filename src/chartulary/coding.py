"""Turns what a claim writes (codes, names, words) into the register's terms, by the tables in ``policies/`` alone."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from urllib.parse import quote

from rdflib import RDF, RDFS, Graph, Literal, Node, URIRef
from rdflib.namespace import SKOS

from chartulary.claim import Claim, Payer
from chartulary.namespaces import COD, POL, ROOT

_PAYER, _BUSINESS, _SETTING = ROOT + "payer/", ROOT + "line-of-business/", ROOT + "setting/"


def folded(text: str) -> str:
    """Text as compared: lower case, single spaces, no space at the ends."""
    return " ".join(text.casefold().split())


def _dotted(text: str, after: int | None) -> str:
    return text if after is None or "." in text or len(text) <= after else f"{text[:after]}.{text[after:]}"


@dataclass(frozen=True, slots=True)
class Scheme:
    """A code system or list of the register."""

    iri: URIRef
    label: str
    noun: str
    field: str
    namespace: str
    pattern: re.Pattern[str] | None
    sent_as: frozenset[str]
    dot_after: int | None
    """Where its codes have a dot that senders leave out."""
    repair: str | None
    """``add`` or ``replace``: what mends a claim that lacks a code of this system; None where only a person can."""


class Coding:
    """The code systems, names and words of one snapshot, indexed once."""

    def __init__(self, snapshot: Graph) -> None:
        self._graph = snapshot
        self.schemes = [
            self._scheme(iri) for iri in snapshot.subjects(RDF.type, COD.CodeSystem) if isinstance(iri, URIRef)
        ]
        self._by_field: dict[str, list[Scheme]] = defaultdict(list)
        for scheme in sorted(self.schemes, key=lambda s: s.iri):
            self._by_field[scheme.field].append(scheme)
        self._by_iri = {scheme.iri: scheme for scheme in self.schemes}
        self._codes: dict[tuple[URIRef, str], URIRef] = {}
        self._names: dict[Node, dict[str, URIRef]] = defaultdict(dict)
        self._words: dict[URIRef, list[tuple[re.Pattern[str], URIRef]]] = defaultdict(list)
        for thing in snapshot.subjects(RDF.type, COD.Code):
            scheme_iri = snapshot.value(thing, SKOS.inScheme)
            if not isinstance(thing, URIRef) or not isinstance(scheme_iri, URIRef):
                continue
            for notation in snapshot.objects(thing, SKOS.notation):
                self._codes[scheme_iri, str(notation)] = thing
            self._name(scheme_iri, thing)
            for words in snapshot.objects(thing, COD.text):
                self._words[scheme_iri].append((re.compile(rf"(?<!\w){re.escape(folded(str(words)))}(?!\w)"), thing))
        for kind in (POL.Payer, POL.LineOfBusiness, POL.Setting, POL.Request, POL.Source, POL.Policy):
            for thing in snapshot.subjects(RDF.type, kind):
                if isinstance(thing, URIRef):
                    self._name(kind, thing)

    def _scheme(self, iri: URIRef) -> Scheme:
        def text(predicate: URIRef) -> str | None:
            value = self._graph.value(iri, predicate)
            return None if value is None else str(value)

        pattern, repair = text(COD.pattern), text(COD.repair)
        return Scheme(
            iri=iri,
            label=text(RDFS.label) or iri,
            noun=text(COD.noun) or "",
            field=(text(COD.field) or "").rsplit("#", 1)[-1],
            namespace=text(COD.namespace) or "",
            pattern=re.compile(pattern) if pattern else None,
            dot_after=int(text(COD.dotAfter) or 0) or None,
            sent_as=frozenset(str(value) for value in self._graph.objects(iri, COD.sentAs)),
            repair=repair.rsplit("#", 1)[-1] if repair else None,
        )

    def _name(self, kind: URIRef, thing: URIRef) -> None:
        for predicate in (RDFS.label, SKOS.altLabel):
            for name in self._graph.objects(thing, predicate):
                self._names[kind][folded(str(name))] = thing
        self._names[kind].setdefault(folded(thing.rsplit("/", 1)[-1]), thing)

    # --- Codes --------------------------------------------------------------------------------------------------------

    def code(self, field: str, text: str, sent_as: str | None = None) -> tuple[URIRef, URIRef] | None:
        """IRI and scheme of a code in a field (``procedureCode``, ``modifier``, …), registered or not.

        ``sent_as`` is the code system as the claim writes it; None takes the system whose pattern fits. None is
        returned for a code of a system that the register does not know.
        """
        text = text.strip().upper()
        written = [(scheme, _dotted(text, scheme.dot_after)) for scheme in self._taking(field, sent_as)]
        for scheme, notation in written:
            if (iri := self._codes.get((scheme.iri, notation))) is not None:
                return iri, scheme.iri
        for scheme, notation in written:
            if scheme.pattern and scheme.pattern.fullmatch(notation):
                return URIRef(scheme.namespace + quote(notation, safe=".")), scheme.iri
        return None

    def takes(self, field: str, sent_as: str | None) -> bool:
        """Whether a field has a code system of that name; a code of another system is nobody's mistake."""
        return bool(self._taking(field, sent_as))

    def _taking(self, field: str, sent_as: str | None) -> list[Scheme]:
        return [s for s in self._by_field[field] if sent_as is None or not s.sent_as or sent_as in s.sent_as]

    def noun(self, field: str) -> str:
        """What a code in a field is called."""
        return self._by_field[field][0].noun

    def find_code(self, text: str) -> list[URIRef]:
        """Registered codes with this notation, in any code system, or with this IRI."""
        wanted = text.strip().upper()
        return sorted(
            {iri for (_, notation), iri in self._codes.items() if notation.upper() == wanted or str(iri) == text}
        )

    def scheme_of(self, thing: Node) -> Scheme | None:
        iri = self._graph.value(thing, SKOS.inScheme) or thing
        return self._by_iri.get(iri) if isinstance(iri, URIRef) else None

    def named(self, kind: URIRef, name: str) -> URIRef | None:
        """The thing of a kind (a code scheme, ``pol:Payer``, …) with this label, other name, IRI or last part of it."""
        names = self._names[kind]
        return names.get(folded(name)) or next((thing for thing in names.values() if str(thing) == name), None)

    def names(self, kind: URIRef) -> list[str]:
        """Every name that :meth:`named` would find, for suggestions."""
        return sorted(self._names[kind])

    def narrower(self, head: URIRef, name: str) -> URIRef | None:
        """What a value names among the things that are narrower than a head."""
        wanted = folded(name)
        tail = f"{head.rsplit('/', 1)[-1]}-{wanted.replace(' ', '-')}"
        for thing in self.all_narrower(head):
            labels = {folded(str(x)) for p in (RDFS.label, SKOS.altLabel) for x in self._graph.objects(thing, p)}
            if wanted in labels or thing.rsplit("/", 1)[-1] in (tail, wanted):
                return thing
        return None

    def all_narrower(self, head: URIRef) -> list[URIRef]:
        """Everything under a head, the head itself left out."""
        found = self._graph.subjects(POL.within, head)
        return sorted(thing for thing in found if isinstance(thing, URIRef) and thing != head)

    def is_within(self, thing: URIRef, head: URIRef) -> bool:
        return (thing, POL.within, head) in self._graph

    def is_exclusive(self, head: URIRef) -> bool:
        """Whether a claim has one thing only of what is under a head."""
        return (head, COD.exclusive, Literal(True)) in self._graph

    def none_means_unknown(self, thing: URIRef) -> bool:
        """Whether a null for this fact says that nobody has judged it, not that it is not so."""
        return (thing, COD.noneMeansUnknown, Literal(True)) in self._graph

    def in_words(self, scheme: URIRef, text: str) -> list[URIRef]:
        """What a description or note speaks of."""
        words = folded(text)
        return [thing for pattern, thing in self._words[scheme] if pattern.search(words)]

    # --- Payer, line of business, setting -----------------------------------------------------------------------------

    def setting(self, claim: Claim) -> URIRef:
        graph = self._graph
        if claim.setting:
            return self.named(POL.Setting, claim.setting) or URIRef(_SETTING + "unrecognised")
        if claim.bill_type:
            by_bill = graph.value(None, POL.billType, Literal(claim.bill_type[:3]))
            return by_bill if isinstance(by_bill, URIRef) else URIRef(_SETTING + "unrecognised")
        for form in self._names[URIRef(ROOT + "scheme/form")].values():
            if claim.form and (form, SKOS.notation, Literal(claim.form)) in graph:
                by_form = graph.value(None, POL.form, form)
                if isinstance(by_form, URIRef):
                    return by_form
        return URIRef(_SETTING + "unrecognised")

    def is_stay(self, setting: URIRef) -> bool:
        """Whether a claim of this setting is dated by a stay, not by its lines."""
        return (setting, POL.datedByStay, Literal(True)) in self._graph

    def payer_and_business(self, claim: Claim, setting: URIRef) -> tuple[URIRef, URIRef]:
        """Who is asked, under which line of business: what the claim names wins, then what alone fits."""
        graph, unknown = self._graph, URIRef(_BUSINESS + "unrecognised")
        payer = self._payer(claim.payer)
        if claim.line_of_business:
            business = self.named(POL.LineOfBusiness, claim.line_of_business)
            if business and payer is None:
                owner = graph.value(business, POL.ofPayer)
                payer = owner if isinstance(owner, URIRef) else None
            return payer or URIRef(_PAYER + "unrecognised"), business or unknown
        fitting = [
            b for b in graph.subjects(RDF.type, POL.LineOfBusiness) if self._fits(b, claim.payer, payer, setting)
        ]
        business = self._sure(fitting, payer) or unknown
        if payer is None:
            owners = {graph.value(b, POL.ofPayer) for b in fitting}
            owner = owners.pop() if len(owners) == 1 else None
            payer = owner if isinstance(owner, URIRef) else None
        return payer or URIRef(_PAYER + "unrecognised"), business

    def _sure(self, fitting: list[Node], payer: URIRef | None) -> URIRef | None:
        """The narrowest line of business that takes in all that fit; a stranger's own lines don't count."""
        graph = self._graph
        if payer is None and (anyones := [b for b in fitting if graph.value(b, POL.ofPayer) is None]):
            fitting = anyones
        if not fitting:
            return None
        common = set.intersection(*({*graph.objects(b, POL.within)} for b in fitting)) - {URIRef(_BUSINESS + "any")}
        sure = [b for b in common if common <= {*graph.objects(b, POL.within)}]
        return sure[0] if len(sure) == 1 and isinstance(sure[0], URIRef) else None

    def _payer(self, payer: Payer) -> URIRef | None:
        if payer.id:
            by_id = self._graph.value(None, POL.payerId, Literal(payer.id))
            if isinstance(by_id, URIRef):
                return by_id
        return self.named(POL.Payer, payer.name) if payer.name else None

    def _fits(self, business: Node, sent: Payer, payer: URIRef | None, setting: URIRef) -> bool:
        graph = self._graph
        owners = set(graph.objects(business, POL.ofPayer))
        indicators = {str(value) for value in graph.objects(business, POL.filingIndicator)}
        settings = set(graph.objects(business, POL.inSetting))
        if payer is not None and payer not in owners and (payer, POL.offers, business) not in graph:
            return False
        if sent.filing_indicator and sent.filing_indicator not in indicators:
            return False
        if payer is None and not sent.filing_indicator:
            return False
        return not settings or setting in settings

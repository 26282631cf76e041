"""What was found about one claim, and the words for it: outcome, findings, repairs and the statements they rest on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal as Choice
from typing import TypeAlias, get_args

from rdflib import RDF, RDFS, Graph, Node, URIRef
from rdflib import Literal as RdfLiteral
from rdflib.namespace import DCTERMS, SH, SKOS

from chartulary.claim import Claim, Line
from chartulary.coding import Coding, Scheme
from chartulary.graph import iri_for
from chartulary.namespaces import CLM, COD, POL, SHAPE
from chartulary.snapshot import FIRST_DAY, LAST_DAY, bounds, version_of

Outcome: TypeAlias = Choice["violation", "review", "info", "overridden"]
ClaimOutcome: TypeAlias = Choice["violation", "needs-review", "conformant", "not-applicable"]

_Item: TypeAlias = tuple[int | None, Line | None]
"""A line and its place on the claim; neither for the claim itself."""

REPORTED_BY: dict[Outcome, URIRef] = {outcome: SHAPE[f"reports-{outcome}"] for outcome in get_args(Outcome)}
"""The shape of ``shapes/outcomes.ttl`` behind each outcome."""
_OUTCOMES: dict[Node, Outcome] = {shape: outcome for outcome, shape in REPORTED_BY.items()}
_ORDER: tuple[Outcome, ...] = ("violation", "review", "overridden", "info")


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A sentence of a source that an answer rests on."""

    statement: str
    """IRI of the statement."""
    document: str
    section: str
    quote: str
    ambiguity: str | None = None
    """Where the text can be read in more than one way: how."""
    verified: bool = True
    """False where the document itself was not seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An amendment that ends a provision, with its own dates."""

    amendment: str
    label: str
    document: str
    effective_from: date | None
    """First day of service; None where it is known within the next two bounds only."""
    effective_earliest: date | None
    effective_latest: date | None
    published_earliest: date | None
    published_latest: date | None
    implemented_on: date | None
    cites: tuple[Citation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """A mend that the data names: ``add`` or ``replace`` a code of a system."""

    action: str
    system: str
    code: str
    replaces: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One provision's verdict on the claim (``line`` None) or on one of its lines."""

    outcome: Outcome
    provision: str
    label: str
    policy: str
    policy_label: str
    line: int | None
    """Line number as sent."""
    position: int | None
    """The line's place on the claim, from 1."""
    code: str | None
    first_day: date | None
    last_day: date | None
    message: str
    expected: str | None
    found: str | None
    repair: str | None
    repair_action: Repair | None
    overridden_by: str | None
    changed_by: tuple[Change, ...]
    cites: tuple[Citation, ...]
    later_cites: tuple[Citation, ...]
    """Sentences published only after the day asked about that tell of this provision; empty without such a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Governing:
    """A provision that was held against the claim, whether or not it found anything."""

    provision: str
    label: str
    line: int | None
    cites: tuple[Citation, ...]
    changed_by: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything about one claim. Conformant means that no provision here was broken: never *covered* or *payable*."""

    claim: str
    source: str
    where: str
    outcome: ClaimOutcome
    payer: str
    line_of_business: str
    setting: str
    considered: tuple[str, ...]
    """Policies with a provision for this claim's codes, payer and days."""
    governed_by: tuple[Governing, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    """What kept rules from being applied: an unknown payer, a missing day, a misspelt finding."""
    register_revision: str
    as_known_on: date | None
    engine: str


class Reader:
    """Reads an engine's result (validation report and derived graph) against a snapshot's words."""

    def __init__(self, snapshot: Graph, coding: Coding, register: Graph) -> None:
        self._snapshot, self._coding, self._register = snapshot, coding, register
        # A snapshot never changes, so what is said of a provision is worked out once, not once per claim.
        self._citations: dict[Node, Citation] = {}
        self._changed_by: dict[Node, tuple[Change, ...]] = {}

    def read(
        self, claim: Claim, derived: Graph, results: Graph, *, revision: str, as_known_on: date | None, engine: str
    ) -> Report:
        me = iri_for(claim.id)
        items: dict[Node, _Item] = {me: (None, None)}
        items |= {iri_for(claim.id, n): (n, line) for n, line in enumerate(claim.lines, 1)}
        findings = sorted(
            (
                self._finding(_OUTCOMES[shape], provision, item, items[item], derived)
                for item, shape, provision in _results(results)
                if shape in _OUTCOMES
            ),
            key=lambda f: (f.position or 0, _ORDER.index(f.outcome), f.provision),
        )
        governing = tuple(self._governing(derived, items))
        return Report(
            claim=claim.id,
            source=claim.source,
            where=claim.where,
            outcome=_claim_outcome(findings, any(not self._background(g.provision) for g in governing)),
            payer=self._label(derived.value(me, CLM.payer)),
            line_of_business=self._label(derived.value(me, CLM.lineOfBusiness)),
            setting=self._label(derived.value(me, CLM.setting)),
            considered=tuple(sorted({self._policy(p) for i in items for p in derived.objects(i, POL.candidate)})),
            governed_by=governing,
            findings=tuple(findings),
            notes=(*sorted({str(text) for text in _notes(results)}), *_unused(derived, items)),
            register_revision=revision,
            as_known_on=as_known_on,
            engine=engine,
        )

    def _background(self, provision: str) -> bool:
        return (URIRef(provision), POL.background, RdfLiteral(True)) in self._snapshot

    def _governing(self, derived: Graph, items: dict[Node, _Item]) -> Iterator[Governing]:
        for item, (_, line) in items.items():
            for provision in _in_order(derived.objects(item, POL.governedBy)):
                yield Governing(
                    provision=str(provision),
                    label=self._label(provision),
                    line=line.number if line else None,
                    cites=self._cites(self._snapshot.objects(provision, POL.cites)),
                    changed_by=self._changes(provision),
                )

    # --- One finding --------------------------------------------------------------------------------------------------

    def _finding(self, outcome: Outcome, provision: Node, item: Node, place: _Item, derived: Graph) -> Finding:
        graph, (position, line) = self._snapshot, place
        cited = list(graph.objects(provision, POL.cites))
        if any((criterion, RDF.type, POL.CodeValid) in graph for criterion in graph.objects(provision, POL.requires)):
            for validity in derived.objects(item, POL.outOf):
                cited.extend(graph.objects(validity, POL.cites))
        uncertain = (item, POL.dateUncertain, provision) in derived
        if uncertain and outcome == "review":
            for amendment in graph.objects(provision, POL.endedBy):
                cited.extend(graph.objects(amendment, POL.cites))
        broken = self._obligations(provision, item, derived, required=POL.notMet, prohibited=POL.met)
        asked = broken or self._obligations(provision, item, derived, required=POL.unknown, prohibited=POL.unknown)
        repairs = [r for criterion, wanted in broken if wanted and (r := self._repair(criterion, item, derived))]
        stronger = _in_order(s for s in derived.objects(item, POL.yieldsTo) if (s, POL.overrides, provision) in graph)
        version = version_of(provision)
        first, last = (_as_day(derived.value(item, name)) for name in (CLM.firstDay, CLM.lastDay))
        return Finding(
            outcome=outcome,
            provision=str(provision),
            label=self._label(provision),
            policy=self._policy(provision),
            policy_label=self._label(version),
            line=line.number if line else None,
            position=position,
            code=(line.code or line.revenue_code) if line else None,
            first_day=None if first == FIRST_DAY else first,
            last_day=None if last == LAST_DAY else last,
            message=self._message(outcome, provision, item, derived, uncertain, broken, asked, stronger),
            expected="; ".join(self._label(c) if wanted else f"not “{self._label(c)}”" for c, wanted in asked) or None,
            found="; ".join(dict.fromkeys(self._found(c, item, derived) for c, _ in asked)) or None,
            repair="; ".join(dict.fromkeys(text for text, _ in repairs)) or None,
            repair_action=repairs[0][1] if len(repairs) == 1 else None,
            overridden_by=str(stronger[0]) if stronger and outcome == "overridden" else None,
            changed_by=self._changes(provision),
            cites=self._cites(cited),
            later_cites=self._later_cites(provision),
        )

    def _obligations(
        self, provision: Node, item: Node, derived: Graph, *, required: Node, prohibited: Node
    ) -> list[tuple[Node, bool]]:
        """The obligations in a state, each with whether it is required (True) or prohibited."""
        places = ((POL.requires, required, True), (POL.prohibits, prohibited, False))
        return sorted(
            (
                (criterion, wanted)
                for place, state, wanted in places
                for criterion in self._snapshot.objects(provision, place)
                if (item, state, criterion) in derived
            ),
            key=str,
        )

    def _message(
        self,
        outcome: Outcome,
        provision: Node,
        item: Node,
        derived: Graph,
        uncertain: bool,
        broken: list[tuple[Node, bool]],
        asked: list[tuple[Node, bool]],
        stronger: list[Node],
    ) -> str:
        label = self._label(provision)
        if outcome == "overridden" and stronger:
            return f"{label}: gives way to “{self._label(stronger[0])}”"
        if uncertain:
            return f"{label}: whether this was in force on the day is not certain"
        hangs = _in_order(
            c for c in derived.objects(item, POL.hangsOn) if (provision, POL.condition, c) in self._snapshot
        )
        if hangs and (item, POL.conditional, provision) in derived:
            return f"{label}: depends on whether {', '.join(self._label(c) for c in hangs)}; the claim does not show it"
        if asked and not broken:
            return f"{label}: the claim does not show whether {', '.join(self._label(c) for c, _ in asked)}"
        return label

    def _found(self, criterion: Node, item: Node, derived: Graph) -> str:
        """What the claim shows where the criterion looked."""
        leaves = list(self._leaves(criterion))
        shown = [words for leaf in leaves for words in self._shown(leaf, item, derived)]
        if shown:
            aged = any((leaf, RDF.type, POL.DocumentWithin) in self._snapshot for leaf in leaves)
            since = derived.value(derived.value(item, CLM.claim) or item, CLM.referenceDay) if aged else None
            return ", ".join(dict.fromkeys(shown)) + (f" (counted from {since})" if since else "")
        nouns = [
            scheme.noun
            for leaf in leaves
            if (leaf, POL.absentIsNotMet, RdfLiteral(True)) in self._snapshot
            for thing in self._snapshot.objects(leaf, POL.expects)
            if (scheme := self._coding.scheme_of(thing))
        ]
        return "no " + " or ".join(dict.fromkeys(nouns)) if nouns else "nothing on record"

    def _shown(self, leaf: Node, item: Node, derived: Graph) -> Iterator[str]:
        graph = self._snapshot
        if (leaf, RDF.type, POL.CodeValid) in graph:
            for code in _in_order(derived.objects(item, CLM.shows)):
                if any((code, POL.within, kind) in graph for kind in graph.objects(leaf, POL.expects)):
                    out_of = set(graph.objects(code, COD.validity)) & set(derived.objects(item, POL.outOf))
                    yield from map(self._label, _in_order(out_of))
                    if (code, COD.heading, RdfLiteral(True)) in graph:
                        yield f"{self._label(code)}: a heading, which is not reported itself"
            return
        yield from self._recorded(leaf, item, derived)
        schemes = {s.iri: s for e in graph.objects(leaf, POL.expects) if (s := self._coding.scheme_of(e))}
        for place in self._places(leaf, item, derived):
            for thing in _in_order(derived.objects(place, CLM.shows)):
                if self._bears_on(thing, leaf, schemes):
                    yield self._label(thing)
                elif unlisted := next((s for iri, s in schemes.items() if (thing, POL.within, iri) in derived), None):
                    yield f"{unlisted.noun} {self._label(thing)}"
            for thing in _in_order(derived.objects(place, CLM.noFinding)):
                if thing in set(graph.objects(leaf, POL.expects)):
                    yield f"recorded: not so ({self._label(thing)})"

    def _bears_on(self, thing: Node, leaf: Node, schemes: Mapping[URIRef, Scheme]) -> bool:
        """Whether a thing shown tells of what a criterion expects: any code beside it, but of facts only its like."""
        graph = self._snapshot
        scheme = graph.value(thing, SKOS.inScheme)
        if scheme not in schemes:
            return False
        if (scheme, COD.onEveryClaim, RdfLiteral(True)) in graph:
            return True
        return any(
            (thing, POL.within, expected) in graph or (thing, POL.excludes, expected) in graph
            for expected in graph.objects(leaf, POL.expects)
        )

    def _recorded(self, leaf: Node, item: Node, derived: Graph) -> Iterator[str]:
        """What the records say of the kind that a criterion looks for, and the age where it asks for that."""
        graph, claim = self._snapshot, derived.value(item, CLM.claim) or item
        for kind in graph.objects(leaf, POL.recordKind):
            for record in _in_order(derived.objects(item, POL.itemRecord)):
                what = derived.value(record, CLM.recordOf)
                if (what, POL.within, kind) in graph:
                    yield self._record_in_words(what, record, derived)
            if (claim, POL.itemLacks, kind) in derived:
                yield f"recorded: not so ({self._label(kind)})"
        if (leaf, RDF.type, POL.AgeUnder) in graph:
            born, age = derived.value(claim, CLM.bornOn), derived.value(claim, CLM.statedAge)
            if born is not None or age is not None:
                yield f"born on {born}" if born is not None else f"age {age}"

    def _record_in_words(self, what: Node | None, record: Node, derived: Graph) -> str:
        day = derived.value(record, CLM.onDay)
        said = self._label(what) + (f" of {day}" if day is not None else "")
        rest = [
            self._label(value) if isinstance(value, URIRef) else str(value)
            for name in (CLM.recordedResult, CLM.recordedNumber, CLM.recordedProduct)
            if (value := derived.value(record, name)) is not None
        ]
        return f"{said}: {', '.join(rest)}" if rest else said

    def _places(self, leaf: Node, item: Node, derived: Graph) -> list[Node]:
        where = self._snapshot.value(leaf, POL.looksAt)
        claim = derived.value(item, CLM.claim) or item
        if where == POL.ThisItem:
            return [item]
        if where == POL.ClaimItself:
            return [claim]
        parts = _in_order(derived.objects(claim, CLM.part))
        return [p for p in parts if p != claim] if where == POL.AnyLine else parts

    def _leaves(self, criterion: Node) -> Iterator[Node]:
        members = _in_order(self._snapshot.objects(criterion, POL.member))
        if not members:
            yield criterion
        for member in members:
            yield from self._leaves(member)

    # --- Repairs ------------------------------------------------------------------------------------------------------

    def _repair(self, criterion: Node, item: Node, derived: Graph) -> tuple[str, Repair | None] | None:
        """The mend that the data names; a choice between several is in words only, for a person to make."""
        graph = self._snapshot
        if (criterion, RDF.type, POL.CodeValid) in graph:
            return self._successor(item, derived)
        if (criterion, RDF.type, POL.AnyOf) in graph:
            choices = [self._repair(c, item, derived) for c in _in_order(graph.objects(criterion, POL.member))]
            return (" or ".join(choice[0] for choice in choices if choice), None) if all(choices) else None
        if (criterion, RDF.type, POL.Shows) not in graph:
            return None
        wanted = list(graph.objects(criterion, POL.expects))
        if len(wanted) != 1 or (notation := graph.value(wanted[0], SKOS.notation)) is None:
            return None
        scheme = self._coding.scheme_of(wanted[0])
        if scheme is None or scheme.repair is None:
            return None
        if scheme.repair == "add":
            return f"add {self._label(wanted[0])}", Repair(action="add", system=scheme.label, code=str(notation))
        replaced = [
            str(graph.value(t, SKOS.notation) or t.rsplit("/", 1)[-1])
            for t in _in_order(derived.objects(item, CLM.shows))
            if isinstance(t, URIRef) and (t, POL.within, scheme.iri) in derived
        ]
        old = replaced[0] if len(replaced) == 1 else None
        text = f"{scheme.noun} {notation}" + (f" instead of {old}" if old else "")
        return f"report {text}", Repair(action="replace", system=scheme.label, code=str(notation), replaces=old)

    def _successor(self, item: Node, derived: Graph) -> tuple[str, Repair] | None:
        """The code before or after an invalid one, if it is valid on the item's days."""
        graph = self._snapshot
        first, last = (_as_day(derived.value(item, name)) for name in (CLM.firstDay, CLM.lastDay))
        for validity in derived.objects(item, POL.outOf):
            for code in graph.subjects(COD.validity, validity):
                if (item, CLM.shows, code) not in derived:
                    continue
                others = [*graph.subjects(COD.replaces, code), *graph.objects(code, COD.replaces)]
                valid = [o for o in others if first and last and self._valid(o, first, last)]
                scheme = self._coding.scheme_of(code)
                if len(valid) == 1 and scheme:
                    old, new = (str(graph.value(c, SKOS.notation)) for c in (code, valid[0]))
                    repair = Repair(action="replace", system=scheme.label, code=new, replaces=old)
                    return f"report {scheme.noun} {new} instead of {old}", repair
        return None

    def _valid(self, code: Node, first: date, last: date) -> bool:
        graph = self._snapshot
        periods = [
            (_as_day(graph.value(v, POL.certainFrom)), _as_day(graph.value(v, POL.certainUntil)))
            for v in graph.objects(code, COD.validity)
        ]
        return bool(periods) and all(f and u and f <= first and last <= u for f, u in periods)

    # --- Citations ----------------------------------------------------------------------------------------------------

    def _changes(self, provision: Node) -> tuple[Change, ...]:
        if provision not in self._changed_by:
            amendments = _in_order(self._snapshot.objects(provision, POL.endedBy))
            self._changed_by[provision] = tuple(map(self._change, amendments))
        return self._changed_by[provision]

    def _change(self, amendment: Node) -> Change:
        graph, version = self._snapshot, version_of(amendment)
        earliest, latest = bounds(graph, version, "published")
        return Change(
            amendment=str(amendment),
            label=self._label(amendment),
            document=", ".join(sorted(self._label(s) for s in graph.objects(version, POL.source))),
            effective_from=_as_day(graph.value(amendment, POL.effectiveFrom)),
            effective_earliest=_as_day(graph.value(amendment, POL.effectiveEarliest)),
            effective_latest=_as_day(graph.value(amendment, POL.effectiveLatest)),
            published_earliest=earliest,
            published_latest=latest,
            implemented_on=_as_day(graph.value(amendment, POL.implementedOn)),
            cites=self._cites(graph.objects(amendment, POL.cites)),
        )

    def _cites(self, statements: Iterable[Node]) -> tuple[Citation, ...]:
        known = (s for s in _in_order(set(statements)) if (s, RDF.type, POL.Statement) in self._snapshot)
        return tuple(self._citation(statement) for statement in known)

    def _later_cites(self, provision: Node) -> tuple[Citation, ...]:
        known = set(self._snapshot.objects(provision, POL.cites))
        return tuple(self._citation(s) for s in _in_order(set(self._register.objects(provision, POL.cites)) - known))

    def _citation(self, statement: Node) -> Citation:
        if statement not in self._citations:
            graph = self._register
            source = graph.value(statement, DCTERMS.isPartOf)
            ambiguity = graph.value(statement, POL.ambiguity)
            status = graph.value(statement, POL.verificationStatus) or graph.value(source, POL.verificationStatus)
            self._citations[statement] = Citation(
                statement=str(statement),
                document=str(graph.value(source, RDFS.label) or ""),
                section=str(graph.value(statement, POL.section) or ""),
                quote=str(graph.value(statement, POL.quote) or ""),
                ambiguity=str(ambiguity) if ambiguity is not None else None,
                verified=status != POL.Unverified,
            )
        return self._citations[statement]

    def _policy(self, provision: Node) -> str:
        version = version_of(provision)
        return str(self._snapshot.value(version, POL.versionOf) or version)

    def _label(self, node: Node | None) -> str:
        if node is None:
            return ""
        label = self._snapshot.value(node, RDFS.label)
        return str(label) if label is not None else str(node).rstrip("/").rsplit("/", 1)[-1].rsplit("#", 1)[-1]


def _results(report: Graph) -> Iterator[tuple[Node, Node, Node]]:
    """Focus node, shape and provision of each result of a SHACL validation report."""
    for result in report.subjects(RDF.type, SH.ValidationResult):
        item, shape, provision = (report.value(result, p) for p in (SH.focusNode, SH.sourceShape, SH.value))
        if item is not None and shape is not None and provision is not None:
            yield item, shape, provision


def _notes(report: Graph) -> Iterator[Node]:
    for result in report.subjects(RDF.type, SH.ValidationResult):
        shape = report.value(result, SH.sourceShape)
        if str(shape).startswith(str(SHAPE["claim-"])):
            yield from report.objects(result, SH.resultMessage)


def _claim_outcome(findings: list[Finding], governed: bool) -> ClaimOutcome:
    outcomes = {finding.outcome for finding in findings}
    if "violation" in outcomes:
        return "violation"
    if "review" in outcomes:
        return "needs-review"
    return "conformant" if governed else "not-applicable"


def _unused(derived: Graph, items: Mapping[Node, _Item]) -> Iterator[str]:
    """What the claim says that the register cannot use, item by item."""
    for item, (_, line) in items.items():
        for what in _in_order(derived.objects(item, CLM.unused)):
            yield f"{f'Line {line.number}: ' if line else ''}{what}: not used"


def _in_order(nodes: Iterable[Node]) -> list[Node]:
    """RDF knows no order; answers do."""
    return sorted(nodes, key=str)


def _as_day(value: Node | None) -> date | None:
    day = value.toPython() if isinstance(value, RdfLiteral) else None
    return day if isinstance(day, date) else None

"""What was found about one claim, and the words for it: outcome, findings, repairs and the statements they rest on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal as Choice
from typing import TypeAlias, get_args

from chartulary.claim import Claim, Line
from chartulary.coding import Coding, Scheme
from chartulary.facts import Facts, Memory
from chartulary.terms import CLM, COD, IS_PART_OF, LABEL, POL, SHAPE, SKOS, TYPE

Outcome: TypeAlias = Choice["violation", "review", "info", "overridden"]
Reach: TypeAlias = Choice["all", "found", "near"]
ClaimOutcome: TypeAlias = Choice["violation", "needs-review", "conformant", "not-applicable"]

_Item: TypeAlias = tuple[int | None, Line | None]
"""A line and its place on the claim; neither for the claim itself."""

REPORTED_BY: dict[Outcome, str] = {outcome: f"{SHAPE}reports-{outcome}" for outcome in get_args(Outcome)}
"""The shape of ``shapes/outcomes.ttl`` behind each outcome."""
READS: dict[str, Reach] = {
    **dict.fromkeys((POL.candidate, POL.governedBy, *REPORTED_BY.values()), "all"),
    **dict.fromkeys((POL.met, POL.notMet, POL.unknown, POL.outOf, POL.itemRecord), "found"),
    **dict.fromkeys((POL.dateUncertain, POL.conditional, POL.hangsOn, POL.yieldsTo), "found"),
    **dict.fromkeys((CLM.shows, POL.itemLacks), "near"),
}
"""What of all that is derived a report reads: of every item, of items with findings, or of items near those."""
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


@dataclass(frozen=True, slots=True)
class _Provision:
    """What is said of a provision whatever the claim."""

    label: str
    policy: str
    policy_label: str
    cited: frozenset[str]
    cited_by_changes: frozenset[str]
    obligations: tuple[tuple[str, bool], ...]
    """Criteria, each with whether it is required (True) or prohibited."""
    asks_for_valid_codes: bool
    changed_by: tuple[Change, ...]
    later_cites: tuple[Citation, ...]


class Reader:
    """Reads what an engine derived for a claim against a snapshot's words.

    ``register`` knows every statement, whenever published; ``notes`` are the shapes of a well-formed claim with what
    each says.
    """

    def __init__(self, snapshot: Facts, coding: Coding, register: Facts, notes: Mapping[str, str]) -> None:
        self._snapshot, self._coding, self._register, self._notes = snapshot, coding, register, notes
        self._background = {p for p in snapshot.relation(POL.background) if snapshot.has(p, POL.background, True)}
        # A snapshot never changes, so what is said of a provision is worked out once, not once per claim.
        self._citations = Memory(self._citation)
        self._cited = Memory(self._cite)
        self._provisions = Memory(self._provision)
        self._labels = Memory(self._label_of)
        self._governings = Memory(self._governing)
        self._things = Memory(self._thing_in_words)

    @property
    def reads(self) -> dict[str, Reach]:
        """What an engine must hand over, beside what a claim states."""
        return {**READS, **dict.fromkeys(self._notes, "all")}

    def read(
        self, name: str, claim: Claim, derived: Facts, *, revision: str, as_known_on: date | None, engine: str
    ) -> Report:
        """The report on a claim, from what it states under its name and what an engine derived of that."""
        items: dict[str, _Item] = {name: (None, None)}
        for position, line in enumerate(claim.lines, 1):
            items[f"{name}:line:{position}"] = (position, line)
        findings = [
            self._finding(outcome, provision, item, place, derived)
            for outcome, shape in REPORTED_BY.items()
            if (reported := derived.relation(shape))
            for item, place in items.items()
            for provision in reported.get(item, ())
        ]
        findings.sort(key=lambda f: (f.position or 0, _ORDER.index(f.outcome), f.provision))
        governed = derived.relation(POL.governedBy)
        governing = [
            self._governings[provision, line.number if line else None]
            for item, (_, line) in items.items()
            for provision in sorted(governed.get(item, ()))
        ]
        considered = derived.relation(POL.candidate)
        candidates = set().union(*(considered.get(item, ()) for item in items))
        return Report(
            claim=claim.id,
            source=claim.source,
            where=claim.where,
            outcome=_claim_outcome(findings, any(g.provision not in self._background for g in governing)),
            payer=self._label(derived.value(name, CLM.payer)),
            line_of_business=self._label(derived.value(name, CLM.lineOfBusiness)),
            setting=self._label(derived.value(name, CLM.setting)),
            considered=tuple(sorted({self._provisions[provision].policy for provision in candidates})),
            governed_by=tuple(governing),
            findings=tuple(findings),
            notes=(
                *sorted(
                    said
                    for shape, said in self._notes.items()
                    if not items.keys().isdisjoint(derived.relation(shape).keys())
                ),
                *(_unused(derived, items) if derived.relation(CLM.unused) else ()),
            ),
            register_revision=revision,
            as_known_on=as_known_on,
            engine=engine,
        )

    def _governing(self, of: tuple[str, int | None]) -> Governing:
        provision, number = of
        words = self._provisions[provision]
        return Governing(
            provision=provision,
            label=words.label,
            line=number,
            cites=self._cites(words.cited),
            changed_by=words.changed_by,
        )

    def _provision(self, provision: str) -> _Provision:
        graph, version = self._snapshot, _version_of(provision)
        amendments = sorted(graph.objects(provision, POL.endedBy))
        required = [(criterion, True) for criterion in graph.objects(provision, POL.requires)]
        return _Provision(
            label=self._label(provision),
            policy=str(graph.value(version, POL.versionOf) or version),
            policy_label=self._label(version),
            cited=frozenset(graph.objects(provision, POL.cites)),
            cited_by_changes=frozenset(s for a in amendments for s in graph.objects(a, POL.cites)),
            obligations=tuple(
                sorted([*required, *((criterion, False) for criterion in graph.objects(provision, POL.prohibits))])
            ),
            asks_for_valid_codes=any(graph.has(criterion, TYPE, POL.CodeValid) for criterion, _ in required),
            changed_by=tuple(map(self._change, amendments)),
            later_cites=tuple(
                self._citations[s]
                for s in sorted(self._register.objects(provision, POL.cites) - graph.objects(provision, POL.cites))
            ),
        )

    # --- One finding --------------------------------------------------------------------------------------------------

    def _finding(self, outcome: Outcome, provision: str, item: str, place: _Item, derived: Facts) -> Finding:
        graph, (position, line), words = self._snapshot, place, self._provisions[provision]
        cited = words.cited
        if words.asks_for_valid_codes:
            cited = cited.union(*(graph.objects(v, POL.cites) for v in derived.objects(item, POL.outOf)))
        uncertain = derived.has(item, POL.dateUncertain, provision)
        if uncertain and outcome == "review":
            cited |= words.cited_by_changes
        met, not_met, unknown = (derived.objects(item, state) for state in (POL.met, POL.notMet, POL.unknown))
        broken = [(c, wanted) for c, wanted in words.obligations if c in (not_met if wanted else met)]
        asked = broken or [(c, wanted) for c, wanted in words.obligations if c in unknown]
        repairs = [r for criterion, wanted in broken if wanted and (r := self._repair(criterion, item, derived))]
        stronger = sorted(s for s in derived.objects(item, POL.yieldsTo) if graph.has(s, POL.overrides, provision))
        first, last = derived.value(item, CLM.firstDay), derived.value(item, CLM.lastDay)
        return Finding(
            outcome=outcome,
            provision=provision,
            label=words.label,
            policy=words.policy,
            policy_label=words.policy_label,
            line=line.number if line else None,
            position=position,
            code=(line.code or line.revenue_code) if line else None,
            first_day=None if first == date.min else first,
            last_day=None if last == date.max else last,
            message=self._message(outcome, provision, item, derived, uncertain, broken, asked, stronger),
            expected="; ".join(self._label(c) if wanted else f"not “{self._label(c)}”" for c, wanted in asked) or None,
            found="; ".join(dict.fromkeys(self._found(c, item, derived) for c, _ in asked)) or None,
            repair="; ".join(dict.fromkeys(text for text, _ in repairs)) or None,
            repair_action=repairs[0][1] if len(repairs) == 1 else None,
            overridden_by=stronger[0] if stronger and outcome == "overridden" else None,
            changed_by=words.changed_by,
            cites=self._cites(cited),
            later_cites=words.later_cites,
        )

    def _message(
        self,
        outcome: Outcome,
        provision: str,
        item: str,
        derived: Facts,
        uncertain: bool,
        broken: list[tuple[str, bool]],
        asked: list[tuple[str, bool]],
        stronger: list[str],
    ) -> str:
        label = self._label(provision)
        if outcome == "overridden" and stronger:
            return f"{label}: gives way to “{self._label(stronger[0])}”"
        if uncertain:
            return f"{label}: whether this was in force on the day is not certain"
        hangs = sorted(c for c in derived.objects(item, POL.hangsOn) if self._snapshot.has(provision, POL.condition, c))
        if hangs and derived.has(item, POL.conditional, provision):
            return f"{label}: depends on whether {', '.join(self._label(c) for c in hangs)}; the claim does not show it"
        if asked and not broken:
            return f"{label}: the claim does not show whether {', '.join(self._label(c) for c, _ in asked)}"
        return label

    def _found(self, criterion: str, item: str, derived: Facts) -> str:
        """What the claim shows where the criterion looked."""
        leaves = list(self._leaves(criterion))
        shown = [words for leaf in leaves for words in self._shown(leaf, item, derived)]
        if shown:
            aged = any(self._snapshot.has(leaf, TYPE, POL.DocumentWithin) for leaf in leaves)
            since = derived.value(derived.value(item, CLM.claim) or item, CLM.referenceDay) if aged else None
            return ", ".join(dict.fromkeys(shown)) + (f" (counted from {since})" if since else "")
        nouns = [
            scheme.noun
            for leaf in leaves
            if self._snapshot.has(leaf, POL.absentIsNotMet, True)
            for thing in sorted(self._snapshot.objects(leaf, POL.expects))
            if (scheme := self._coding.scheme_of(thing))
        ]
        return "no " + " or ".join(dict.fromkeys(nouns)) if nouns else "nothing on record"

    def _shown(self, leaf: str, item: str, derived: Facts) -> Iterator[str]:
        graph = self._snapshot
        if graph.has(leaf, TYPE, POL.CodeValid):
            for code in sorted(derived.objects(item, CLM.shows)):
                if any(graph.has(code, POL.within, kind) for kind in graph.objects(leaf, POL.expects)):
                    out_of = set(graph.objects(code, COD.validity)) & set(derived.objects(item, POL.outOf))
                    yield from map(self._label, sorted(out_of))
                    if graph.has(code, COD.heading, True):
                        yield f"{self._label(code)}: a heading, which is not reported itself"
            return
        yield from self._recorded(leaf, item, derived)
        for place in self._places(leaf, item, derived):
            for thing in sorted(derived.objects(place, CLM.shows)):
                if said := self._things[thing, leaf]:
                    yield said
            denied = derived.objects(place, CLM.noFinding)
            for thing in sorted(denied & graph.objects(leaf, POL.expects)) if denied else ():
                yield f"recorded: not so ({self._label(thing)})"

    def _thing_in_words(self, of: tuple[str, str]) -> str:
        """What a thing shown is called, where it tells of what a criterion expects; else nothing."""
        thing, leaf = of
        schemes = {s.iri: s for e in self._snapshot.objects(leaf, POL.expects) if (s := self._coding.scheme_of(e))}
        if self._bears_on(thing, leaf, schemes):
            return self._label(thing)
        for scheme in schemes.values():
            if _is_code_of(thing, scheme):
                return f"{scheme.noun} {self._label(thing)}"
        return ""

    def _bears_on(self, thing: str, leaf: str, schemes: Mapping[str, Scheme]) -> bool:
        """Whether a thing shown tells of what a criterion expects: any code beside it, but of facts only its like."""
        graph = self._snapshot
        scheme = graph.value(thing, SKOS.inScheme)
        if scheme not in schemes:
            return False
        if graph.has(scheme, COD.onEveryClaim, True):
            return True
        return any(
            graph.has(thing, POL.within, expected) or graph.has(thing, POL.excludes, expected)
            for expected in graph.objects(leaf, POL.expects)
        )

    def _recorded(self, leaf: str, item: str, derived: Facts) -> Iterator[str]:
        """What the records say of the kind that a criterion looks for, and the age where it asks for that."""
        graph, claim = self._snapshot, derived.value(item, CLM.claim) or item
        for kind in sorted(graph.objects(leaf, POL.recordKind)):
            for record in sorted(derived.objects(item, POL.itemRecord)):
                what = derived.value(record, CLM.recordOf)
                if graph.has(what, POL.within, kind):
                    yield self._record_in_words(what, record, derived)
            if derived.has(claim, POL.itemLacks, kind):
                yield f"recorded: not so ({self._label(kind)})"
        if graph.has(leaf, TYPE, POL.AgeUnder):
            born, age = derived.value(claim, CLM.bornOn), derived.value(claim, CLM.statedAge)
            if born is not None or age is not None:
                yield f"born on {born}" if born is not None else f"age {age}"

    def _record_in_words(self, what: str | None, record: str, derived: Facts) -> str:
        day = derived.value(record, CLM.onDay)
        said = self._label(what) + (f" of {day}" if day is not None else "")
        rest = [
            self._label(value) if isinstance(value, str) else _number(value)
            for name in (CLM.recordedResult, CLM.recordedNumber, CLM.recordedProduct)
            if (value := derived.value(record, name)) is not None
        ]
        return f"{said}: {', '.join(rest)}" if rest else said

    def _places(self, leaf: str, item: str, derived: Facts) -> list[str]:
        where = self._snapshot.value(leaf, POL.looksAt)
        claim = derived.value(item, CLM.claim) or item
        if where == POL.ThisItem:
            return [item]
        if where == POL.ClaimItself:
            return [claim]
        parts = sorted(derived.objects(claim, CLM.part))
        return [p for p in parts if p != claim] if where == POL.AnyLine else parts

    def _leaves(self, criterion: str) -> Iterator[str]:
        members = sorted(self._snapshot.objects(criterion, POL.member))
        if not members:
            yield criterion
        for member in members:
            yield from self._leaves(member)

    # --- Repairs ------------------------------------------------------------------------------------------------------

    def _repair(self, criterion: str, item: str, derived: Facts) -> tuple[str, Repair | None] | None:
        """The mend that the data names; a choice between several is in words only, for a person to make."""
        graph = self._snapshot
        if graph.has(criterion, TYPE, POL.CodeValid):
            return self._successor(item, derived)
        if graph.has(criterion, TYPE, POL.AnyOf):
            choices = [self._repair(c, item, derived) for c in sorted(graph.objects(criterion, POL.member))]
            return (" or ".join(choice[0] for choice in choices if choice), None) if all(choices) else None
        if not graph.has(criterion, TYPE, POL.Shows):
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
            for t in sorted(derived.objects(item, CLM.shows))
            if _is_code_of(t, scheme)
        ]
        old = replaced[0] if len(replaced) == 1 else None
        text = f"{scheme.noun} {notation}" + (f" instead of {old}" if old else "")
        return f"report {text}", Repair(action="replace", system=scheme.label, code=str(notation), replaces=old)

    def _successor(self, item: str, derived: Facts) -> tuple[str, Repair] | None:
        """The code before or after an invalid one, if it is valid on the item's days."""
        graph = self._snapshot
        first, last = (derived.value(item, name) for name in (CLM.firstDay, CLM.lastDay))
        for validity in sorted(derived.objects(item, POL.outOf)):
            for code in graph.subjects(COD.validity, validity):
                if not derived.has(item, CLM.shows, code):
                    continue
                others = [*graph.subjects(COD.replaces, code), *graph.objects(code, COD.replaces)]
                valid = [o for o in others if first and last and self._valid(o, first, last)]
                scheme = self._coding.scheme_of(code)
                if len(valid) == 1 and scheme:
                    old, new = (str(graph.value(c, SKOS.notation)) for c in (code, valid[0]))
                    repair = Repair(action="replace", system=scheme.label, code=new, replaces=old)
                    return f"report {scheme.noun} {new} instead of {old}", repair
        return None

    def _valid(self, code: str, first: date, last: date) -> bool:
        graph = self._snapshot
        periods = [
            (graph.value(v, POL.certainFrom), graph.value(v, POL.certainUntil))
            for v in graph.objects(code, COD.validity)
        ]
        return bool(periods) and all(f and u and f <= first and last <= u for f, u in periods)

    # --- What is said of a thing, whatever the claim ------------------------------------------------------------------

    def label(self, node: str) -> str:
        """What a thing of the register is called."""
        return self._label(node)

    def cites(self, node: str) -> tuple[Citation, ...]:
        """The sentences that a provision, an amendment or a version rests on."""
        return self._cites(self._snapshot.objects(node, POL.cites))

    def changes(self, provision: str) -> tuple[Change, ...]:
        """The amendments that end a provision."""
        return self._provisions[provision].changed_by

    def change(self, node: str) -> Change:
        """An amendment, or a version, with its days and what it rests on."""
        return self._change(node)

    # --- Citations ----------------------------------------------------------------------------------------------------

    def _change(self, amendment: str) -> Change:
        graph, version = self._snapshot, _version_of(amendment)
        exact = graph.value(version, POL.publishedOn)
        return Change(
            amendment=str(amendment),
            label=self._label(amendment),
            document=", ".join(sorted(self._label(s) for s in graph.objects(version, POL.source))),
            effective_from=graph.value(amendment, POL.effectiveFrom),
            effective_earliest=graph.value(amendment, POL.effectiveEarliest),
            effective_latest=graph.value(amendment, POL.effectiveLatest),
            published_earliest=exact or graph.value(version, POL.publishedEarliest),
            published_latest=exact or graph.value(version, POL.publishedLatest),
            implemented_on=graph.value(amendment, POL.implementedOn),
            cites=self._cites(graph.objects(amendment, POL.cites)),
        )

    def _cites(self, statements: AbstractSet[str]) -> tuple[Citation, ...]:
        return self._cited[frozenset(statements)]

    def _cite(self, statements: frozenset[str]) -> tuple[Citation, ...]:
        return tuple(self._citations[s] for s in sorted(statements) if self._snapshot.has(s, TYPE, POL.Statement))

    def _citation(self, statement: str) -> Citation:
        graph = self._register
        source = graph.value(statement, IS_PART_OF)
        ambiguity = graph.value(statement, POL.ambiguity)
        status = graph.value(statement, POL.verificationStatus) or graph.value(source, POL.verificationStatus)
        return Citation(
            statement=statement,
            document=str(graph.value(source, LABEL) or ""),
            section=str(graph.value(statement, POL.section) or ""),
            quote=str(graph.value(statement, POL.quote) or ""),
            ambiguity=str(ambiguity) if ambiguity is not None else None,
            verified=status != POL.Unverified,
        )

    def _label(self, node: str | None) -> str:
        return "" if node is None else self._labels[node]

    def _label_of(self, node: str) -> str:
        label = self._snapshot.value(node, LABEL)
        return str(label) if label is not None else node.rstrip("/").rsplit("/", 1)[-1].rsplit("#", 1)[-1]


def _claim_outcome(findings: list[Finding], governed: bool) -> ClaimOutcome:
    outcomes = {finding.outcome for finding in findings}
    if "violation" in outcomes:
        return "violation"
    if "review" in outcomes:
        return "needs-review"
    return "conformant" if governed else "not-applicable"


def _unused(derived: Facts, items: Mapping[str, _Item]) -> Iterator[str]:
    """What the claim says that the register cannot use, item by item."""
    for item, (_, line) in items.items():
        for what in sorted(derived.objects(item, CLM.unused)):
            yield f"{f'Line {line.number}: ' if line else ''}{what}: not used"


def _is_code_of(thing: str, scheme: Scheme) -> bool:
    """Whether a thing is a code of a system, listed in the register or not."""
    return scheme.pattern is not None and thing.startswith(scheme.namespace)


def _version_of(node: str) -> str:
    """The policy version whose file a provision or amendment stands in."""
    return node.partition("#")[0]


def _number(value: Decimal | date) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)

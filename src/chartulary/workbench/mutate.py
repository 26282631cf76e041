"""Mutants: the register with one small fault at a time, and whether any suite notices.

The faults are a small set: a provision or amendment left out; a day moved by one, forward and back (of provisions,
amendments, versions with something in them, codes' validities and dated criteria); one of a provision's conditions
dropped, or one of several obligations; one member of a group dropped; a number one more or one less.

A suite notices where a claim's outcome or findings, or what is pinned of an answer, come out otherwise than before. A
name in ``suite.toml`` that has gone notices nothing. A mutant that leaves everything that rules read as it was, on
every day that one can ask about, is *equivalent*: no suite could notice, and it counts on neither side.
"""

from __future__ import annotations

import gc
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from multiprocessing import get_all_start_methods, get_context
from typing import Literal as Choice
from typing import TypeAlias

import pyoxigraph
from rdflib import RDF, RDFS, Graph, Literal, Node, URIRef
from rdflib.namespace import DCTERMS, SKOS

from chartulary.ask import gather, run_local
from chartulary.compiler.python import Run, compile_rules
from chartulary.compiler.rules import predicates
from chartulary.errors import ChartularyError
from chartulary.facts import Facts, Relation, from_graph
from chartulary.graph import SHARED, claim_facts, iri_for
from chartulary.namespaces import COD, POL, ROOT
from chartulary.register import Register
from chartulary.report import REPORTED_BY
from chartulary.snapshot import Unknown, fold, version_of
from chartulary.suites import Question, Suite, claim_of
from chartulary.terms import PERIOD, PUBLISHED
from chartulary.terms import POL as P

Triple: TypeAlias = tuple[Node, Node, Node]
Kind: TypeAlias = Choice["left out", "day moved", "dropped", "number changed"]
Verdict: TypeAlias = Choice["killed", "equivalent", "survived"]
_Key: TypeAlias = tuple[date | None, Unknown]
_Change: TypeAlias = tuple[frozenset[Triple], frozenset[Triple]]
"""What is gone from a snapshot, and what is new."""
_Pinned: TypeAlias = tuple[tuple[str, int, str], ...] | frozenset[tuple[str, str]]

_NUMBERS = (
    "atLeast",
    "atMost",
    "moreThan",
    "lessThan",
    "atMostMonths",
    "lessThanMonths",
    "atMostDays",
    "atLeastDays",
    "years",
)
# Words for people, but not labels: what has none is in no answer. What a mutant may change is folded without these.
_WORDS = frozenset(
    {
        RDFS.comment,
        RDFS.seeAlso,
        DCTERMS.title,
        DCTERMS.publisher,
        SKOS.altLabel,
        SKOS.definition,
        POL.quote,
        POL.says,
        POL.section,
        POL.ambiguity,
        POL.notEncoded,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One fault."""

    node: str
    """IRI of what has the fault."""
    kind: Kind
    text: str
    """The fault in words: ``effectiveFrom 2025-06-26 is 2025-06-27``."""
    removed: frozenset[Triple]
    added: frozenset[Triple]
    day: date | None = None
    """Of a moved day of publication: the only day on which it makes a difference to what is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A mutant and what became of it."""

    mutant: Mutant
    policy: str
    """Folder of the policy that it belongs to; empty for what several share."""
    verdict: Verdict
    by: str
    """What noticed (a claim's file or a question), or why no suite could."""


# --- The faults -------------------------------------------------------------------------------------------------------


def mutants(register: Register) -> list[Mutant]:
    """Every mutant of a register, in the order of the nodes' names."""
    whole = register.whole
    provisions = set(whole.subjects(RDF.type, POL.Provision))
    amendments = set(whole.subjects(RDF.type, POL.Amendment))
    tested = {URIRef(iri) for iris in register.snapshot().facts.relation(P.tests).values() for iri in iris}
    dated = provisions | amendments | set(whole.subjects(RDF.type, COD.Validity))
    dated |= {version_of(node) for node in provisions | amendments} & set(whole.subjects(RDF.type, POL.PolicyVersion))
    made: list[Mutant] = []
    for node in sorted({*dated, *tested}, key=str):
        if node in provisions | amendments:
            made.append(_left_out(whole, node))
        if node in dated:
            made += _moved(whole, node, (*PERIOD, *PUBLISHED))
        if node in provisions:
            for place in (POL.when, POL.unless):
                made += _dropped(whole, node, place, least=1)
            for place in (POL.requires, POL.prohibits):
                made += _dropped(whole, node, place, least=2)
        if node in tested:
            made += _moved(whole, node, ("before",))
            made += _dropped(whole, node, POL.member, least=2)
            made += _counted(whole, node)
    return made


def _left_out(whole: Graph, node: Node) -> Mutant:
    gone = {*whole.triples((node, None, None)), *whole.triples((None, None, node))}
    return Mutant(node=str(node), kind="left out", text="left out", removed=frozenset(gone), added=frozenset())


def _moved(whole: Graph, node: Node, names: Iterable[str]) -> Iterator[Mutant]:
    for name in names:
        for value in sorted(whole.objects(node, POL[name]), key=str):
            day = value.toPython() if isinstance(value, Literal) else None
            if not isinstance(day, date):
                continue
            for by in (-1, 1):
                if day in (date.min, date.max):
                    continue
                moved = day + timedelta(days=by)
                yield Mutant(
                    node=str(node),
                    kind="day moved",
                    text=f"{name} {day} is {moved}",
                    removed=frozenset({(node, POL[name], value)}),
                    added=frozenset({(node, POL[name], Literal(moved))}),
                    day=min(day, moved) if name in PUBLISHED else None,
                )


def _dropped(whole: Graph, node: Node, place: URIRef, *, least: int) -> Iterator[Mutant]:
    there = sorted(whole.objects(node, place), key=str)
    for one in there if len(there) >= least else ():
        text = f"{short(str(place))} {short(str(one))} dropped"
        gone = frozenset({(node, place, one)})
        yield Mutant(node=str(node), kind="dropped", text=text, removed=gone, added=frozenset())


def _counted(whole: Graph, node: Node) -> Iterator[Mutant]:
    for name in _NUMBERS:
        for value in sorted(whole.objects(node, POL[name]), key=str):
            assert isinstance(value, Literal)
            for by in (-1, 1):
                other = Literal(value.toPython() + by, datatype=value.datatype)
                yield Mutant(
                    node=str(node),
                    kind="number changed",
                    text=f"{name} {value} is {other}",
                    removed=frozenset({(node, POL[name], value)}),
                    added=frozenset({(node, POL[name], other)}),
                )


def short(iri: str) -> str:
    """An IRI without what all of ours begin with."""
    return iri.removeprefix(f"{ROOT}def/policy#").removeprefix(f"{ROOT}policy/").removeprefix(ROOT)


# --- What suites pin --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Held:
    """An example, ready to be held against one snapshot after another."""

    where: str
    key: _Key
    stated: Facts
    lines: Mapping[str, int]
    """Items, each with its line's number as sent; 0 for the claim."""
    pinned: _Pinned
    reach: AbstractSet[str]
    """Provisions that may ever be looked at for it, on whatever day."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question, ready to be asked of one snapshot after another."""

    suite: Suite
    question: Question
    pinned: _Pinned


class _Ground:
    """A snapshot of the faultless register, and how to get from it to a mutant's."""

    def __init__(self, register: Register, key: _Key, lean: Mapping[URIRef, Graph]) -> None:
        self._register, self._key, self._lean = register, key, lean
        self.snapshot = register.snapshot(as_known_on=key[0], unknown=key[1])
        self._before: dict[frozenset[URIRef], frozenset[Triple]] = {}

    def _fold(self, files: Mapping[URIRef, Graph]) -> frozenset[Triple]:
        return frozenset(fold(files, as_known_on=self._key[0], unknown=self._key[1]))

    def change(self, files: Mapping[URIRef, Graph], mutant: Mutant) -> _Change:
        """What is no longer there with a mutant's files, and what is new."""
        names = frozenset(files)
        if names not in self._before:
            self._before[names] = self._fold({name: self._lean[name] for name in names})
        now, before = self._fold(files), self._before[names]
        return (before - now) | (mutant.removed - now), now - before

    def facts(self, change: _Change) -> Facts:
        """The snapshot's facts with a change; relations that it does not touch are shared."""
        gone, new = (from_graph(triples) for triples in change)
        base = self.snapshot.facts.relations
        changed: dict[str, Relation] = {}
        for predicate in gone.relations.keys() | new.relations.keys():
            rows = changed[predicate] = dict(base.get(predicate, {}))
            lost, won = gone.relation(predicate), new.relation(predicate)
            for subject in lost.keys() | won.keys():
                values = rows.get(subject, set()) - lost.get(subject, set()) | won.get(subject, set())
                if values:
                    rows[subject] = values
                else:
                    rows.pop(subject, None)
        return Facts({**base, **changed})

    def run(self, facts: Facts) -> Run:
        """The rules over facts that differ from the snapshot's."""
        base = self.snapshot.facts
        changed = {p: rows for p, rows in facts.relations.items() if rows is not base.relations.get(p)}
        # What rules ask of a thing that no snapshot had may have been left out of the program. (They name no day.)
        if all(
            isinstance(value, date) or base.subjects(predicate, value)
            for predicate, rows in changed.items()
            for values in rows.values()
            for value in values
        ):
            return self.snapshot.prepared.program.over(changed).prepare()
        return compile_rules(self._register.rules, facts, shared=SHARED).prepare()

    @cached_property
    def store(self) -> pyoxigraph.Store:
        return self.snapshot.store


class Bench:
    """The faultless register with its suites run once, on which mutants are tried one by one.

    Raises:
        ChartularyError: a claim or question of a suite cannot be used.
    """

    def __init__(self, register: Register, suites: Iterable[Suite]) -> None:
        self.register = register
        behind_codes = {
            statement
            for validity in register.whole.subjects(RDF.type, COD.Validity)
            for statement in register.whole.objects(validity, POL.cites)
        }
        self._lean = {name: _lean(graph, behind_codes) for name, graph in register.files.items()}
        self._where: dict[Node, list[URIRef]] = defaultdict(list)
        for name, graph in self._lean.items():
            for node in set(graph.subjects()):
                self._where[node].append(name)
        self._link_files()
        self._grounds: dict[_Key, _Ground] = {}
        self._read = {predicate for rule in register.rules for body in rule.bodies for predicate in predicates(body)}
        facts = register.snapshot().facts
        self._provisions = set(facts.relation(P.possibleFrom)) & {*map(str, facts.subjects(_TYPE, P.Provision))}
        self._tested_by: dict[str, set[str]] = defaultdict(set)
        for provision, criteria in facts.relation(P.tests).items():
            for criterion in criteria:
                self._tested_by[str(criterion)].add(provision)
        suites = list(suites)
        self.policies = sorted((suite.name for suite in suites), key=len, reverse=True)
        self._examples = [held for suite in suites for held in self._held(suite)]
        self._questions = [
            _Asked(suite, question, self._answer(self._ground((question.as_known_on, "review")), suite, question))
            for suite in suites
            for question in suite.questions
        ]

    def policy_of(self, mutant: Mutant) -> str:
        """The folder of the policy that a mutant belongs to; empty for what several share."""
        return next((name for name in self.policies if mutant.node.startswith(f"{ROOT}policy/{name}/")), "")

    def attempt(self, mutant: Mutant) -> Tried:
        """Whether any suite notices a mutant."""
        verdict, by = self._verdict(mutant)
        return Tried(mutant=mutant, policy=self.policy_of(mutant), verdict=verdict, by=by)

    # --- The faultless register ---------------------------------------------------------------------------------------

    def _ground(self, key: _Key) -> _Ground:
        if key not in self._grounds:
            self._grounds[key] = _Ground(self.register, key, self._lean)
        return self._grounds[key]

    def _held(self, suite: Suite) -> Iterator[_Held]:
        for example in suite.examples:
            claim = claim_of(suite, example)
            key = example.as_known_on, example.unknown
            snapshot = self._ground(key).snapshot
            stated = claim_facts(claim, snapshot.coding)
            lines = {iri_for(claim.id): 0}
            lines |= {iri_for(claim.id, place): line.number for place, line in enumerate(claim.lines, 1)}
            derived = snapshot.engine("python").run(stated)
            yield _Held(
                where=f"{suite.name}/{example.file}",
                key=key,
                stated=stated,
                lines=lines,
                pinned=_pinned(derived.relations, lines, snapshot.facts),
                reach=set().union(*self._whenever(stated.relations).get(P.candidate, {}).values()),
            )

    @cached_property
    def _whenever(self) -> Run:
        """The rules, with provisions that have no days."""
        ground = self._ground((None, "review"))
        relations = dict(ground.snapshot.facts.relations)
        relations[P.possibleFrom] = {iri: {date.min} for iri in relations[P.possibleFrom]}
        relations[P.possibleUntil] = {iri: {date.max} for iri in relations[P.possibleUntil]}
        return ground.run(Facts(relations))

    def _answer(self, ground: _Ground, suite: Suite, question: Question) -> _Pinned:
        query = self.register.queries.get(question.ask)
        if query is None:
            raise ChartularyError(f"{suite.name}: there is no question '{question.ask}'")
        # A day's own tables are the same for what is asked, or the suite would not pass; they are costly to make.
        text, _ = query.bind(question.parameters, self._ground((None, "review")).snapshot.coding)
        return frozenset(
            (str(row["provision"]), str(row.get("certainty") or "certain"))
            for row in gather(query, run_local(text, ground.store))
            if str(row.get("provision")).startswith(suite.own)
        )

    # --- One mutant ---------------------------------------------------------------------------------------------------

    def _verdict(self, mutant: Mutant) -> tuple[Verdict, str]:
        files = self._files(mutant)
        ground = self._ground((None, "review"))
        gone, new = change = ground.change(files, mutant)
        heard = self._heard(gone, new)
        if mutant.day:
            version = mutant.node.partition("#")[0]
            affected = {iri for iri in self._provisions if iri.startswith(f"{version}#")}
            affected |= {str(o) for s, o in self.register.whole.subject_objects(POL.ends) if str(s).startswith(version)}
        else:
            affected = self._affected({*gone, *new})
        noticed = self._noticed(mutant, files, affected, change)
        if noticed:
            return "killed", noticed
        if not heard and self._same_on_every_day(files, mutant):
            return "equivalent", "rules and questions read the same with and without it, whatever the day"
        return "survived", ""

    def _noticed(
        self, mutant: Mutant, files: Mapping[URIRef, Graph], affected: AbstractSet[str], change: _Change
    ) -> str:
        examples: dict[_Key, list[_Held]] = defaultdict(list)
        for held in self._examples:
            if held.reach & affected or not affected:
                examples[held.key].append(held)
        questions: dict[_Key, list[_Asked]] = defaultdict(list)
        for asked in self._questions:
            if any(iri.startswith(asked.suite.own) for iri in (mutant.node, *affected)):
                questions[asked.question.as_known_on, "review"].append(asked)
        for key in sorted({*examples, *questions}, key=lambda key: (key[0] is not None, str(key))):
            if mutant.day and key[0] != mutant.day:
                continue
            ground = self._ground(key)
            gone, new = change if key == (None, "review") else ground.change(files, mutant)
            if not (gone or new):
                continue
            facts = ground.facts((gone, new))
            if examples[key]:
                run = ground.run(facts)
                for held in examples[key]:
                    if _pinned(run(held.stated.relations), held.lines, facts) != held.pinned:
                        return held.where
            if questions[key] and (by := self._noticed_by_questions(ground, gone, new, questions[key])):
                return by
        return ""

    def _noticed_by_questions(
        self, ground: _Ground, gone: Iterable[Triple], new: Iterable[Triple], questions: Iterable[_Asked]
    ) -> str:
        out = [_quad(triple) for triple in gone]
        out = [quad for quad in out if quad in ground.store]
        into = [quad for quad in (_quad(triple) for triple in new) if quad not in ground.store]
        for quad in out:
            ground.store.remove(quad)
        ground.store.extend(into)
        try:
            for asked in questions:
                if self._answer(ground, asked.suite, asked.question) != asked.pinned:
                    return f"{asked.suite.name}: {asked.question.name}"
        finally:
            for quad in into:
                ground.store.remove(quad)
            ground.store.extend(out)
        return ""

    def _files(self, mutant: Mutant) -> dict[URIRef, Graph]:
        """The lean files that a mutant's fault can show in, with the fault; those without it are shared."""
        touched = {name for s, _, _ in (*mutant.removed, *mutant.added) for name in self._where[s]}
        files = {name: self._lean[name] for name in self._near(frozenset(touched))}
        for name in touched:
            files[name] = Graph(store="SimpleMemory")
            for triple in {*self._lean[name]} - mutant.removed:
                files[name].add(triple)
            for triple in mutant.added:
                if name in self._where[triple[0]]:
                    files[name].add(triple)
        return files

    def _near(self, touched: frozenset[URIRef]) -> frozenset[URIRef]:
        """Files to fold together: a policy with all that it refers to and that ends anything in it.

        Where what several policies share has the fault, that is every file.
        """
        if touched not in self._regions:
            policies = {_folder(name) for name in touched}
            if policies & self._shared:
                self._regions[touched] = frozenset(self._lean)
            else:
                reached: set[URIRef] = set()
                waiting = [*self._always, *touched]
                while waiting:
                    name = waiting.pop()
                    if name not in reached:
                        reached.add(name)
                        waiting += self._refers[name]
                self._regions[touched] = frozenset(reached)
        return self._regions[touched]

    def _link_files(self) -> None:
        """Which files must be folded with which."""
        self._regions: dict[frozenset[URIRef], frozenset[URIRef]] = {}
        self._refers: dict[URIRef, set[URIRef]] = defaultdict(set)
        self._always: set[URIRef] = set()
        together: dict[str, set[URIRef]] = defaultdict(set)
        for name, graph in self._lean.items():
            for _, p, o in graph:
                there = self._where.get(o, ())
                self._refers[name].update(there)
                if p == POL.ends:
                    for ended in there:
                        self._refers[ended].add(name)
                if p == RDF.type and o in (COD.CodeSystem, POL.Request):
                    self._always.add(name)
                if p == RDF.type and o in (POL.Policy, POL.PolicyVersion):
                    together[_folder(name)].add(name)
        self._shared = {_folder(name) for name in self._lean} - set(together)
        for names in together.values():
            for name in names:
                self._refers[name] |= names

    def _heard(self, gone: Iterable[Triple], new: Iterable[Triple]) -> bool:
        """Whether rules read anything of a change, or questions about amendments."""
        return any(str(p) in self._read or p == POL.endedBy for _, p, _ in (*gone, *new))

    def _same_on_every_day(self, files: Mapping[URIRef, Graph], mutant: Mutant) -> bool:
        days = [mutant.day] if mutant.day else self._days
        for day in days:
            ground = self._ground((day, "review"))
            if self._heard(*ground.change(files, mutant)):
                return False
        return True

    @cached_property
    def _days(self) -> list[date]:
        """Days on which what is known changes, each with the day before."""
        told = {
            value.toPython()
            for node in self.register.whole.subjects(RDF.type, POL.PolicyVersion)
            for name in PUBLISHED
            for value in self.register.whole.objects(node, POL[name])
            if isinstance(value, Literal)
        }
        days = {day for day in told if isinstance(day, date)}
        return sorted(days | {day - timedelta(days=1) for day in days})

    def _affected(self, changed: Iterable[Triple]) -> set[str]:
        """Provisions that a change is about; none where it may be about any."""
        affected: set[str] = set()
        for s, _, o in changed:
            for node in (str(s), str(o)):
                affected |= {node} & self._provisions
                affected |= self._tested_by.get(node, set())
        return affected


_TYPE = str(RDF.type)


def _folder(file: URIRef) -> str:
    return str(file).rpartition("/")[0]


def _lean(graph: Graph, behind_codes: AbstractSet[Node]) -> Graph:
    """A file with what mutants may change and what a fold asks of the rest: no words, no hierarchy of codes.

    Of statements it has those that codes' validities rest on: a validity is known when they are.
    """
    lean = Graph(store="SimpleMemory")
    codes = set(graph.subjects(RDF.type, COD.Code))
    statements = set(graph.subjects(RDF.type, POL.Statement)) - behind_codes
    for s, p, o in graph:
        if s in statements or p in _WORDS or (s in codes and p != SKOS.inScheme):
            continue
        if p != POL.cites or o in behind_codes:
            lean.add((s, p, o))
    return lean


def _pinned(derived: Mapping[str, Mapping[str, AbstractSet[str]]], lines: Mapping[str, int], facts: Facts) -> _Pinned:
    """Outcome and findings, as a suite pins them."""
    findings = [
        (provision, lines[item], outcome)
        for outcome, shape in REPORTED_BY.items()
        for item, provisions in derived.get(shape, {}).items()
        for provision in provisions
    ]
    governing = set().union(*derived.get(P.governedBy, {}).values())
    governed = any(not facts.has(provision, P.background, True) for provision in governing)
    return tuple(sorted([*findings, ("governed", 0, str(governed))]))


def _quad(triple: Triple) -> pyoxigraph.Quad:
    s, p, o = triple
    assert isinstance(o, URIRef | Literal)
    value: pyoxigraph.NamedNode | pyoxigraph.Literal
    if isinstance(o, URIRef):
        value = pyoxigraph.NamedNode(str(o))
    elif o.language:
        value = pyoxigraph.Literal(str(o), language=o.language)
    else:
        value = pyoxigraph.Literal(str(o), datatype=pyoxigraph.NamedNode(str(o.datatype)) if o.datatype else None)
    return pyoxigraph.Quad(pyoxigraph.NamedNode(str(s)), pyoxigraph.NamedNode(str(p)), value)


# --- All of them ------------------------------------------------------------------------------------------------------

_bench: Bench | None = None


def _begin(make: Callable[[], Bench]) -> None:
    global _bench
    if _bench is None:
        _bench = make()


def _attempt(mutant: Mutant) -> Tried:
    assert _bench is not None
    return _bench.attempt(mutant)


def attempt_all(bench: Bench, chosen: Iterable[Mutant], *, jobs: int | None = None) -> Iterator[Tried]:
    """Tries mutants in several processes where they can be forked; results come in the order of the mutants."""
    global _bench
    chosen = list(chosen)
    jobs = min(jobs or os.cpu_count() or 1, len(chosen))
    if jobs <= 1 or sys.platform != "linux" or "fork" not in get_all_start_methods():
        yield from map(bench.attempt, chosen)
        return
    _bench = bench  # forked processes have it already
    gc.freeze()  # and need not copy it to count references
    try:
        with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
            yield from pool.map(_attempt, chosen, chunksize=4)
    finally:
        _bench = None

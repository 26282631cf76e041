"""What the suites exercise: which provisions were ever in scope, kept or broken, and which criteria met or not met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from chartulary.errors import ChartularyError
from chartulary.facts import Facts
from chartulary.graph import claim_facts
from chartulary.register import Register
from chartulary.suites import Suite, answer, claim_of, pinned
from chartulary.terms import POL, TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionUse:
    """On how many claims of the suites a provision did what."""

    in_scope: int = 0
    """It was looked at: scope, code and days fit."""
    governed: int = 0
    """It surely applied."""
    kept: int = 0
    """It surely applied, and everything that it asks for was there."""
    broken: int = 0
    """Something that it asks for was not there, or something that it forbids was."""
    answered: int = 0
    """Questions of the suites whose answer lists it."""
    obliges: bool
    """Whether it asks for or forbids anything; a notice can be neither kept nor broken."""

    @property
    def exercised(self) -> bool:
        return bool(self.in_scope or self.answered)


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionUse:
    """On how many claims of the suites a criterion came out how."""

    met: int = 0
    not_met: int = 0
    unknown: int = 0

    @property
    def exercised(self) -> bool:
        return bool(self.met or self.not_met or self.unknown)


@dataclass(frozen=True)
class Coverage:
    """What suites exercise of a register, by IRI."""

    provisions: Mapping[str, ProvisionUse]
    criteria: Mapping[str, CriterionUse]
    """Criteria that some provision tests, on its own or in a group."""
    criteria_of: Mapping[str, frozenset[str]]
    """The criteria that a provision tests."""

    @cached_property
    def never(self) -> frozenset[str]:
        """Provisions that were in scope of no claim and in no answer."""
        return frozenset(iri for iri, use in self.provisions.items() if not use.exercised)

    @cached_property
    def never_broken(self) -> frozenset[str]:
        """Provisions that ask for something and were in scope, and that no claim broke."""
        return frozenset(iri for iri, use in self.provisions.items() if use.obliges and use.in_scope and not use.broken)

    @cached_property
    def never_kept(self) -> frozenset[str]:
        """Provisions that ask for something and were in scope, and that no claim kept."""
        return frozenset(iri for iri, use in self.provisions.items() if use.obliges and use.in_scope and not use.kept)

    @cached_property
    def criteria_never(self) -> frozenset[str]:
        """Criteria that were worked out for no claim."""
        return frozenset(iri for iri, use in self.criteria.items() if not use.exercised)

    @cached_property
    def criteria_never_met(self) -> frozenset[str]:
        """Criteria that were worked out, and were met on no claim."""
        return frozenset(iri for iri, use in self.criteria.items() if use.exercised and not use.met)

    @cached_property
    def criteria_never_not_met(self) -> frozenset[str]:
        """Criteria that were worked out, and on no claim came out as not met."""
        return frozenset(iri for iri, use in self.criteria.items() if use.exercised and not use.not_met)

    def of(self, beginning: str | tuple[str, ...]) -> Coverage:
        """The same of the provisions alone whose IRI begins so, and of the criteria that those test."""
        own = {iri: use for iri, use in self.provisions.items() if iri.startswith(beginning)}
        tested = {criterion for iri in own for criterion in self.criteria_of.get(iri, ())}
        return Coverage(
            provisions=own,
            criteria={iri: use for iri, use in self.criteria.items() if iri in tested},
            criteria_of={iri: criteria for iri, criteria in self.criteria_of.items() if iri in own},
        )


def coverage(register: Register, suites: Iterable[Suite]) -> Coverage:
    """What the suites exercise of the whole register, by the Python engine.

    An example that cannot be read, or a question that cannot be asked, exercises nothing: ``suites.run`` tells of it.
    """
    whole = register.snapshot().facts
    provisions: Counter[tuple[str, str]] = Counter()
    criteria: Counter[tuple[str, str]] = Counter()
    for suite in suites:
        for example in suite.examples:
            try:
                claim = claim_of(suite, example)
            except ChartularyError:
                continue
            snapshot = register.snapshot(as_known_on=example.as_known_on, unknown=example.unknown)
            derived = snapshot.engine("python").run(claim_facts(claim, snapshot.coding))
            provisions.update(_provisions_seen(derived))
            criteria.update(_criteria_seen(derived))
        for question in suite.questions:
            try:
                found = answer(question, register)
            except ChartularyError:
                continue
            provisions.update((iri, "answered") for iri, _ in pinned(suite, found))
    obliging = whole.relation(POL.requires).keys() | whole.relation(POL.prohibits).keys()
    tests = {iri: frozenset(map(str, whole.objects(iri, POL.tests))) for iri in whole.subjects(TYPE, POL.Provision)}
    return Coverage(
        provisions={
            iri: ProvisionUse(
                **{name: provisions[iri, name] for name in ("in_scope", "governed", "kept", "broken", "answered")},
                obliges=iri in obliging,
            )
            for iri in tests
        },
        criteria={
            iri: CriterionUse(**{name: criteria[iri, name] for name in ("met", "not_met", "unknown")})
            for iri in sorted(set().union(*tests.values()))
        },
        criteria_of=tests,
    )


def _provisions_seen(derived: Facts) -> set[tuple[str, str]]:
    """What provisions did on any item of a claim."""
    seen: set[tuple[str, str]] = set()
    for item, candidates in derived.relation(POL.candidate).items():
        seen.update((iri, "in_scope") for iri in candidates)
        governing, broken = derived.objects(item, POL.governedBy), derived.objects(item, POL.breaks)
        seen.update((iri, "governed") for iri in governing)
        seen.update((iri, "broken") for iri in broken)
        seen.update((iri, "kept") for iri in governing - broken - derived.objects(item, POL.leavesOpen))
    return seen


def _criteria_seen(derived: Facts) -> set[tuple[str, str]]:
    """How criteria came out on any item of a claim."""
    return {
        (iri, name)
        for name, predicate in (("met", POL.met), ("not_met", POL.notMet), ("unknown", POL.unknown))
        for found in derived.relation(predicate).values()
        for iri in found
    }

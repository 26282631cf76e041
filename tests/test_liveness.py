"""Every provision and amendment is alive: without it, a claim of a suite or an answer comes out otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import pytest
from rdflib import RDF, Graph, Literal, Node, URIRef
from rdflib.namespace import SKOS

from chartulary import Register, Report
from chartulary.namespaces import COD, POL, ROOT
from chartulary.register import data_folder
from chartulary.snapshot import FIRST_DAY
from chartulary.suites import Example, Suite, read_suite, report

POLICIES = data_folder("policies")
ALL = Register.load()
WHOLE = ALL.snapshot().graph
QUESTION = URIRef(f"{ROOT}request/question")


def every(kind: URIRef) -> list[URIRef]:
    return sorted(node for graph in ALL.files.values() for node in graph.subjects(RDF.type, kind))  # type: ignore[misc]


def only_asked_about(provision: Node) -> bool:
    """Whether no claim is ever held against it."""
    scopes = list(WHOLE.objects(provision, POL.scope))
    return all(request == QUESTION for scope in scopes for request in WHOLE.objects(scope, POL.request))


def short(node: Node) -> str:
    return str(node).removeprefix(f"{ROOT}policy/")


PROVISIONS = [provision for provision in every(POL.Provision) if not only_asked_about(provision)]
QUESTIONS = [provision for provision in every(POL.Provision) if only_asked_about(provision)]
AMENDMENTS = every(POL.Amendment)
SAMPLE = PROVISIONS[::24]
"""Of those that find something, the ones that are really taken out: each costs a snapshot."""


def without(node: Node) -> Register:
    """The register as if nobody had written the node."""
    files: dict[URIRef, Graph] = {}
    for name, graph in ALL.files.items():
        files[name] = graph
        if (node, None, None) in graph or (None, None, node) in graph:
            files[name] = Graph()
            for triple in graph:
                if node not in triple:
                    files[name].add(triple)
    poorer = Register(files, ALL.shapes, ALL.queries, "without")
    poorer.whole = ALL.whole  # the words of citations, costly to gather: no result that is compared here holds them
    return poorer


@dataclass(frozen=True)
class Run:
    """A claim of a suite, and what it gives with everything in the register."""

    suite: Suite
    example: Example
    report: Report

    def again(self, register: Register) -> Report:
        return report(self.suite, self.example, register, "shifty")


def result(found: Report) -> tuple[object, ...]:
    """All that a suite pins."""
    return found.outcome, sorted((finding.provision, finding.line or 0, finding.outcome) for finding in found.findings)


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return [
        Run(suite, example, report(suite, example, ALL, "shifty"))
        for suite in (read_suite(path, POLICIES) for path in sorted(POLICIES.rglob("suite.toml")))
        for example in suite.examples
    ]


def differs(runs: Iterable[Run], register: Register) -> bool:
    return any(result(run.again(register)) != result(run.report) for run in runs)


@pytest.mark.parametrize("provision", PROVISIONS, ids=short)
def test_every_provision_is_alive(runs: list[Run], provision: URIRef) -> None:
    # One that neither found anything nor governed can be missed nowhere: rules pass on nothing else of a candidate.
    speaks = [run for run in runs if any(finding.provision == str(provision) for finding in run.report.findings)]
    if speaks and provision not in SAMPLE:
        return  # a finding of a provision that isn't there cannot be: a suite pins it
    governs = [run for run in runs if any(held.provision == str(provision) for held in run.report.governed_by)]
    assert differs([*speaks, *governs], without(provision)), f"no suite misses {short(provision)}"


@pytest.mark.parametrize("amendment", AMENDMENTS, ids=short)
def test_every_amendment_is_alive(runs: list[Run], amendment: URIRef) -> None:
    ended = {str(provision) for provision in WHOLE.objects(amendment, POL.ends)}
    policies = {iri.rpartition("/")[0] for iri in ended}
    near = [run for run in runs if any(policy.startswith(tuple(policies)) for policy in run.report.considered)]
    assert differs(near or runs, without(amendment)), f"no suite misses {short(amendment)}"


@pytest.mark.parametrize("provision", QUESTIONS, ids=short)
def test_every_fact_to_look_up_is_alive(provision: URIRef) -> None:
    poorer = without(provision)
    for question in questions_about(provision):
        rows = {row["provision"] for row in ALL.ask("requirements", **question)}
        if rows != {row["provision"] for row in poorer.ask("requirements", **question)}:
            return
    pytest.fail(f"no answer misses {short(provision)}")


def questions_about(provision: Node) -> Iterator[dict[str, str]]:
    """Questions whose answer should hold the provision, made of its own code, scope and first day."""
    for scope in WHOLE.objects(provision, POL.scope):
        groups = set(WHOLE.objects(provision, POL.about))
        codes = [code for code in registered_codes() if groups & set(WHOLE.objects(code, POL.within))]
        payers, businesses, settings = (
            [str(one) for whole in WHOLE.objects(scope, place) for one in WHOLE.subjects(POL.within, whole)]
            for place in (POL.payer, POL.lineOfBusiness, POL.setting)
        )
        first = WHOLE.value(provision, POL.possibleFrom)
        assert isinstance(first, Literal)
        day = "2025-06-30" if first.toPython() == FIRST_DAY else str(first)
        for code, payer, business, setting in product(codes, payers, businesses, settings):
            notation = str(WHOLE.value(code, SKOS.notation))
            yield {"code": notation, "payer": payer, "lob": business, "setting": setting, "dos": day}


def registered_codes() -> list[Node]:
    """Codes that a claim writes; services and other groups have no notation."""
    return sorted(code for code in WHOLE.subjects(RDF.type, COD.Code) if WHOLE.value(code, SKOS.notation) is not None)

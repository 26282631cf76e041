"""Mutants: a fault is noticed only where a claim or answer comes out otherwise; quick ways give what slow ones do."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from rdflib import RDF, Graph, Literal, URIRef

from chartulary import Register
from chartulary.namespaces import COD, POL, ROOT
from chartulary.register import data_folder
from chartulary.suites import Suite, find_suites
from chartulary.workbench.mutate import Bench, Mutant, attempt_all, mutants

POLICIES = data_folder("policies")
EXAMPLE = Path(__file__).resolve().parents[1] / "docs" / "example" / "policies"
CAR_T = f"{ROOT}policy/example-health/car-t/"


@pytest.fixture(scope="module")
def example() -> Register:
    return Register.load(policies=EXAMPLE)


@pytest.fixture(scope="module")
def suites() -> list[Suite]:
    return find_suites(EXAMPLE)


@pytest.fixture(scope="module")
def bench(example: Register, suites: list[Suite]) -> Bench:
    return Bench(example, suites)


@pytest.fixture(scope="module")
def every(example: Register) -> list[Mutant]:
    return mutants(example)


def some(every: Iterable[Mutant], node: str, *words: str) -> Mutant:
    (found,) = (mutant for mutant in every if mutant.node == CAR_T + node and all(w in mutant.text for w in words))
    return found


def only(suites: list[Suite], *files: str) -> list[Suite]:
    (suite,) = suites
    return [replace(suite, examples=tuple(e for e in suite.examples if Path(e.file).stem in files))]


# --- Which faults -----------------------------------------------------------------------------------------------------


def test_what_is_left_out_moved_dropped_and_counted(every: list[Mutant]) -> None:
    of = Counter(mutant.kind for mutant in every if mutant.node == f"{CAR_T}2025-05-15#product-under-0891")
    assert of == {"left out": 1, "day moved": 2, "dropped": 1}
    assert Counter(m.text for m in every if m.node == f"{CAR_T}2025-05-15#echocardiogram-of-six-months") == {
        "atMostMonths 6 is 5": 1,
        "atMostMonths 6 is 7": 1,
    }
    version = [m.text for m in every if m.node == f"{CAR_T}2025-11"]
    assert "publishedEarliest 2025-11-01 is 2025-10-31" in version
    assert "publishedLatest 2025-11-30 is 2025-12-01" in version


def test_the_faults_of_the_register_are_all_there(register: Register) -> None:
    made = mutants(register)
    graph = register.whole
    nodes = {*graph.subjects(RDF.type, POL.Provision), *graph.subjects(RDF.type, POL.Amendment)}
    assert {m.node for m in made if m.kind == "left out"} == {str(node) for node in nodes}
    moved = Counter(m.node for m in made if m.kind == "day moved")
    for node in {*nodes, *graph.subjects(RDF.type, COD.Validity)}:
        days = [o for _, p, o in graph.triples((node, None, None)) if str(p).startswith(str(POL)) and is_period(p)]
        assert moved[str(node)] == 2 * len(days), node
    assert len({(m.node, m.text) for m in made}) == len(made)


def is_period(predicate: URIRef) -> bool:
    return predicate.removeprefix(str(POL)).startswith(("effective", "ends", "published")) and predicate != POL.ends


# --- What notices -----------------------------------------------------------------------------------------------------


def test_a_rule_left_out_is_noticed_by_a_claim_that_breaks_it(bench: Bench, every: list[Mutant]) -> None:
    tried = bench.attempt(some(every, "2025-05-15#HIV-test", "left out"))
    assert (tried.verdict, tried.policy) == ("killed", "example-health/car-t")
    assert "claims/" in tried.by


def test_a_name_in_the_suite_notices_nothing(example: Register, suites: list[Suite], every: list[Mutant]) -> None:
    """The suite names Q0-in-a-trial as expected; the one claim that is left is not about it."""
    narrowed = Bench(example, only(suites, "right-request"))
    assert narrowed.attempt(some(every, "2025-05-15#Q0-in-a-trial", "left out")).verdict == "survived"


def test_each_side_of_a_first_day_needs_its_own_claim(
    example: Register, suites: list[Suite], every: list[Mutant]
) -> None:
    earlier, later = (
        some(every, "2025-05-15#Q0-in-a-trial", f"2025-07-01 is {day}") for day in ("2025-06-30", "2025-07-02")
    )
    before = Bench(example, only(suites, "right-trial-without-Q0-the-day-before"))
    on = Bench(example, only(suites, "trial-without-Q0-on-the-first-day"))
    verdicts = [[one.attempt(mutant).verdict for mutant in (earlier, later)] for one in (before, on)]
    assert verdicts == [["killed", "survived"], ["survived", "killed"]]


def test_a_moved_publication_is_noticed_on_its_day_alone(bench: Bench, every: list[Mutant]) -> None:
    for text in ("publishedEarliest 2025-11-01 is 2025-10-31", "publishedLatest 2025-11-30 is 2025-12-01"):
        assert bench.attempt(some(every, "2025-11", text)).verdict == "killed"
    for text in ("publishedEarliest 2025-11-01 is 2025-11-02", "publishedLatest 2025-11-30 is 2025-11-29"):
        assert bench.attempt(some(every, "2025-11", text)).verdict == "survived", "no claim is as known on the next day"


def test_the_example_is_whole_again_after_each(bench: Bench, every: list[Mutant]) -> None:
    mutant = some(every, "2025-05-15#HIV-test", "left out")
    assert [bench.attempt(mutant).verdict for _ in range(3)] == ["killed"] * 3


# --- What nothing could notice ----------------------------------------------------------------------------------------


def with_triples(register: Register, file: str, *added: tuple[URIRef, URIRef, Literal]) -> Register:
    files = dict(register.files)
    changed = files[URIRef(file)] = Graph()
    for triple in (*register.files[URIRef(file)], *added):
        changed.add(triple)
    return Register(files, register.shapes, register.queries, "changed")


@pytest.mark.slow
def test_a_day_that_another_day_hides_is_equivalent(example: Register, suites: list[Suite]) -> None:
    """Where a first day is exact, an earliest one is read by nothing."""
    version, node = f"{CAR_T}2025-05-15", URIRef(f"{CAR_T}2025-05-15#product-under-0891")
    register = with_triples(
        example, version, (node, POL.effectiveEarliest, Literal("2025-06-01", datatype=URIRef(f"{XSD}date")))
    )
    bench = Bench(register, suites)
    for mutant in mutants(register):
        if mutant.node == str(node) and mutant.text.startswith("effectiveEarliest"):
            tried = bench.attempt(mutant)
            assert (tried.verdict, bool(tried.by)) == ("equivalent", True)


@pytest.mark.slow
def test_what_only_shows_before_an_amendment_was_known_is_no_equivalent(example: Register, suites: list[Suite]) -> None:
    """Bulletin 9 ends the rule earlier than its own last day: who asks as of before it was known sees that day."""
    node = URIRef(f"{CAR_T}2025-05-15#Q0-in-a-trial")
    register = with_triples(
        example,
        f"{CAR_T}2025-05-15",
        (node, POL.effectiveUntil, Literal("2026-12-31", datatype=URIRef(f"{XSD}date"))),
    )
    bench = Bench(register, suites)
    verdicts = {bench.attempt(m).verdict for m in mutants(register) if m.node == str(node) and "2026" in m.text}
    assert verdicts == {"survived"}


XSD = "http://www.w3.org/2001/XMLSchema#"


# --- Quick and slow ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_change_is_what_folding_everything_again_gives(bench: Bench, example: Register, every: list[Mutant]) -> None:
    """A mutant's snapshot is put together from little; the whole register folded with the fault is the same."""
    ground = bench._ground((None, "review"))
    read = {str(p) for p in bench._read} | {str(POL.endedBy)}
    for mutant in random.Random(5).sample(every, 8):
        files = {}
        for name, graph in example.files.items():
            files[name] = Graph()
            for triple in {*graph} - mutant.removed:
                files[name].add(triple)
            for triple in mutant.added if any((triple[0], None, None) in graph for triple in mutant.added) else ():
                files[name].add(triple)
        slow = Register(files, example.shapes, example.queries, "slow").snapshot().facts.relations
        quick = ground.facts(ground.change(bench._files(mutant), mutant)).relations
        label = "http://www.w3.org/2000/01/rdf-schema#label"
        for predicate in read - {label}:
            assert quick.get(predicate, {}) == slow.get(predicate, {}), (mutant.node, mutant.text, predicate)


def test_processes_give_what_one_gives(bench: Bench, every: list[Mutant]) -> None:
    chosen = [m for m in every if m.node.startswith(f"{CAR_T}2025-11")][:12]
    one = list(attempt_all(bench, chosen, jobs=1))
    two = list(attempt_all(bench, chosen, jobs=2))
    assert one == two
    assert [tried.mutant for tried in one] == chosen

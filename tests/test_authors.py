"""The guide for authors: its policy passes, its blocks are text of that policy, its commands print what it shows."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pyshacl
import pytest
from examples import Document, check_example, title
from rdflib import OWL, RDF, RDFS, BNode, Graph, Literal, URIRef
from rdflib.namespace import DCTERMS

from chartulary import Register, Report
from chartulary.engines import EngineName
from chartulary.namespaces import POL, ROOT
from chartulary.readers import read_claims
from chartulary.register import data_folder
from chartulary.suites import Example, Suite, find_suites, report, run

BASE = Path(__file__).resolve().parents[1]
GUIDE = Document(BASE / "docs" / "authors.md")
FOLDER = BASE / "docs" / "example" / "policies"
POLICY = FOLDER / "example-health" / "car-t"
TURTLE = sorted(FOLDER.rglob("*.ttl"))
BULLETINS = {"example-health-bulletin-7": "bulletin-7.txt", "example-health-bulletin-9": "bulletin-9.txt"}


@cache
def checker() -> ModuleType:
    """docs/example/check.py, as the guide has authors run it."""
    spec = importlib.util.spec_from_file_location("check", BASE / "docs" / "example" / "check.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def widened() -> Register:
    return Register.load(policies=FOLDER)


@pytest.fixture(scope="module")
def suite() -> Suite:
    (only,) = find_suites(FOLDER)
    return only


@cache
def parsed(path: Path) -> Graph:
    return Graph().parse(path)


def together(paths: Iterable[Path]) -> Graph:
    graph = Graph()
    for path in paths:
        graph += parsed(path)
    return graph


@cache
def own() -> Graph:
    return together(TURTLE)


@cache
def vocabulary() -> Graph:
    return together((BASE / "ontology").glob("*.ttl"))


def name(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix()


# --- The worked policy ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["shifty", "pyshacl"])
def test_its_suite_passes_in_each_engine(widened: Register, suite: Suite, engine: EngineName) -> None:
    assert run(suite, widened, engine) == []


def test_its_suite_has_every_outcome(suite: Suite) -> None:
    assert {example.outcome for example in suite.examples} == {
        "violation",
        "needs-review",
        "conformant",
        "not-applicable",
    }


@pytest.fixture(scope="module")
def reports(widened: Register, suite: Suite) -> dict[Example, Report]:
    return {example: report(suite, example, widened, "shifty") for example in suite.examples}


@pytest.mark.parametrize(
    "part",
    sorted({*own().subjects(RDF.type, POL.Provision), *own().subjects(RDF.type, POL.Amendment)}),
    ids=lambda part: part.rpartition("#")[2],
)
def test_each_of_its_provisions_is_alive(
    widened: Register, suite: Suite, reports: dict[Example, Report], part: URIRef
) -> None:
    files = {iri: without(part, graph) for iri, graph in widened.files.items()}
    poorer = Register(files, widened.shapes, widened.queries, "without")
    poorer.whole = widened.whole
    assert any(
        told_by(report(suite, example, poorer, "shifty")) != told_by(found) for example, found in reports.items()
    ), f"no claim of the suite misses {part}"


def without(part: URIRef, graph: Graph) -> Graph:
    if (part, None, None) not in graph and (None, None, part) not in graph:
        return graph
    poorer = Graph()
    for triple in graph:
        if part not in triple:
            poorer.add(triple)
    return poorer


def told_by(found: Report) -> tuple[object, ...]:
    return found.outcome, sorted((finding.provision, finding.line or 0, finding.outcome) for finding in found.findings)


@pytest.mark.parametrize("path", TURTLE, ids=name)
def test_its_files_are_written_as_those_of_the_register(path: Path) -> None:
    text, graph = path.read_text(encoding="utf-8"), parsed(path)
    assert [node for triple in graph for node in triple if isinstance(node, BNode)] == []
    shared = dict(re.findall(r"^PREFIX (\S*): +<(.*)>", (BASE / "ontology" / "prefixes.ttl").read_text("utf-8"), re.M))
    bound = re.findall(r"^PREFIX (\S*): +<(.*)>", text, re.M)
    assert bound == sorted(bound)
    assert {prefix: iri for prefix, iri in bound if prefix and shared.get(prefix, iri) != iri} == {}
    body = "\n".join(line for line in text.split("\n") if not line.startswith(("PREFIX", "#")))
    assert [prefix for prefix, _ in bound if not re.search(rf"(?<![\w.-]){prefix}:\w", body)] == []
    assert [line for line in text.split("\n") if len(line) > 128 and '"' not in line] == []


def test_its_names_are_defined(widened: Register) -> None:
    used = {node for triple in own() for node in triple if isinstance(node, URIRef) and node.startswith(ROOT)}
    defined = {*widened.whole.subjects(RDF.type), *vocabulary().subjects(RDF.type)}
    assert {str(node) for node in used - defined} == set()


def test_what_stands_in_a_version_is_named_after_its_file() -> None:
    for path in POLICY.glob("*.ttl"):
        version = f"{ROOT}policy/{name(path).removesuffix('.ttl')}"
        for kind in (POL.Provision, POL.Amendment, POL.PolicyVersion):
            assert {str(node).partition("#")[0] for node in parsed(path).subjects(RDF.type, kind)} <= {version}


def test_its_quotes_stand_in_the_bulletins_and_are_short() -> None:
    texts = {
        source: " ".join((BASE / "docs/example" / file).read_text("utf-8").split())
        for source, file in BULLETINS.items()
    }
    for statement, quote in own().subject_objects(POL.quote):
        text = texts[str(own().value(statement, DCTERMS.isPartOf)).rpartition("/")[2]]
        assert str(quote) in text
        assert len(quote.split()) <= 12


def test_it_is_marked_as_made_up() -> None:
    assert "made up" in GUIDE.text
    for path in (BASE / "docs" / "example").glob("*.txt"):
        assert "made up" in path.read_text("utf-8").lower()


# --- The guide --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def beside_the_guide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guide")
    shutil.copytree(BASE / "docs", folder / "docs")
    return folder


@pytest.mark.parametrize("example", GUIDE.examples, ids=title)
def test_guide_example(example: str, beside_the_guide: Path) -> None:
    check_example(GUIDE, example, beside_the_guide)


@pytest.mark.parametrize(("kind", "pattern"), [("turtle", "*.ttl"), ("toml", "suite.toml"), ("json", "*.json")])
def test_guide_shows_files_as_they_are(kind: str, pattern: str) -> None:
    written = [path.read_text(encoding="utf-8") for path in FOLDER.rglob(pattern)]
    shown = [text for language, text in GUIDE.blocks if language == kind]
    assert shown
    assert [text for text in shown if not any(text in whole for whole in written)] == []


def test_guide_has_no_other_blocks() -> None:
    assert {kind for kind, _ in GUIDE.blocks} == {"turtle", "toml", "json", "console"}


def test_guide_names_only_what_is_there() -> None:
    for target in GUIDE.targets:
        assert (BASE / "docs" / target).exists(), target


KINDS = re.findall(r"^\| `pol:(\w+)` \| .* \| (`pol:[^|]*`) \| .* \|$", GUIDE.text, re.MULTILINE)


def criteria_of_the_table() -> Graph:
    prefixes = (BASE / "ontology" / "prefixes.ttl").read_text("utf-8")
    text = "\n".join(re.findall(r"^PREFIX .*", prefixes, re.MULTILINE))
    for kind, cell in KINDS:
        said = " ".join(re.findall(r"`([^`]*)`", cell))
        text += f'\nclm:example-{kind} a pol:{kind} ; rdfs:label "example"@en ; {said} .'
    return Graph().parse(data=text, format="turtle")


def test_guide_lists_every_kind_of_criterion() -> None:
    ontology = parsed(BASE / "ontology" / "policy.ttl")
    kinds = {
        *ontology.subjects(RDFS.subClassOf, POL.Criterion),
        *ontology.subjects(RDFS.subClassOf, POL.CriterionGroup),
    }
    assert sorted(POL[kind] for kind, _ in KINDS) == sorted(kinds - {POL.CriterionGroup})


def test_its_examples_of_criteria_are_written_as_authors_must() -> None:
    data = together(data_folder("policies").rglob("*.ttl")) + criteria_of_the_table()
    shapes = str(BASE / "shapes" / "policy-file.ttl")
    _, _, told = pyshacl.validate(data, shacl_graph=shapes, ont_graph=vocabulary())
    assert "example-" not in told


def test_guide_names_only_words_of_the_vocabulary() -> None:
    ontology = parsed(BASE / "ontology" / "policy.ttl")
    words = {POL[word] for word in re.findall(r"`[^`\n]*?\bpol:(\w+)", GUIDE.text)} - {POL.require}
    assert {str(word) for word in words if (word, RDF.type, None) not in ontology} == set()
    assert (POL.Provision, RDF.type, OWL.Class) in ontology


# --- Common faults ----------------------------------------------------------------------------------------------------

FAULTS = GUIDE.text[GUIDE.text.index("## 10.") :]
MESSAGES = re.findall(r"^\| `([^`]+)` \|", FAULTS, re.MULTILINE)
CAR_T = "example-health/car-t/"
UNREADABLE = (
    ("pol:requires :modifier-Q0 ;\n", "pol:requires :modifier-Q0\n"),
    ("pol:expects modifier:Q0 .", "pol:expects mod:Q0 ."),
    ('"2025-07-01"^^xsd:date ;\n    pol:when criterion', '"2025-06-31"^^xsd:date ;\n    pol:when criterion'),
)
BADLY_WRITTEN = (
    ("2025-05-15.ttl", '"2025-07-01"^^xsd:date ;\n    pol:when criterion', '"2025-07-01" ;\n    pol:when criterion'),
    ("2025-05-15.ttl", "pol:requires :HIV-test-under", "pol:require :HIV-test-under"),
    ("2025-05-15.ttl", "pol:requires :modifier-Q0 ;", "pol:requires :modifier-QO ;"),
    ("2025-05-15.ttl", "pol:expects modifier:Q0 .", "pol:expects modifier:Q1 ."),
    ("2025-05-15.ttl", "stmt:example-health.7.trial .", "stmt:example-health.7.trail ."),
    ("2025-05-15.ttl", "pol:scope scope:example-health-senior ;", "pol:scope scope:example-senior ;"),
    (
        "2025-11.ttl",
        '    pol:publishedEarliest "2025-11-01"^^xsd:date ;\n    pol:publishedLatest "2025-11-30"^^xsd:date ;\n',
        "",
    ),
)
ELSEWHERE = (
    "2025-05-15.ttl",
    "PREFIX :               <https://w3id.org/chartulary/",
    "PREFIX :               <https://policies.example/",
)
NOT_IN_SUITE = ("suite.toml", '    { line = 0, provision = "senior-follows-Medicare", outcome = "info" },\n', "")


def edited(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / CAR_T / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, "the text to break stands there once"
    path.write_text(text.replace(old, new), encoding="utf-8")


def keep_only(policy: Path, claim: str) -> None:
    """Shortens the suite to one claim."""
    path = policy / "suite.toml"
    path.write_text(next(part for part in path.read_text("utf-8").split("\n\n") if f"/{claim}.json" in part), "utf-8")
    for other in (policy / "claims").iterdir():
        if other.stem != claim:
            other.unlink()


def faults_of(folder: Path) -> str:
    try:
        return "\n".join(checker().check(folder))
    except checker().ChartularyError as fault:
        return str(fault)


def copies(folder: Path) -> Iterator[Path]:
    number = 0
    while True:
        number += 1
        yield shutil.copytree(FOLDER, folder / str(number))


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory, widened: Register) -> str:
    """Everything that is said of policies and claims with the faults of the table."""
    folders = copies(tmp_path_factory.mktemp("faults"))
    everything = []
    for old, new in UNREADABLE:
        folder = next(folders)
        edited(folder, "2025-05-15.ttl", old, new)
        everything.append(faults_of(folder))
    folder = next(folders)
    shutil.rmtree(folder / CAR_T / "claims")
    (folder / CAR_T / "suite.toml").unlink()
    for file, old, new in BADLY_WRITTEN:
        edited(folder, file, old, new)
    everything.append(faults_of(folder))
    for (file, old, new), claim in (
        (ELSEWHERE, "trial-without-Q0-on-the-first-day"),
        (NOT_IN_SUITE, "senior-without-a-line-for-the-product"),
    ):
        folder = next(folders)
        edited(folder, file, old, new)
        keep_only(folder / CAR_T, claim)
        everything.append(faults_of(folder))
    request = json.loads((POLICY / "claims" / "organ-function-not-told.json").read_text("utf-8"))
    del request["setting"]
    request["findings"] = {"prior-cart": True}
    stranger = {**request, "id": "stranger", "payer": "Exampel Health"}
    path = folder / "claims.json"
    path.write_text(json.dumps([request, stranger]), encoding="utf-8")
    for claim in read_claims(path):
        found = widened.validate(claim)  # type: ignore[arg-type]
        everything += [*found.notes, *(finding.message for finding in found.findings)]
    return "\n".join(everything)


def test_there_are_faults_to_test() -> None:
    assert len(MESSAGES) > 15


@pytest.mark.slow
def test_each_message_of_the_table_is_said(said: str) -> None:
    assert [message for message in MESSAGES if message not in said] == []


def test_days_of_the_example_are_days() -> None:
    assert [o for o in own().objects() if isinstance(o, Literal) and o.ill_typed] == []

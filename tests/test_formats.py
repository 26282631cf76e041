"""Each format says every finding, in a form that others read."""

from __future__ import annotations

import io
import json
from datetime import date
from typing import Any

import pytest
from rdflib import RDF, Graph, Literal, URIRef
from rdflib.namespace import SH
from rich.console import Console

from chartulary import Problem, Register, Report
from chartulary.formats import dump, line_json, operation_outcome, reports_turtle, run_json, show_report
from chartulary.graph import iri_for
from chartulary.namespaces import POL
from chartulary.register import data_folder
from chartulary.suites import read_suite, report

POLICIES = data_folder("policies")
PROBLEMS = (Problem("a.837", "segment 7", "not a date"), Problem("b.837", "", "odd", warning=True))

CLAIM_FIELDS = {"claim", "source", "outcome", "considered", "findings"}
FINDING_FIELDS = {
    "outcome", "provision", "label", "line", "message", "expected", "found", "repair", "overridden_by", "cites",
}  # fmt: skip
CITATION_FIELDS = {"statement", "document", "section", "quote"}


@pytest.fixture(scope="module")
def reports(register: Register) -> list[Report]:
    """A report of each kind that the suites know."""
    kinds: dict[object, Report] = {}
    for path in sorted(POLICIES.rglob("suite.toml")):
        suite = read_suite(path, POLICIES)
        for example in suite.examples:
            kind = (suite.name, example.outcome, *sorted({finding.outcome for finding in example.findings}))
            if kind not in kinds:
                kinds[kind] = report(suite, example, register)
    return list(kinds.values())


def whole(reports: list[Report]) -> dict[str, Any]:
    options = {"revision": "r", "as_known_on": date(2025, 12, 10), "engine": "shifty"}
    return json.loads(dump(run_json(reports, PROBLEMS, **options)))  # type: ignore[arg-type, no-any-return]


def test_there_is_something_of_each_kind(reports: list[Report]) -> None:
    assert {r.outcome for r in reports} == {"violation", "needs-review", "conformant", "not-applicable"}
    assert {f.outcome for r in reports for f in r.findings} >= {"violation", "review", "info"}


def test_json_keeps_the_contract(reports: list[Report]) -> None:
    told = whole(reports)
    assert {"register_revision", "as_known_on", "engine", "claims", "problems"} <= set(told)
    assert told["as_known_on"] == "2025-12-10"
    for problem in told["problems"]:
        assert {"source", "where", "message"} <= set(problem)
    for claim, made_from in zip(told["claims"], reports, strict=True):
        assert set(claim) >= CLAIM_FIELDS
        assert claim["outcome"] == made_from.outcome
        assert len(claim["findings"]) == len(made_from.findings)
        for finding in claim["findings"]:
            assert set(finding) >= FINDING_FIELDS
            assert finding["outcome"] in {"violation", "review", "info", "overridden"}
            assert finding["cites"]
            assert finding["line"] is None or isinstance(finding["line"], int)
            for citation in finding["cites"]:
                assert set(citation) >= CITATION_FIELDS
                assert all(citation[name] for name in CITATION_FIELDS)


def test_json_lines_are_the_same_reports(reports: list[Report]) -> None:
    for claim, made_from in zip(whole(reports)["claims"], reports, strict=True):
        line = line_json(made_from)
        assert b"\n" not in line
        assert json.loads(line).items() >= claim.items()
    assert json.loads(line_json(PROBLEMS[0]))["problem"]["where"] == "segment 7"


def test_turtle_is_a_validation_report(reports: list[Report]) -> None:
    graph = Graph().parse(data=reports_turtle(reports), format="turtle")
    (top,) = graph.subjects(RDF.type, SH.ValidationReport)
    assert graph.value(top, SH.conforms) == Literal(False)
    results = list(graph.objects(top, SH.result))
    assert set(results) == set(graph.subjects(RDF.type, SH.ValidationResult))
    told = sorted(
        (graph.value(r, SH.focusNode), graph.value(r, SH.value), graph.value(r, SH.resultSeverity)) for r in results
    )
    severities = {"violation": SH.Violation, "review": SH.Warning, "info": SH.Info, "overridden": SH.Info}
    assert told == sorted(
        (URIRef(iri_for(r.claim, f.position)), URIRef(f.provision), severities[f.outcome])
        for r in reports
        for f in r.findings
    )
    for result in results:
        for needed in (SH.sourceConstraintComponent, SH.sourceShape, SH.resultMessage, POL.cites):
            assert (result, needed, None) in graph


@pytest.mark.parametrize("outcome", ["conformant", "not-applicable"])
def test_turtle_conforms_where_nothing_is_found(reports: list[Report], outcome: str) -> None:
    clean = [r for r in reports if r.outcome == outcome and not r.findings]
    assert clean
    graph = Graph().parse(data=reports_turtle(clean), format="turtle")
    assert list(graph.objects(None, SH.conforms)) == [Literal(True)]
    assert not list(graph.objects(None, SH.result))


def test_operation_outcome(reports: list[Report]) -> None:
    told = json.loads(dump(operation_outcome(reports, PROBLEMS)))
    assert told["resourceType"] == "OperationOutcome"
    for issue in told["issue"]:
        assert issue["severity"] in {"fatal", "error", "warning", "information"}
        assert issue["code"] in {"business-rule", "informational", "structure", "not-found"}
        assert issue["details"]["text"]
    found = [issue for issue in told["issue"] if "coding" in issue["details"]]
    findings = [f for r in reports for f in r.findings]
    assert [issue["details"]["coding"][0]["code"] for issue in found] == [f.provision.split("#")[1] for f in findings]
    assert all(f.cites[0].quote in issue["diagnostics"] for f, issue in zip(findings, found, strict=True))
    assert [issue["severity"] for issue in told["issue"][-2:]] == ["error", "warning"]
    assert operation_outcome([], [])["issue"]


@pytest.mark.parametrize("width", [80, 120])
def test_table_says_all(reports: list[Report], width: int) -> None:
    for made_from in reports:
        text = io.StringIO()
        show_report(Console(file=text, width=width, highlight=False), made_from)
        shown = " ".join(text.getvalue().split())
        assert made_from.outcome.upper() in shown
        assert all(len(line) <= width for line in text.getvalue().splitlines())
        for finding in made_from.findings:
            for part in (finding.message, finding.repair, *(c.quote for c in finding.cites)):
                assert part is None or " ".join(part.split()) in shown
        for finding in made_from.findings:  # what a policy says may speak of coverage; what we say may not
            for part in (
                finding.message,
                finding.label,
                finding.expected,
                finding.found,
                *(c.quote for c in finding.cites),
            ):
                shown = shown.replace(" ".join((part or "").split()) or "\0", "")
        promises = {"covered", "payable"} & set(shown.lower().replace(",", " ").split())
        assert not promises or "does not say that the service is covered or payable" in shown

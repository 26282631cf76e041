"""Every claim beside a policy gives exactly what its suite says, in both engines; and every policy has such claims."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from rdflib import RDF

from chartulary import ChartularyError, Register
from chartulary.namespaces import POL, ROOT
from chartulary.register import data_folder
from chartulary.suites import Expected, Suite, find_suites, read_suite, report, resolve, run

POLICIES = data_folder("policies")
SUITES = sorted(path.parent.relative_to(POLICIES).as_posix() for path in POLICIES.rglob("suite.toml"))
FOLDERS = sorted(path.parent.relative_to(POLICIES).as_posix() for path in POLICIES.rglob("policy.ttl"))

KX_MISSING = """{"id": "c", "payer": "Medicare", "setting": "outpatient",
 "lines": [{"code": "38228", "revenue_code": "0874", "date_of_service": "2025-06-25"}]}"""


def shipped(name: str) -> Suite:
    return read_suite(POLICIES / name / "suite.toml", POLICIES)


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_passes(register: Register, name: str) -> None:
    assert run(shipped(name), register, "python") == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SUITES)
def test_every_suite_passes_in_the_reference_engine(register: Register, name: str) -> None:
    assert run(shipped(name), register, "pyshacl") == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_policy_has_a_suite_of_both_kinds(register: Register, folder: str) -> None:
    assert folder in SUITES
    outcomes = {example.outcome for example in shipped(folder).examples}
    if can_be_broken(register, folder):
        assert {"violation", "conformant"} <= outcomes
    else:
        assert outcomes


def test_no_claims_lie_outside_of_suites() -> None:
    assert [suite.name for suite in find_suites(POLICIES)] == SUITES


def can_be_broken(register: Register, folder: str) -> bool:
    """Whether any provision of the policy can be violated; notices and questions cannot."""
    graph = register.snapshot().graph
    return any(
        (scope, POL.request, request) in graph
        for provision in graph.subjects(RDF.type, POL.Provision)
        if str(provision).startswith(f"{ROOT}policy/{folder}/") and (provision, POL.severity, POL.Violation) in graph
        for scope in graph.objects(provision, POL.scope)
        for request in graph.objects(scope, POL.request)
        if not request.endswith("/question")
    )


# --- The runner -------------------------------------------------------------------------------------------------------


def suite_of(folder: Path, toml: str, claim: str = KX_MISSING) -> Suite:
    """A suite of one claim, beside nothing, as if it were NCD 110.24's."""
    home = folder / "medicare" / "ncd-110.24"
    (home / "claims").mkdir(parents=True)
    (home / "claims" / "a.json").write_text(claim)
    (home / "suite.toml").write_text(toml)
    (suite,) = find_suites(folder)
    return suite


EXPECTED = '{ line = 1, provision = "kx-on-administration", outcome = "violation" }'
HEAD = '[[claim]]\nfile = "claims/a.json"\noutcome = "violation"\nunknown = "info"\n'


@pytest.mark.parametrize(
    "name", ["kx-on-administration", "medicare/ncd-110.24/2021-07-20#kx-on-administration"], ids=["bare", "whole"]
)
def test_what_is_as_expected_makes_no_difference(register: Register, tmp_path: Path, name: str) -> None:
    toml = f"{HEAD}findings = [{EXPECTED.replace('kx-on-administration', name)}]"
    assert run(suite_of(tmp_path, toml), register) == []


@pytest.mark.parametrize(
    ("findings", "differences"),
    [
        ("[]", ["found violation kx-on-administration on line 1, not expected"]),
        (
            f"[{EXPECTED}, {EXPECTED.replace('line = 1, ', '')}]",
            ["expected violation kx-on-administration on the claim, not found"],
        ),
        (f"[{EXPECTED}, {EXPECTED}]", ["expected violation kx-on-administration on line 1, not found"]),
        (
            f"[{EXPECTED.replace('violation', 'review')}]",
            [
                "expected review kx-on-administration on line 1, not found",
                "found violation kx-on-administration on line 1, not expected",
            ],
        ),
        (
            f"[{EXPECTED.replace('on-adm', 'off-adm')}]",
            ["suite.toml expects 'kx-off-administration', which is no provision"],
        ),
    ],
)
def test_differences_in_words(register: Register, tmp_path: Path, findings: str, differences: list[str]) -> None:
    suite = suite_of(tmp_path, f"{HEAD}findings = {findings}")
    assert run(suite, register) == [f"claims/a.json: {text}" for text in differences]


def test_outcome_and_day_count(register: Register, tmp_path: Path) -> None:
    suite = suite_of(tmp_path, HEAD.replace("violation", "conformant") + "as_known_on = 2018-01-01")
    assert suite.examples[0].as_known_on == date(2018, 1, 1)
    assert run(suite, register) == ["claims/a.json: outcome not-applicable, expected conformant"]


def test_files_that_no_suite_names_and_names_of_no_file(register: Register, tmp_path: Path) -> None:
    suite = suite_of(tmp_path, f"{HEAD.replace('a.json', 'b.json')}findings = []")
    assert run(suite, register) == ["claims/a.json: not named in suite.toml", "claims/b.json: no such file"]


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (f"[{KX_MISSING}, {KX_MISSING}]", "2 claims, expected one"),
        ('{"id": "c", "lines": [{"code": 5}]}', "must be"),
        ("", "the file is empty"),
    ],
)
def test_a_file_holds_one_claim(register: Register, tmp_path: Path, claim: str, message: str) -> None:
    (difference,) = run(suite_of(tmp_path, f"{HEAD}findings = []", claim), register)
    assert message in difference


def test_claims_need_a_suite(tmp_path: Path) -> None:
    (tmp_path / "some" / "claims").mkdir(parents=True)
    with pytest.raises(ChartularyError, match="without a suite"):
        find_suites(tmp_path)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[[claim", "not TOML"),
        ("", "a list of"),
        ("claim = []", "a list of"),
        ("x = 1\n" + HEAD, "nothing else"),
        ('[[claim]]\noutcome = "violation"', "file is missing"),
        (HEAD + "as_known_on = '2025-01-01'", "a day without quotes"),
        (HEAD + "as_known_on = 2025-01-01T00:00:00", "a day without quotes"),
        (HEAD + "finding = []", "'finding' is none of"),
        (HEAD + "findings = 3", "findings is a list"),
        (HEAD.replace("violation", "bad"), "outcome is one of violation, needs-review"),
        (HEAD.replace("info", "maybe"), "unknown is one of review, info"),
        (HEAD + 'findings = [{ provision = "x", outcome = "fails" }]', "outcome of x is one of"),
        (HEAD + 'findings = [{ outcome = "info" }]', "a provision's name"),
        (HEAD + 'findings = [{ provision = "x", line = "1", outcome = "info" }]', "a line's number"),
        (HEAD + 'findings = [{ provision = "x", item = 1, outcome = "info" }]', "'item' is none of"),
    ],
)
def test_what_no_suite_may_say(tmp_path: Path, toml: str, message: str) -> None:
    with pytest.raises(ChartularyError, match="suite.toml") as caught:
        suite_of(tmp_path, toml)
    assert message in str(caught.value)


def test_a_name_of_several_provisions_is_written_whole(register: Register, tmp_path: Path) -> None:
    files = dict(register.files)
    other = f"{ROOT}policy/medicare/ncd-110.24/2030-01-01"
    kx = f"{ROOT}policy/medicare/ncd-110.24/2021-07-20"
    graph = next(graph for iri, graph in files.items() if str(iri) == kx)
    files[type(next(iter(files)))(other)] = renamed(graph, kx, other)
    twice = Register(files, register.shapes, register.queries, "two")
    suite = suite_of(tmp_path, f"{HEAD}findings = []")
    with pytest.raises(ChartularyError, match="several provisions") as caught:
        resolve("kx-on-administration", suite, twice)
    assert "medicare/ncd-110.24/2030-01-01#kx-on-administration" in str(caught.value)
    whole = resolve("medicare/ncd-110.24/2030-01-01#kx-on-administration", suite, twice)
    assert whole == f"{other}#kx-on-administration"


def renamed(graph, old: str, new: str):  # type: ignore[no-untyped-def]
    text = graph.serialize(format="nt").replace(f"<{old}#", f"<{new}#")
    return type(graph)().parse(data=text, format="nt")


def test_report_of_one_example(register: Register, tmp_path: Path) -> None:
    suite = suite_of(tmp_path, f"{HEAD}findings = [{EXPECTED}]")
    (finding,) = report(suite, suite.examples[0], register).findings
    assert suite.examples[0].findings == (
        Expected(line=1, provision=finding.provision.rpartition("#")[2], outcome=finding.outcome),
    )

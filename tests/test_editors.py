"""Snippets, the GitHub action, the pre-commit hooks: each is what its reader takes, and calls commands that exist."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from chartulary.cli import app
from chartulary.snapshot import _KINDS
from chartulary.suites import read_suite
from chartulary.turtle import read, shared_prefixes

yaml = pytest.importorskip("yaml")

BASE = Path(__file__).resolve().parents[1]
SNIPPETS: dict[str, dict[str, Any]] = json.loads(
    (BASE / "editors" / "vscode" / "chartulary.code-snippets").read_text("utf-8")
)
ACTION = yaml.safe_load((BASE / "action.yml").read_text("utf-8"))
HOOKS = yaml.safe_load((BASE / ".pre-commit-hooks.yaml").read_text("utf-8"))
VARIABLES = {"CURRENT_YEAR": "2025", "CURRENT_MONTH": "01", "CURRENT_DATE": "31"}


def filled(snippet: dict[str, Any]) -> str:
    """The text of a snippet where one accepts everything that it proposes."""
    text = "\n".join(snippet["body"])
    text = re.sub(r"\$(CURRENT_\w+)", lambda m: VARIABLES[m[1]], text)
    text = re.sub(r"\$\{(\d+)\|([^,|]*)[^|]*\|\}", r"${\1:\2}", text)
    proposed = dict(re.findall(r"\$\{(\d+):([^}]*)\}", text))
    text = re.sub(r"\$\{\d+:([^}]*)\}", r"\1", text)
    return re.sub(r"\$(\d+)", lambda m: proposed.get(m[1], ""), text)


# --- Snippets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, snippet in SNIPPETS.items() if snippet["scope"] == "turtle"])
def test_turtle_snippets_are_turtle(name: str) -> None:
    prefixes = {**shared_prefixes(), "": "https://example.org/#", "earlier": "https://example.org/earlier#"}
    text = filled(SNIPPETS[name])
    assert "$" not in text
    declared = "".join(f"PREFIX {prefix}: <{iri}>\n" for prefix, iri in prefixes.items())
    graph = read(declared + text).graph()
    assert len(set(graph.subjects())) == 1
    known = (BASE / "ontology" / "policy.ttl").read_text("utf-8")
    for used in {*re.findall(r"pol:\w+", text)}:
        assert re.search(rf"^{used}$", known, re.MULTILINE), f"{used} is no term"


def test_every_kind_of_criterion_has_a_snippet() -> None:
    kinds = {str(kind).rpartition("#")[2] for kind in _KINDS}
    assert {name.removeprefix("Criterion: ") for name in SNIPPETS if name.startswith("Criterion: ")} == kinds


def test_suite_snippets_make_a_suite(tmp_path: Path) -> None:
    text = "\n".join(filled(snippet) for snippet in SNIPPETS.values() if snippet["scope"] == "toml")
    assert tomllib.loads(text).keys() == {"claim", "question"}
    (tmp_path / "suite.toml").write_text(text, "utf-8")
    suite = read_suite(tmp_path / "suite.toml", tmp_path)
    assert len(suite.examples) == len(suite.questions) == 1


def test_prefixes_of_snippets_are_their_own() -> None:
    called = [snippet["prefix"] for snippet in SNIPPETS.values()]
    assert len(called) == len(set(called))


# --- The action and the hooks -----------------------------------------------------------------------------------------


def options_of(command: str) -> set[str]:
    found = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    return {option for parameter in found.params for option in parameter.opts if option.startswith("-")}


def test_commands_and_options_exist() -> None:
    lines = [step["run"] for step in ACTION["runs"]["steps"] if "run" in step] + [hook["entry"] for hook in HOOKS]
    calls = [call for text in lines for call in re.findall(r"^chartulary .*", text, re.MULTILINE)]
    assert len(calls) == 7
    for call in calls:
        _, command, *words = shlex.split(call)
        assert {word for word in words if word.startswith("--")} <= options_of(command), call


def test_action_is_composite_and_takes_no_input_into_its_scripts() -> None:
    assert ACTION["runs"]["using"] == "composite"
    for step in ACTION["runs"]["steps"]:
        if "run" in step:
            assert step["shell"] == "bash" and "${{" not in step["run"]
    used = set(re.findall(r"inputs\.([\w-]+)", (BASE / "action.yml").read_text("utf-8")))
    assert used == set(ACTION["inputs"])


def test_hooks_have_what_pre_commit_asks_for() -> None:
    assert [hook["id"] for hook in HOOKS] == ["chartulary-fmt", "chartulary-lint", "chartulary-test"]
    for hook in HOOKS:
        assert {"id", "name", "entry", "language"} <= hook.keys() and hook["language"] == "python"
    chosen = {hook["id"]: re.compile(hook["files"]) for hook in HOOKS}
    assert chosen["chartulary-fmt"].search("policies/acme/payer.ttl")
    assert not chosen["chartulary-fmt"].search("policies/acme/car-t/suite.toml")
    assert chosen["chartulary-lint"].search("policies/acme/car-t/suite.toml")
    assert chosen["chartulary-test"].search("policies/acme/car-t/claims/a.837")
    assert not chosen["chartulary-lint"].search("pyproject.toml")


@pytest.mark.skipif(shutil.which("git") is None or shutil.which("bash") is None, reason="needs git and bash")
def test_the_step_that_compares_writes_a_comment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the runner calls it, with a stand-in for the command: 1 is a difference, 2 a fault."""
    (step,) = (step for step in ACTION["runs"]["steps"] if step.get("id") == "diff")
    stand_in = tmp_path / "bin" / "chartulary"
    stand_in.parent.mkdir()
    stand_in.write_text('#!/bin/sh\necho "$@"\nexit "$CODE"\n')
    stand_in.chmod(0o755)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    author = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *author, "commit", "-q", "--allow-empty", "-m", "one"], cwd=tmp_path, check=True)

    def runs(code: int, claims: str) -> int:
        environment = {
            "PATH": f"{stand_in.parent}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "CODE": str(code),
            "POLICIES": "my policies",
            "BASE": "HEAD",
            "CLAIMS": claims,
            "RUNNER_TEMP": str(tmp_path),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
        }
        words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        return subprocess.run(words, env=environment, cwd=tmp_path, check=False).returncode

    assert runs(1, "") == 0
    assert (tmp_path / "summary").read_text() == "diff HEAD my policies --format markdown\n"
    assert (tmp_path / "output").read_text() == f"comment={tmp_path}/chartulary.md\n"
    assert runs(0, "a b") == 0
    assert (tmp_path / "chartulary.md").read_text() == "diff HEAD my policies --claims a b --format markdown\n"
    assert runs(2, "") == 2

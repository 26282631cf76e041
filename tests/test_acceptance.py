"""The cases and claim files of the makers' corpus, where it lies beside the checkout; elsewhere all is skipped."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from rdflib import RDF

from chartulary import Claim, Problem, Register, read_claims
from chartulary.namespaces import POL
from chartulary.readers.claim_json import read_claim

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared"
CASES, JUDGE = SHARED / "corpus" / "cases.jsonl", SHARED / "tools" / "judge.py"
CLAIMS = sorted(path for kind in ("x12", "fhir") for path in (SHARED / "corpus" / "claims" / kind).glob("*"))

needs_cases = pytest.mark.skipif(not (CASES.is_file() and JUDGE.is_file()), reason=f"no cases at {CASES}")
needs_claims = pytest.mark.skipif(not CLAIMS, reason=f"no claim files under {SHARED}")


def module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


evaluate = module(HERE / "acceptance" / "evaluate.py")


def cases(*kinds: str) -> list[dict[str, Any]]:
    every = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [case for case in every if case["type"] in kinds]


def claim_cases() -> list[dict[str, Any]]:
    return cases("claim", "prior-auth")


@needs_cases
def test_every_case_passes_the_judge(register: Register) -> None:
    judge = module(JUDGE)
    every = claim_cases()
    results = list(evaluate.evaluate(every, register=register))
    assert [result["id"] for result in results] == [case["id"] for case in every]
    found = {
        case["id"]: list(judge.faults(case["expected"], result)) for case, result in zip(every, results, strict=True)
    }
    assert {case: faults for case, faults in found.items() if faults} == {}


@pytest.mark.slow
@needs_cases
def test_other_engines_say_the_same_of_cases(register: Register) -> None:
    """A sixth on CI, fewer elsewhere: the reference engine takes seconds. benchmarks/engines.py holds all to it."""
    for case in claim_cases()[:: 6 if os.environ.get("CI") else 25]:
        known = case["input"].get("as_known_on")
        snapshot = register.snapshot(as_known_on=date.fromisoformat(known) if known else None, unknown="info")
        (claim,) = read_claim(evaluate.claim_json(case), source=case["id"])
        assert isinstance(claim, Claim), claim
        python, *others = (
            replace(snapshot.validate(claim, engine=engine), engine="")
            for engine in ("python", "sql", "shifty", "pyshacl")
        )
        assert others == [python] * 3, case["id"]


@needs_cases
def test_the_adapter_as_it_is_called(tmp_path: Path) -> None:
    some = tmp_path / "cases.jsonl"
    days = Counter(case["input"].get("as_known_on") for case in claim_cases())
    often = days.most_common(1)[0][0]  # one snapshot to prepare
    known = [case for case in claim_cases() if case["input"].get("as_known_on") == often]
    some.write_text("".join(json.dumps(case) + "\n" for case in known[:20]))
    words = [sys.executable, HERE / "acceptance" / "evaluate.py", some]
    results = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    (tmp_path / "results.jsonl").write_text(results)
    judged = subprocess.run([sys.executable, JUDGE, tmp_path / "results.jsonl", some], capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout


@needs_cases
def test_the_adapter_knows_no_answers() -> None:
    text = (HERE / "acceptance" / "evaluate.py").read_text(encoding="utf-8")
    expected = {
        statement
        for case in claim_cases()
        for kind in ("violated", "needs_review", "informational", "overridden", "must_not_report")
        for statement in case["expected"].get(kind) or ()
    }
    assert not [word for word in (*expected, "case-", "38228", "KX") if word in text]


@needs_cases
def test_every_question_about_a_code(register: Register) -> None:
    """The answer cites what such a case expects, as far as it was published, and requires nothing that it rules out."""
    asked = [case for case in cases("query") if case["input"]["codes"] and case["input"]["dos"]]
    assert asked
    for case in asked:
        given, expected = case["input"], case["expected"]
        known = date.fromisoformat(given["as_known_on"]) if given.get("as_known_on") else None
        snapshot = register.snapshot(as_known_on=known)
        published = {short(statement) for statement in snapshot.graph.subjects(RDF.type, POL.Statement)}
        more = {"lob": given["line_of_business"]} if given["line_of_business"] else {}
        rows = [
            (row["kind"], {short(citation["statement"]) for citation in row["cites"]})
            for code in given["codes"]
            for row in snapshot.ask("requirements", code=code, payer=given["payer"], dos=given["dos"], **more)
        ]
        told = set[str]().union(*(cites for _, cites in rows))
        assert told >= published & set(expected["informational"]), case["id"]
        required = set[str]().union(*(cites for kind, cites in rows if kind in ("requirement", "prohibition")))
        assert required.isdisjoint(expected["must_not_report"]), case["id"]


def short(statement: object) -> str:
    return str(statement).rpartition("/")[2]


@needs_claims
@pytest.mark.parametrize("path", CLAIMS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_real_files_go_through(register: Register, path: Path) -> None:
    items = list(read_claims(path))
    assert items, "a claim or a problem, never nothing"
    for item in items:
        if isinstance(item, Problem):
            assert "\n" not in str(item) and "bug" not in str(item)
    # One file holds the same claim some six hundred times.
    for claim in {replace(item, id="c", where="") for item in items if isinstance(item, Claim)}:
        report = register.validate(claim, engine="shifty")
        assert report.outcome in {"violation", "needs-review", "conformant", "not-applicable"}

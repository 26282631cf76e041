"""The made-up claims of ``benchmarks/``: the same each time, plausible in their mix, and readable in every format."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date
from itertools import islice
from pathlib import Path

import pytest

from chartulary import Claim, Problem, Register, Report, read_claims

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from drafts import Carrier, World  # noqa: E402
from generate import claims, write_837, write_json_lines  # noqa: E402
from widen import widen  # noqa: E402


@pytest.fixture(scope="module")
def world(register: Register) -> World:
    return World(register)


@pytest.fixture(scope="module")
def made(register: Register) -> list[Claim]:
    return list(claims(1200, seed=5, register=register))


@pytest.fixture(scope="module")
def reports(register: Register, made: list[Claim]) -> list[Report]:
    return [register.validate(claim) for claim in made]


@pytest.fixture(scope="module")
def wider(tmp_path_factory: pytest.TempPathFactory, world: World) -> Register:
    folder = tmp_path_factory.mktemp("wider")
    assert widen(folder, 1) == pytest.approx(len(world.rules), rel=0.5)
    shutil.copytree(BENCHMARKS.parent / "docs" / "example" / "policies", folder, dirs_exist_ok=True)
    return Register.load(policies=folder)


@pytest.fixture(scope="module")
def wide_world(wider: Register) -> World:
    return World(wider)


def bare(claim: Claim) -> Claim:
    return replace(claim, source="", where="")


def judged(report: Report) -> tuple[object, ...]:
    return report.outcome, report.considered, report.findings, report.governed_by


def test_a_seed_gives_the_same_claims_however_many_are_asked_for(register: Register, made: list[Claim]) -> None:
    again = list(islice(claims(5000, seed=5, register=register), 50))
    assert again == made[:50]
    assert list(claims(50, seed=6, register=register)) != again


def test_a_seed_gives_the_same_claims_in_another_process(made: list[Claim], tmp_path: Path) -> None:
    file = tmp_path / "claims.jsonl"
    command: list[str | Path] = [
        sys.executable,
        BENCHMARKS / "generate.py",
        "60",
        "--seed",
        "5",
        "--format",
        "jsonl",
        "-o",
        file,
    ]
    environment = {"PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, encoding="utf-8")
    assert "60 claims" in done.stdout
    assert [bare(claim) for claim in read_claims(file) if isinstance(claim, Claim)] == [bare(c) for c in made[:60]]


def test_ids_are_the_claims_own(made: list[Claim]) -> None:
    assert len({claim.id for claim in made}) == len(made)


@pytest.mark.parametrize(
    ("carrier", "write", "name"),
    [
        ("837I", write_837, "claims.837"),
        ("837P", write_837, "claims.837"),
        ("json", write_json_lines, "claims.jsonl"),
    ],
)
def test_what_is_written_is_read_again(
    carrier: Carrier, write: Callable[[Iterable[Claim], Path], int], name: str, register: Register, tmp_path: Path
) -> None:
    sent = list(claims(120, seed=7, register=register, carried_by=carrier))
    assert write(sent, tmp_path / name) == 120
    read = list(read_claims(tmp_path / name))
    assert [item for item in read if isinstance(item, Problem)] == []
    found = {item.id: bare(item) for item in read if isinstance(item, Claim)}
    assert found == {claim.id: bare(claim) for claim in sent}


def test_an_837_holds_several_hundred_claims_a_transaction_set(register: Register, tmp_path: Path) -> None:
    file = tmp_path / "claims.837"
    write_837(claims(4000, seed=7, register=register, carried_by="837I"), file)
    text = file.read_text(encoding="ascii")
    assert 4000 / 500 <= text.count("\nST*837*") <= 4000 / 100


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_gives_the_claims_again(suffix: str, register: Register, tmp_path: Path) -> None:
    tables = pytest.importorskip("chartulary.readers.tables", reason="tables are not there yet")
    sent = list(claims(120, seed=7, register=register, carried_by="tuva"))
    file = tmp_path / f"claims{suffix}"
    tables.write_table(sent, file)
    read = list(tables.read_table(file, source=file.name))
    assert [item for item in read if isinstance(item, Problem)] == []
    assert {item.id: bare(item) for item in read} == {claim.id: bare(claim) for claim in sent}


def test_every_outcome_is_common_and_faults_are_not(reports: list[Report]) -> None:
    outcomes = Counter(report.outcome for report in reports)
    assert set(outcomes) == {"violation", "needs-review", "conformant", "not-applicable"}
    assert min(outcomes.values()) >= len(reports) / 10
    assert outcomes["violation"] < len(reports) / 3


def test_nearly_every_provision_comes_into_play(world: World, reports: list[Report]) -> None:
    governing = {str(governed.provision) for report in reports for governed in report.governed_by}
    found = {str(f.provision) for report in reports for f in report.findings if f.outcome in ("violation", "review")}
    checked = {rule.iri for rule in world.rules}
    assert len(checked) > 200
    assert len(checked - governing) <= len(checked) // 20
    assert len(found) >= 100


def test_boundary_days_and_birthdays_are_hit(world: World, made: list[Claim]) -> None:
    days = {claim.date_of_service for claim in made} | {line.first_day for claim in made for line in claim.lines}
    boundaries = {day for rule in world.rules for day in rule.days if date(2019, 1, 1) < day < date(2026, 12, 1)}
    assert len(boundaries) > 20
    assert len(boundaries & days) > 0.9 * len(boundaries)
    given = [(claim.patient.birth_date, line.first_day) for claim in made for line in claim.lines]
    assert any(b and d and (b.year + 21, b.month, b.day) == (d.year, d.month, d.day) for b, d in given)


def test_a_wider_register_changes_nothing_for_others(
    wider: Register, world: World, wide_world: World, made: list[Claim], reports: list[Report]
) -> None:
    now, before = len(wide_world.rules), len(world.rules)
    assert now > 1.7 * before
    for claim, report in zip(made[:30], reports, strict=False):
        assert judged(wider.validate(claim)) == judged(report)


def test_the_copies_in_a_wider_register_bind_their_own_payers(wide_world: World) -> None:
    copies = [rule for rule in wide_world.rules if "unrelated" in rule.iri]
    assert len(copies) > 100
    assert all("unrelated" in str(payer) for rule in copies for scope in rule.scopes for payer in scope[0])


def test_a_policy_that_nobody_here_has_heard_of_is_exercised_too(wider: Register, wide_world: World) -> None:
    rules = {rule.iri for rule in wide_world.rules if "/example-health/" in rule.iri}
    made = claims(700, seed=1, register=wider)
    governing = {governed.provision for claim in made for governed in wider.validate(claim).governed_by}
    assert len(rules) > 5
    assert len(rules & governing) > len(rules) / 2
    copies = {rule.iri for rule in wide_world.rules if "/unrelated-" in rule.iri}
    assert len(copies & governing) > 100

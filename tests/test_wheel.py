"""The wheel alone, in an empty environment and away from the checkout, answers and validates as the checkout does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from chartulary import Claim, Register, read_claims

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
DATA = ("ontology", "shapes", "policies", "queries")


def run(*command: str | Path, cwd: Path, may_end: int = 0) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, encoding="utf-8", timeout=900)
    assert done.returncode == may_end, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, cwd=folder)
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds the wheel and what it depends on, nothing else."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, with_pip=True)
    run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", wheel, cwd=folder)
    return folder / "bin"


def test_wheel_holds_every_data_file(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder in DATA:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file():
                assert f"chartulary/data/{path.relative_to(ROOT).as_posix()}" in names
    assert "chartulary/claim.schema.json" in names
    assert "chartulary/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "demo/"))]


def test_installed_package_asks(installed: Path, tmp_path: Path, register: Register) -> None:
    question = ["requirements", "--code", "38228", "--payer", "medicare", "--dos", "2025-06-25", "--format", "json"]
    answer = json.loads(run(installed / "chartulary", "ask", *question, cwd=tmp_path))
    expected = register.ask("requirements", code="38228", payer="medicare", dos="2025-06-25")
    assert answer["register_revision"] == register.revision
    assert [row["provision"] for row in answer["results"]] == [row["provision"] for row in expected.results]


def test_installed_package_validates(installed: Path, tmp_path: Path, register: Register) -> None:
    shutil.copytree(ROOT / "demo", tmp_path / "demo")
    files = sorted(path.relative_to(tmp_path) for path in (tmp_path / "demo").glob("*.*"))
    printed = run(installed / "chartulary", "validate", *files, "--format", "json", cwd=tmp_path, may_end=1)
    whole: dict[str, Any] = json.loads(printed)
    claims = [claim for path in files for claim in read_claims(tmp_path / path) if isinstance(claim, Claim)]
    assert whole["problems"] == []
    assert {claim["claim"]: claim["outcome"] for claim in whole["claims"]} == {
        claim.id: register.validate(claim).outcome for claim in claims
    }
    code = "import chartulary, pathlib; print(pathlib.Path(chartulary.__file__).resolve())"
    assert not Path(run(installed / "python", "-c", code, cwd=tmp_path).strip()).is_relative_to(ROOT)

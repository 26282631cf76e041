"""chartulary new policy: a skeleton that lints, is in form and passes its suite as it is, and overwrites nothing."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chartulary import Register
from chartulary.cli import app
from chartulary.errors import ChartularyError
from chartulary.register import data_folder
from chartulary.suites import find_suites, run
from chartulary.workbench import new
from chartulary.workbench.fmt import format_files
from chartulary.workbench.lint import lint

DAY = date(2025, 3, 1)


@pytest.fixture(autouse=True)
def loaded(register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped register is read once, and its rules."""
    load = Register.load

    def cheaply(*, policies: Path | None = None, cache: Path | None = None) -> Register:
        return load(policies=policies, like=register) if policies else register

    monkeypatch.setattr(Register, "load", cheaply)


def skeleton(folder: Path, name: str = "acme/car-t", **more: object) -> new.Skeleton:
    return new.policy(name, **{"publisher": "Acme Health", "published": DAY, "folder": folder, **more})  # type: ignore[arg-type]


def all_is_well(folder: Path, *, only: str = "") -> None:
    assert lint([folder]).findings == ()
    assert format_files([folder], write=False).changed == []
    register = Register.load(policies=folder)
    suites = [suite for suite in find_suites(folder) if suite.name.startswith(only)]
    assert suites and [difference for suite in suites for difference in run(suite, register)] == []


def test_a_new_payer_is_well_from_the_start(tmp_path: Path) -> None:
    made = skeleton(tmp_path / "policies", publisher='Acme "Health" Plan \\ East', effective=date(2025, 5, 1))
    made.write()
    assert list(made.files) == [
        "acme/sources.ttl",
        "acme/payer.ttl",
        "acme/scopes.ttl",
        "acme/car-t/policy.ttl",
        "acme/car-t/2025-03-01.ttl",
        "acme/car-t/suite.toml",
        "acme/car-t/claims/example-without-the-modifier.json",
        "acme/car-t/claims/right-example.json",
    ]
    assert made.notes == ("'acme' is a new payer",)
    assert '"2025-05-01"^^xsd:date' in made.files["acme/car-t/2025-03-01.ttl"]
    assert '"date_of_service": "2025-05-01"' in made.files["acme/car-t/claims/right-example.json"]
    assert 'outcome = "conformant"\nfindings = []' in made.files["acme/car-t/suite.toml"]
    assert 'provision = "example-to-replace", outcome = "violation"' in made.files["acme/car-t/suite.toml"]
    all_is_well(tmp_path / "policies")


def test_a_second_policy_of_the_same_payer_lies_beside_the_first(tmp_path: Path) -> None:
    skeleton(tmp_path / "policies").write()
    second = skeleton(tmp_path / "policies", "acme/other", published=date(2019, 1, 1))
    second.write()
    assert list(second.files)[:2] == ["acme/other/sources.ttl", "acme/other/policy.ttl"]
    # Its example is about a code that may be billed only since a later day.
    assert '"date_of_service": "2025-01-01"' in second.files["acme/other/claims/right-example.json"]
    assert second.notes[0] == "Suites with other claims of Acme Health may find the example too, until it is replaced"
    all_is_well(tmp_path / "policies", only="acme/other")


def test_a_payer_of_the_register_is_used(tmp_path: Path) -> None:
    made = skeleton(tmp_path, "medicare/local-article", publisher="A contractor")
    made.write()
    assert not any("payer.ttl" in name for name in made.files)
    assert '"payer": "Medicare"' in made.files["medicare/local-article/claims/right-example.json"]
    assert "medicare/ncd-110.24/2021-07-20#kx-on-administration" in made.files["medicare/local-article/suite.toml"]
    all_is_well(tmp_path)


@pytest.mark.parametrize(
    ("name", "publisher", "message"),
    [
        ("acme", "Acme", "'acme' is no name for a policy"),
        ("acme/", "Acme", "'acme/' is no name for a policy"),
        ("../acme/x", "Acme", "'../acme/x' is no name for a policy"),
        ("acme/a b", "Acme", "'acme/a b' is no name for a policy"),
        ("acme/x.", "Acme", "'acme/x.' is no name for a policy"),
        ("acme/x", "  ", "publisher and title cannot be empty"),
        ("cms/x", "Centers for Medicare & Medicaid Services", "the register has “Medicare” as 'medicare'"),
        ("part-b/x", "Medicare FFS", "the register has “Medicare” as 'medicare'"),
    ],
)
def test_what_cannot_be(tmp_path: Path, name: str, publisher: str, message: str) -> None:
    with pytest.raises(ChartularyError, match="^" + message.replace(".", r"\.")):
        skeleton(tmp_path, name, publisher=publisher)
    assert list(tmp_path.iterdir()) == []


def test_near_payers_are_named(tmp_path: Path) -> None:
    (note, _) = skeleton(tmp_path, "excelus/x", publisher="E").notes
    assert "excellus (Excellus BCBS)" in note


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    made = skeleton(tmp_path)
    made.write()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ChartularyError, match="is there already; nothing was written"):
        skeleton(tmp_path)
    with pytest.raises(ChartularyError, match="is there already; nothing was written"):
        made.write()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_shipped_folder_can_be_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    made = skeleton(data_folder("policies"), "medicare/another")
    assert "medicare/another/sources.ttl" in made.files or "medicare/sources.ttl" in made.files


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["new", "policy", "acme/car-t", "--publisher", "Acme Health"]
    assert "say --published" in str(CliRunner().invoke(app, words).exception)
    bad = CliRunner().invoke(app, [*words, "--published", "2025-02-30"])
    assert str(bad.exception) == "'2025-02-30' is not a day (yyyy-mm-dd)"
    assert list(tmp_path.iterdir()) == []
    done = CliRunner().invoke(app, [*words, "--published", "2025-03-01"])
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith(
        "  chartulary watch policies/acme/car-t\n"
        "  chartulary lint policies/acme/car-t\n"
        "  chartulary test policies/acme/car-t\n"
    )

"""The demo claims show what the README says of them, and every example in the README gives the output printed there."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from examples import Document, check_example, runs, title

from chartulary import Claim, Problem, Register, read_claims
from chartulary.engines import EngineName

ROOT = Path(__file__).resolve().parents[1]
DEMO = sorted(path for path in (ROOT / "demo").iterdir() if path.is_file())

OUTCOMES = {
    "OP-0625": "violation",
    "OP-0625-KX": "conformant",
    "OP-0626": "conformant",
    "PR-0715": "conformant",
    "PR-0310": "violation",
    "FH-0625": "not-applicable",
    "IP-0611": "needs-review",
    "EA-0804": "violation",
    "PA-0910": "violation",
}

# --- Demo claims ------------------------------------------------------------------------------------------------------


def demo_items() -> Iterator[Claim | Problem]:
    for path in DEMO:
        yield from read_claims(path)


@pytest.mark.parametrize("engine", ["python", "sql", "shifty", "pyshacl"])
def test_each_demo_claim_has_its_outcome(register: Register, engine: EngineName) -> None:
    items = list(demo_items())
    assert [item for item in items if isinstance(item, Problem)] == []
    claims = [item for item in items if isinstance(item, Claim)]
    assert {claim.id: register.validate(claim, engine=engine).outcome for claim in claims} == OUTCOMES


def test_demo_repairs(register: Register) -> None:
    repairs = {}
    for claim in demo_items():
        assert isinstance(claim, Claim)
        for finding in register.validate(claim).findings:
            if finding.repair:
                repairs[claim.id] = finding.repair
    assert repairs == {
        "OP-0625": "add modifier KX",
        "PR-0310": "report procedure code 38228 instead of 0540T",
        "EA-0804": "add condition code 90 (expanded access)",
    }


@pytest.mark.parametrize("path", [path for path in DEMO if path.suffix == ".837"], ids=lambda path: path.name)
def test_demo_interchanges_count_right(path: Path) -> None:
    text = path.read_text(encoding="ascii")
    assert text.startswith("ISA") and text[105] == "~"
    segments = [segment.strip().split("*") for segment in text.split("~") if segment.strip()]
    names = [segment[0] for segment in segments]
    closing = {segment[0]: segment for segment in segments if segment[0] in ("SE", "GE", "IEA")}
    assert int(closing["SE"][1]) == names.index("SE") - names.index("ST") + 1
    assert closing["SE"][2] == segments[names.index("ST")][2]
    assert closing["GE"][1:] == ["1", segments[names.index("GS")][6]]
    assert closing["IEA"][1:] == ["1", segments[0][13]]


def test_demo_people_are_made_up() -> None:
    for path in (path for path in (ROOT / "demo").rglob("*") if path.is_file()):
        for name in re.findall(r"NM1\*\w+\*1\*([^*]*)|\"family\": \"([^\"]*)\"", path.read_text(encoding="utf-8")):
            assert "".join(name).startswith("TEST")


# --- README -----------------------------------------------------------------------------------------------------------

README = Document(ROOT / "README.md")


@pytest.fixture(scope="module")
def beside_the_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the checkout to a reader of the README, and that examples may write to."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("demo", "docs"):
        shutil.copytree(ROOT / name, folder / name)
    for name, text in README.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("example", README.examples, ids=title)
def test_readme_example(example: str, beside_the_demo: Path) -> None:
    check_example(README, example, beside_the_demo)


def test_readme_has_an_example_of_each_kind() -> None:
    commands = [command for example in README.examples for command, _ in runs(example)]
    for start in ("chartulary validate", "chartulary ask", "chartulary export", "python "):
        assert any(command.startswith(start) for command in commands), start


def test_readme_shows_turtle_as_it_is() -> None:
    files = [*(ROOT / "policies").rglob("*.ttl"), *(ROOT / "docs").rglob("*.ttl")]
    written = "\n".join(path.read_text(encoding="utf-8") for path in files)
    for kind, text in README.blocks:
        assert kind != "turtle" or text in written


def test_readme_names_only_what_is_there() -> None:
    for target in README.targets:
        assert (ROOT / target).exists(), target

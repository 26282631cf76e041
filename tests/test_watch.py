"""chartulary watch: lint and suites again on each save, as if all had been read anew."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from chartulary import Register
from chartulary.errors import ChartularyError
from chartulary.facts import from_graph
from chartulary.suites import find_suites, run
from chartulary.workbench.watch import Watch, show

BASE = Path(__file__).resolve().parents[1]
EXAMPLE = BASE / "docs" / "example" / "policies"


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    shutil.copytree(EXAMPLE, folder)
    suite = folder / "example-health" / "car-t" / "suite.toml"
    # Claims as known on other days each take a snapshot of their own.
    parts = suite.read_text("utf-8").split("[[claim]]")
    kept = [part for part in parts if "as_known_on" not in part]
    suite.write_text("[[claim]]".join(kept), "utf-8")
    for path in (suite.parent / "claims").iterdir():
        if f'"claims/{path.name}"' not in suite.read_text("utf-8"):
            path.unlink()
    return folder


@pytest.fixture
def watch(policies: Path, register: Register, monkeypatch: pytest.MonkeyPatch) -> Watch:
    monkeypatch.setattr(Register, "load", lambda **_: register)
    watch = Watch(policies / "example-health" / "car-t")
    watch.look()
    return watch


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 1_000_000))


def text_of(watch: Watch) -> str:
    console = Console(file=io.StringIO(), width=80, highlight=False)
    show(console, watch, watch.round())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_all_is_well_and_nothing_is_read_twice(watch: Watch) -> None:
    assert watch.look() == ()
    told = watch.round()
    assert told.faults == 0 and told.not_run == ""
    assert [name for name, *_ in told.suites] == ["example-health/car-t"]
    register = watch.register
    assert watch.register is register
    assert "all well" in text_of(watch)


def test_a_save_is_seen_and_gives_what_a_fresh_register_gives(watch: Watch, policies: Path) -> None:
    version = policies / "example-health" / "car-t" / "2025-05-15.ttl"
    edit(version, "pol:lessThanMonths 3", "pol:lessThanMonths 4")
    assert watch.look() == (version,)
    told = watch.round()
    ((_, _, found),) = told.suites
    fresh = Register(dict(watch.register.files), watch.register.shapes, watch.register.queries, "fresh")
    fresh.rules = watch.register.rules
    (suite,) = find_suites(policies)
    assert [str(difference) for difference in found] == run(suite, fresh)
    assert {difference.where for difference in found} == {"claims/HIV-test-of-exactly-three-months.json"}
    assert told.faults == 1


def test_statements_are_those_of_the_whole(watch: Watch) -> None:
    register = watch.register
    whole = from_graph(register.whole)
    assert register.statements.relations
    for predicate, relation in register.statements.relations.items():
        assert relation == whole.relations[predicate]


def test_a_file_beside_the_policy_counts(watch: Watch, policies: Path) -> None:
    edit(policies / "example-health" / "payer.ttl", "setting:outpatient", "setting:inpatient")
    assert [path.name for path in watch.look()] == ["payer.ttl"]
    assert watch.round().faults > 0


def test_a_broken_file_shows_its_fault_and_watching_goes_on(watch: Watch, policies: Path) -> None:
    version = policies / "example-health" / "car-t" / "2025-05-15.ttl"
    edit(version, "a pol:PolicyVersion ;", "a pol:PolicyVersion")
    watch.look()
    told = watch.round()
    assert told.suites == () and "2025-05-15.ttl" in told.not_run
    assert [finding.rule for finding in told.findings] == ["syntax"]
    assert "No suite was run: a file cannot be read" in text_of(watch)
    edit(version, "a pol:PolicyVersion\n", "a pol:PolicyVersion ;\n")
    watch.look()
    assert watch.round().faults == 0


def test_claims_suites_and_files_that_come_and_go(watch: Watch, policies: Path) -> None:
    folder = policies / "example-health" / "car-t"
    (folder / "claims" / "new.json").write_text("{}")
    (more := folder / "more.ttl").write_text("PREFIX pol: <https://w3id.org/chartulary/def/policy#>\n")
    assert {path.name for path in watch.look()} == {"new.json", "more.ttl"}
    assert "claims/new.json: not named in suite.toml" in text_of(watch)
    (folder / "claims" / "new.json").unlink()
    more.unlink()
    assert {path.name for path in watch.look()} == {"new.json", "more.ttl"}
    edit(folder / "suite.toml", "[[claim]]", "[[claim")
    watch.look()
    assert "not TOML" in text_of(watch)


def test_what_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(ChartularyError, match="no such file or folder"):
        Watch(tmp_path / "none")
    with pytest.raises(ChartularyError, match="no Turtle files there"):
        Watch(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="interrupts are sent otherwise there")
def test_an_interrupt_ends_it_cleanly(policies: Path) -> None:
    """The command itself, with a save while it runs."""
    command = [sys.executable, "-m", "chartulary", "watch", str(policies / "example-health" / "car-t")]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(BASE / "src")}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment, encoding="utf-8") as process:
        assert process.stdout and process.stderr
        try:
            lines: list[str] = []

            def until(word: str) -> None:
                while word not in (line := process.stdout.readline()):  # type: ignore[union-attr]
                    assert line or process.poll() is None, lines
                    lines.append(line)

            until("all well")
            edit(
                policies / "example-health" / "car-t" / "2025-05-15.ttl", "pol:lessThanMonths 3", "pol:lessThanMonths 4"
            )
            until("1 to mend")
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()

"""Many claims: files of any mix, in parts, on all cores, into growing files, interrupted and gone on with."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from test_cli import Outcome, claim

from chartulary import Claim, Problem, Register, Snapshot, batch, cli, output, read_claims, readers
from chartulary.readers import read_claims_from
from chartulary.readers.tables import write_table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from generate import claims as made_claims  # noqa: E402
from generate import write_837, write_json_lines  # noqa: E402

Run = Callable[..., Outcome]
MANY = 320
NO_RUN = '{"done": {}, "counts": {}, "position": 0}'
OTHER = claim("2025-06-26", number="B")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where commands that run in processes of their own keep what they prepared."""
    return tmp_path_factory.mktemp("home") / "cache"


@pytest.fixture
def run(register: Register, home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command inside this process, with the register that is read already."""
    monkeypatch.setenv("CHARTULARY_CACHE", str(home))
    monkeypatch.setattr(Register, "load", lambda **_: register)

    def run(*arguments: str | Path, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["chartulary", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            cli.main()
        assert isinstance(ended.value.code, int)
        said = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
        return Outcome(ended.value.code, *said)

    return run


SMALL_PARTS = "import chartulary.readers as r; r._LINES_A_PART = 10_000; r._HEAD = 4096; "
SLOW = "import time, chartulary.output as o; add = o.TextSink.add; "
SLOW += "o.TextSink.add = lambda s, w: (time.sleep(0.03), add(s, w))[1]; "
MAIN = "from chartulary.cli import main; main()"


def command(
    home: Path, *arguments: str | Path, code: str = MAIN, seed: str = "0", **options: Any
) -> subprocess.Popen[str]:
    """The command as a user runs it, in a group of its own, as a terminal would start it."""
    environment = {
        **os.environ,
        "CHARTULARY_CACHE": str(home),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONHASHSEED": seed,
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(words, text=True, env=environment, start_new_session=True, **pipes)


def ended(process: subprocess.Popen[str]) -> Outcome:
    out, err = process.communicate(timeout=60)
    return Outcome(process.returncode, out or "", err or "")


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def told(done: Outcome) -> list[str]:
    """The claims, in order; of problems, where they were."""
    found = lines(done.out)
    return [line["problem"]["source"] if "problem" in line else line["claim"] for line in found]


@pytest.fixture(scope="module")
def made(register: Register) -> list[Claim]:
    return list(made_claims(100, seed=3, register=register, carried_by="tuva"))


@pytest.fixture(scope="module")
def many(made: list[Claim], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some hundred claims in a file that is cut into parts; the last claims come with ids that were there before."""
    path = tmp_path_factory.mktemp("many") / "claims.jsonl"
    whole = [*(replace(c, id=f"{n}-{c.id}") for n in range(3) for c in made), *made[:10], *made[:10]]
    assert write_json_lines(whole, path) == MANY
    assert path.stat().st_size > 150_000
    return path


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "_HEAD", 4096)
    monkeypatch.setattr(readers, "_LINES_A_PART", 10_000)
    monkeypatch.setattr(readers, "_X12_A_PART", 20_000)
    monkeypatch.setattr(readers, "_CLAIMS_A_PART", 20)


# --- What is taken ----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b/2.json", "b/10.json", "a.json", "b/deep/er/x", ".hidden.json", "b/.git/c.json"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(claim(number=name))
    return tmp_path / "in"


def test_files_folders_and_patterns_in_order(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(run("validate", folder, "-f", "jsonl")) == ["a.json", "b/10.json", "b/2.json", "b/deep/er/x"]
    assert told(run("validate", folder / "b" / "*.json", "-f", "jsonl")) == ["b/10.json", "b/2.json"]
    assert told(run("validate", folder / "**" / "x", folder / "a.json", "-f", "jsonl")) == ["b/deep/er/x", "a.json"]
    mixed = run("validate", folder / "b" / "2.json", "-", folder / "?.json", "-f", "jsonl", stdin=OTHER.encode())
    assert told(mixed) == ["b/2.json", "B", "a.json"]
    monkeypatch.chdir(folder)
    assert told(run("validate", ".", "-f", "jsonl")) == ["a.json", "b/10.json", "b/2.json", "b/deep/er/x"]


def test_a_file_whose_name_is_a_pattern(run: Run, tmp_path: Path) -> None:
    (tmp_path / "c[1].json").write_text(claim(number="named"))
    (tmp_path / "c1.json").write_text(claim(number="matched"))
    assert told(run("validate", tmp_path / "c[1].json", "-f", "jsonl")) == ["named"]


def test_a_folder_above_two_levels_is_read(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder / "b" / "deep")
    assert told(run("validate", "../../b/deep/er", "-f", "jsonl")) == ["b/deep/er/x"]


def test_a_folder_below_a_hidden_one_is_read_where_it_is_asked_for(run: Run, folder: Path) -> None:
    assert told(run("validate", folder / "b" / ".git", "-f", "jsonl")) == ["b/.git/c.json"]


def test_a_folder_of_nothing_is_said(run: Run, tmp_path: Path) -> None:
    assert str(tmp_path) in run("validate", tmp_path, "-f", "jsonl").is_a_fault()


@pytest.mark.parametrize("missing", ["none.json", "*.none", "none/", "a\nb"])
def test_what_is_missing_costs_nobody_else(run: Run, folder: Path, missing: str) -> None:
    done = run("validate", folder / "a.json", f"{folder}/{missing}", folder / "b" / "2.json", "-f", "jsonl")
    assert done.code == 2
    assert told(done) == ["a.json", f"{folder}/{missing}", "b/2.json"]
    assert done.err == f"{folder}/{missing}: no such file\n"


def test_a_file_without_claims_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("[]")
    done = run("validate", tmp_path / "c.json", "-f", "jsonl")
    assert "no claim in this file" in done.is_a_fault()


def test_a_file_of_junk_is_left_soon(run: Run, tmp_path: Path, small_parts: None) -> None:
    (tmp_path / "c.jsonl").write_text('{"neither": 1}\n' * 30_000 + claim() + "\n")
    done = run("validate", tmp_path / "c.jsonl", "-f", "jsonl")
    said = done.err.splitlines()
    assert done.code == 2 and 1000 < len(said) < 4000
    assert said[-1].endswith("problems and not one claim: the rest is not read")
    assert len(lines(done.out)) == len(said)


# --- The same whatever the form ---------------------------------------------------------------------------------------


def bare(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in ("key", "source", "where")}


def test_every_form_of_input_gives_the_same_findings(run: Run, made: list[Claim], tmp_path: Path) -> None:
    write_json_lines(made, tmp_path / "c.jsonl")
    write_table(made, tmp_path / "c.csv")
    write_table(made, tmp_path / "c.parquet")
    done = [run("validate", tmp_path / f"c.{form}", "-f", "jsonl") for form in ("jsonl", "csv", "parquet")]
    expected, *others = ([bare(line) for line in lines(each.out)] for each in done)
    assert len(expected) == len(made)
    assert sum(len(line["findings"]) for line in expected) > len(made)
    for other in others:
        assert other == expected
    assert len({each.code for each in done}) == 1


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_form_of_output_says_the_same(run: Run, many: Path, tmp_path: Path, small_parts: None) -> None:
    options = ("validate", many, "--engine", "python")
    shown = run(*options, "-f", "jsonl")
    for form in ("jsonl", "csv", "parquet"):
        done = run(*options, "-f", form, "-o", tmp_path / f"out.{form}")
        assert (done.code, done.out, done.err) == (shown.code, "", shown.err)
    assert (tmp_path / "out.jsonl").read_text() == shown.out
    assert run(*options, "-f", "csv").out == (tmp_path / "out.csv").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "out.jsonl", "out.parquet"], "no leftovers"
    rows = csv_rows(tmp_path / "out.csv")
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [{name: "" if v is None else str(v) for name, v in row.items()} for row in table] == rows
    reports = lines(shown.out)
    by_finding = [
        (report["key"], report["claim"], report["outcome"], *(f[name] for name in ("outcome", "provision", "message")))
        for report in reports
        for f in report["findings"] or [{"outcome": None, "provision": None, "message": None}]
    ]
    names = ("key", "claim", "claim_outcome", "outcome", "provision", "message")
    assert [tuple(row[name] for name in names) for row in table] == by_finding
    assert tuple(table[0]) == output.COLUMNS


def test_engines_give_the_same_rows(run: Run, made: list[Claim], tmp_path: Path) -> None:
    write_json_lines(made[:25], tmp_path / "c.jsonl")
    found = {}
    for engine in ("python", "sql", "shifty"):
        run("validate", tmp_path / "c.jsonl", "-f", "csv", "--engine", engine, "-o", tmp_path / "out")
        found[engine] = csv_rows(tmp_path / "out")
        assert {row.pop("engine") for row in found[engine]} == {engine}
    assert len(found["python"]) > 25
    assert found["python"] == found["sql"] == found["shifty"]


def test_auto_takes_sql_for_many_and_python_for_few(run: Run, many: Path, tmp_path: Path) -> None:
    (tmp_path / "few.json").write_text(claim())
    assert {line["engine"] for line in lines(run("validate", many, "-f", "jsonl").out)} == {"sql"}
    assert {line["engine"] for line in lines(run("validate", tmp_path / "few.json", "-f", "jsonl").out)} == {"python"}


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_two_processes_write_the_same_bytes(home: Path, many: Path, tmp_path: Path, form: str) -> None:
    racing = [
        command(home, "validate", many, many.parent / "none", "-f", form, "-j", jobs, "-o", tmp_path / jobs,
                code=SMALL_PARTS + MAIN)
        for jobs in ("1", "2")
    ]  # fmt: skip
    one, two = map(ended, racing)
    assert one == two
    assert (one.code, one.out, one.err) == (2, "", f"{many.parent / 'none'}: no such file\n")
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    assert (tmp_path / "1").stat().st_size > 50_000


def test_every_process_writes_the_same_bytes(home: Path, many: Path, tmp_path: Path) -> None:
    """Python's order of sets is another in each process; a resumed run is one."""
    for seed in ("0", "1"):
        out = ("-o", tmp_path / seed)
        assert ended(command(home, "validate", many, "-f", "csv", "-j", "1", *out, seed=seed)).code == 1
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_keys_are_stable_and_tell_claims_apart(run: Run, many: Path) -> None:
    by_engine = [lines(run("validate", many, "-f", "jsonl", "--engine", e).out) for e in ("python", "sql", "python")]
    keys = [[line["key"] for line in found] for found in by_engine]
    assert keys[0] == keys[1] == keys[2]
    assert len(set(keys[0])) == len(keys[0]) > len({line["claim"] for line in by_engine[0]})
    assert all(re.fullmatch("[0-9a-f]{16}", key) for key in keys[0])


def test_keys_do_not_hang_on_how_a_file_is_cut(run: Run, many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run("validate", many, "-f", "jsonl", "--engine", "python")
    monkeypatch.setattr(readers, "_LINES_A_PART", 50_000)
    assert run("validate", many, "-f", "jsonl", "--engine", "python") == whole


@pytest.mark.parametrize("form", ["csv", "837"])
def test_keys_tell_claims_of_one_id_apart_in_every_form(
    run: Run, form: str, register: Register, made: list[Claim], tmp_path: Path
) -> None:
    file = tmp_path / f"c.{form}"
    if form == "837":
        sent = [replace(c, id="SAME") for c in made_claims(10, seed=3, register=register, carried_by="837I")]
        write_837(sent, file)
    else:
        write_table([replace(c, id="SAME" if n % 2 else "OTHER") for n, c in enumerate(made[:10])], file)
    found = lines(run("validate", file, "-f", "jsonl").out)
    assert len({line["key"] for line in found}) == len(found) > 1


@pytest.mark.parametrize("engine", ["sql", "auto"])
def test_claims_of_one_id_are_judged_each_by_itself(
    run: Run, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim that was sent again, corrected, comes with the id of the first."""
    monkeypatch.setattr(batch, "_FEW", 2)
    (tmp_path / "c.jsonl").write_text("\n".join(claim(day, number="S") for day in ("2025-06-26", "2025-06-25")))
    options = ("validate", tmp_path / "c.jsonl", "-f", "jsonl", "--unknown", "info", "--engine")
    expected = [line["outcome"] for line in lines(run(*options, "python").out)]
    assert expected == ["conformant", "violation"]
    assert [line["outcome"] for line in lines(run(*options, engine).out)] == expected


# --- In parts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "837"])
def test_parts_are_read_one_after_another(
    run: Run,
    form: str,
    register: Register,
    made: list[Claim],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is cut out is judged and written before more is read; and cutting changes nothing."""
    file, out = tmp_path / f"c.{form}", tmp_path / "out"
    if form == "837":
        write_837(made_claims(100, seed=3, register=register, carried_by="837I"), file)
    elif form == "jsonl":
        write_json_lines(made, file)
    else:
        write_table(made, file)
    options = ("validate", file, "-f", "jsonl", "--engine", "python", "-j", "1", "-o", out)
    run(*options)
    whole = out.read_bytes()

    happened: list[str] = []
    cut, work, add = batch.parts, batch.Worker.work, output.TextSink.add

    def cutting(source: str) -> Iterator[Any]:
        for part in cut(source):
            happened.append("cut")
            yield part

    def working(self: Any, part: Any, source: str) -> Any:
        happened.append("judge")
        return work(self, part, source)

    def adding(self: Any, written: bytes) -> int:
        happened.append("write")
        return add(self, written)

    monkeypatch.setattr(readers, "_HEAD", 4096)
    monkeypatch.setattr(readers, "_LINES_A_PART", 10_000)
    monkeypatch.setattr(readers, "_X12_A_PART", 20_000)
    monkeypatch.setattr(readers, "_CLAIMS_A_PART", 20)
    monkeypatch.setattr(batch, "parts", cutting)
    monkeypatch.setattr(batch.Worker, "work", working)
    monkeypatch.setattr(output.TextSink, "add", adding)
    run(*options)
    assert out.read_bytes() == whole
    count = happened.count("cut")
    assert count >= 4
    assert happened == ["write", *["cut", "judge", "write"] * count], "the first is of the header, empty here"


def shown(items: Iterator[Claim | Problem]) -> list[str]:
    return [f"{i.where}: {i.id}" if isinstance(i, Claim) else str(i).partition(", ")[2] for i in items]


ODD_LINES = {
    "plain": [],
    "blank lines": ["", "  ", "\t", ""],
    "bad lines": ['{"id": "2", "diag', "oops", "{}", "5", '{"a": NaN}', "[1]"],
    "carriage returns": ['{"id": "R", "diagnoses": ["C83.31"]}\r', "\r", '{"a"\r'],
    "other line ends": [
        '{"id": "\u2028", "diagnoses": ["C83.31"]}',
        '{"id": "x\x0cy"}',
        '{"id": "\x85", "drg": "018"}',
    ],
    "a mark in the middle": ['\ufeff{"id": "M", "diagnoses": ["C83.31"]}'],
}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "BOM"])
@pytest.mark.parametrize("ending", ["\n", ""], ids=["", "no last line end"])
@pytest.mark.parametrize("name", ODD_LINES)
def test_json_lines_in_parts_are_those_of_the_whole(
    name: str, ending: str, mark: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = [f'{{"id": "{n}", "diagnoses": ["C83.31"]}}' for n in range(30)]
    text = "\n".join([*good[:2], *ODD_LINES[name], *good[2:20], *ODD_LINES[name], *good[20:]]) + ending
    (tmp_path / "c").write_bytes(data := mark + text.encode())
    expected = shown(read_claims_from(data, source="c"))
    assert len(expected) >= 30
    monkeypatch.setattr(readers, "_HEAD", 200)
    for size in (1, 50, 333, 10_000):
        monkeypatch.setattr(readers, "_LINES_A_PART", size)
        parts = list(readers.parts(tmp_path / "c"))
        assert (len(parts) > 5) == (size < 300) or size == 333
        assert shown(read_claims(tmp_path / "c")) == expected


def test_bytes_that_are_no_utf_8_cost_only_their_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = [b'{"id": "%d", "diagnoses": ["C83.31"]}' % n for n in range(30)]
    (tmp_path / "c").write_bytes(b"\n".join([*good[:9], b'{"id": "caf\xe9"}', *good[9:], b"\xff\xfe", b""]))
    monkeypatch.setattr(readers, "_HEAD", 200)
    found = []
    for size in (1, 100, 10_000):
        monkeypatch.setattr(readers, "_LINES_A_PART", size)
        found.append(shown(read_claims(tmp_path / "c")))
    assert found[0] == found[1] == found[2]
    assert found[0][9] == "line 10: not UTF-8 text" and found[0][-1] == "line 32: not UTF-8 text"
    assert len(found[0]) == 32


# --- What fails -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["auto", "python"])
def test_a_claim_on_which_an_engine_fails_costs_only_itself(
    run: Run, many: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = lines(run("validate", many, "-f", "jsonl", "--engine", "sql").out)
    bad = {before[number]["claim"] for number in (0, 133, 134)}
    keys = [line["key"] for line in before if line["claim"] not in bad]
    judge = Snapshot.validate_all

    def failing(self: Snapshot, claims: Any, **options: Any) -> Any:
        if any(c.id in bad for c in claims):
            raise KeyError("Jane Doe")
        return judge(self, claims, **options)

    monkeypatch.setattr(Snapshot, "validate_all", failing)
    done = run("validate", many, "-f", "jsonl", "--engine", engine)
    assert done.code == 2
    assert [line["key"] for line in lines(done.out) if "problem" not in line] == keys
    said = done.err.splitlines()
    assert len(said) == len(before) - len(keys) >= 3
    assert said[0] == f"{many}, line 1: the rules failed on this claim (KeyError); this is a bug in Chartulary"
    assert "Jane" not in done.err + done.out


def test_a_fault_that_comes_late_costs_no_claim_its_result(
    run: Run, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine may give some reports before it fails."""
    judge = Snapshot.validate_all
    bad = lines(run("validate", many, "-f", "jsonl").out)[50]["claim"]

    def failing(self: Snapshot, claims: Any, **options: Any) -> Iterator[Any]:
        for report in judge(self, claims, **options):
            if report.claim == bad:
                raise MemoryError
            yield report

    monkeypatch.setattr(Snapshot, "validate_all", failing)
    found = [line.get("claim", "problem") for line in lines(run("validate", many, "-f", "jsonl").out)]
    assert found.count("problem") == 1 and bad not in found
    assert len(found) == MANY


def test_nothing_is_said_where_nobody_looks(home: Path, many: Path) -> None:
    done = ended(command(home, "validate", many, "-f", "jsonl", "-j", "2", code=SMALL_PARTS + MAIN))
    assert (done.code, done.err) == (1, "")


def test_duckdb_says_nothing_either(home: Path, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(claim())
    done = ended(command(home, "validate", tmp_path / "c.json", "-f", "jsonl", "--engine", "sql"))
    assert (done.code, done.err) == (1, "")


# --- Where it cannot be written ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_an_output_that_cannot_be_written(run: Run, many: Path, tmp_path: Path, form: str) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file" / "out", tmp_path):
        done = run("validate", many, "-f", form, "-o", path)
        assert "cannot be written" in done.is_a_fault() or (form == "parquet" and path == tmp_path)
    if form != "parquet":
        assert "cannot be written" in run("validate", many, "-f", form, "-o", tmp_path / "no" / "out").is_a_fault()
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full disk to try")
def test_a_full_disk_is_one_line(home: Path, many: Path) -> None:
    racing = [command(home, "validate", many, "-f", "jsonl", "--engine", "python", "-o", "/dev/full")]
    with Path("/dev/full").open("wb") as full:
        racing.append(command(home, "validate", many, "-f", "jsonl", "--engine", "python", stdout=full))
        for done in map(ended, racing):
            assert "No space left" in done.is_a_fault()


def test_parquet_needs_a_file(run: Run, many: Path) -> None:
    assert "--output" in run("validate", many, "-f", "parquet").is_a_fault()


# --- Interrupted, and gone on with ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(register: Register, home: Path, many: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What an uninterrupted run writes."""
    out = tmp_path_factory.mktemp("whole") / "out"
    done = ended(command(home, "validate", many, "-f", "jsonl", "-o", out, code=SMALL_PARTS + MAIN))
    assert (done.code, done.err) == (1, "")
    return out.read_bytes()


def stopped(home: Path, many: Path, out: Path, number: signal.Signals, *, jobs: int = 1, whom: str = "all") -> Outcome:
    """A run that gets a signal when its first parts are written."""
    options = ("-f", "jsonl", "-j", str(jobs), "-o", out)
    # What runs in the background of a script ignores interrupts, and so would its child.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = command(home, "validate", many, *options, code=SMALL_PARTS + SLOW + MAIN)
    signal.signal(signal.SIGINT, before)
    until = time.monotonic() + 50
    while not Path(f"{out}.resume").exists():
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.005)
    if whom == "all":
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    return ended(process)


def resume(home: Path, many: Path, out: Path) -> Outcome:
    return ended(
        command(home, "validate", many, "-f", "jsonl", "-j", "1", "-o", out, "--resume", code=SMALL_PARTS + MAIN)
    )


@pytest.mark.parametrize(
    ("number", "jobs", "whom"), [(signal.SIGINT, 1, "all"), (signal.SIGINT, 2, "all"), (signal.SIGTERM, 2, "one")]
)
def test_an_interrupted_run_goes_on(
    home: Path,
    many: Path,
    whole: bytes,
    tmp_path: Path,
    number: signal.Signals,
    jobs: int,
    whom: str,
) -> None:
    out = tmp_path / "out.jsonl"
    done = stopped(home, many, out, number, jobs=jobs, whom=whom)
    assert (done.code, done.out) == (130, "")
    assert done.err.count("\n") == 1, done.err
    said = re.fullmatch(r"chartulary: stopped after ([\d,]+) claims \((.*), part (\d+)\); --resume .*\n", done.err)
    assert said and said[2] == str(many)
    written = out.read_bytes()
    assert whole.startswith(written) and 0 < len(written) < len(whole)
    assert written.endswith(b"\n")
    assert abs(written.count(b"\n") - int(said[1].replace(",", ""))) <= 60, "at most a part was written, not yet noted"
    kept = json.loads(Path(f"{out}.resume").read_text())
    assert kept["done"] == {str(many): int(said[3])} or kept["done"] == {str(many): int(said[3]) - 1}
    resumed = resume(home, many, out)
    assert (resumed.code, resumed.out, resumed.err) == (1, "", "")
    assert out.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"], "no leftovers"


@pytest.mark.parametrize("behind", [b"", b'{"half a row', b'{"a": "whole row"}\n' * 50_000], ids=["", "half", "more"])
def test_a_killed_run_goes_on_and_takes_back_what_it_had_not_noted(
    home: Path, many: Path, whole: bytes, tmp_path: Path, behind: bytes
) -> None:
    out = tmp_path / "out.jsonl"
    assert stopped(home, many, out, signal.SIGKILL).code == -signal.SIGKILL
    with out.open("ab") as file:
        file.write(behind)
    assert resume(home, many, out).code == 1
    assert out.read_bytes() == whole


class Stop:
    """Has a sink interrupt the run when it is given so many parts, before or after it wrote the last."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, sink: Any, after: int, *, written: bool) -> None:
        self.left = after
        add = sink.add

        def adding(me: Any, content: bytes) -> int:
            self.left -= 1
            position: int = add(me, content) if self.left or written else 0
            if not self.left:
                raise KeyboardInterrupt
            return position

        monkeypatch.setattr(sink, "add", adding)


@pytest.mark.parametrize("written", [False, True], ids=["not written", "written, not noted"])
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_other_forms_go_on_too(
    run: Run, many: Path, tmp_path: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch, form: str, written: bool
) -> None:
    out, first = tmp_path / f"out.{form}", tmp_path / "first"
    options = ("validate", many, "-f", form, "-j", "1", "--engine", "python", "-o", out)
    whole = run(*options)
    out.rename(first)
    sink = output.ParquetSink if form == "parquet" else output.TextSink
    with monkeypatch.context() as patch:
        Stop(patch, sink, 6, written=written)
        assert run(*options).code == 130
    if form == "parquet":
        assert not out.exists()
        assert len(list((tmp_path / "out.parquet.parts").iterdir())) == (6 if written else 5)
    else:
        rows = csv_rows(out)
        assert rows == csv_rows(first)[: len(rows)] and rows[-1]["engine"] == "python"
    with monkeypatch.context() as patch:
        Stop(patch, sink, 3, written=written)
        assert run(*options, "--resume").code == 130, "and once more"
    assert run(*options, "--resume") == whole
    if form == "parquet":
        assert pq.read_table(out).equals(pq.read_table(first))
    else:
        assert out.read_bytes() == first.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", out.name]


def test_problems_are_counted_over_the_break(
    run: Run, tmp_path: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = [claim("2025-06-26", number=f"G{n}") for n in range(602)]
    (tmp_path / "c.jsonl").write_text("\n".join([*good[:2], '{"bad', *good[2:]]))
    options = ("validate", tmp_path / "c.jsonl", "-f", "jsonl", "-j", "1", "--unknown", "info", "-o", tmp_path / "out")
    with monkeypatch.context() as patch:
        Stop(patch, output.TextSink, 4, written=True)
        assert run(*options).code == 130
    done = run(*options, "--resume")
    assert (done.code, done.err) == (2, ""), "the problem was told before the break, and is a fault still"
    assert len(lines((tmp_path / "out").read_text())) == 603


def test_whole_files_that_are_done_are_not_done_again(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("validate", folder, "-f", "jsonl", "-o", tmp_path / "out")
    run(*options)
    expected = (tmp_path / "out").read_bytes()
    with monkeypatch.context() as patch:
        Stop(patch, output.TextSink, 3, written=True)
        run(*options)
    assert run(*options, "--resume").code == 1
    assert (tmp_path / "out").read_bytes() == expected


@pytest.fixture
def interrupted(run: Run, many: Path, tmp_path: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The words of a run that was interrupted."""
    options = ["validate", many, "-f", "jsonl", "-j", "1", "--engine", "python", "-o", tmp_path / "out"]
    with monkeypatch.context() as patch:
        Stop(patch, output.TextSink, 4, written=True)
        assert run(*options).code == 130
    return options


@pytest.mark.parametrize(
    ("more", "changed"),
    [
        (["--as-known-on", "2025-09-01"], "as known on"),
        (["--unknown", "info"], "unknown"),
        (["--engine", "sql"], "engine"),
        (["-f", "csv"], "format"),
        (["demo/outpatient.837"], "claims"),
    ],
)
def test_only_the_same_run_goes_on(run: Run, interrupted: list[Any], more: list[str], changed: str) -> None:
    out = interrupted[-1]
    before = out.read_bytes(), Path(f"{out}.resume").read_bytes()
    done = run(*interrupted, *more, "--resume")
    assert f"({changed} changed)" in done.is_a_fault()
    assert (out.read_bytes(), Path(f"{out}.resume").read_bytes()) == before, "nothing is lost"
    assert run(*interrupted, "--resume").code == 1


def test_changed_claims_do_not_go_on(run: Run, interrupted: list[Any], many: Path, tmp_path: Path) -> None:
    stamp = many.stat()
    os.utime(many, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    try:
        assert "(claims changed)" in run(*interrupted, "--resume").is_a_fault()
    finally:
        os.utime(many, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def test_a_changed_register_does_not_go_on(
    run: Run, interrupted: list[Any], register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(register, "revision", "0" * 16)
    assert "(register changed)" in run(*interrupted, "--resume").is_a_fault()


def test_another_program_does_not_go_on(run: Run, interrupted: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """It may cut files into other parts."""
    monkeypatch.setattr("chartulary.cache.code_revision", lambda: "0" * 16)
    assert "(program changed)" in run(*interrupted, "--resume").is_a_fault()


@pytest.mark.parametrize("kept", [None, "", "{", "[]", "{}", '{"run": 5}', NO_RUN])
def test_there_must_be_something_to_go_on_with(run: Run, many: Path, tmp_path: Path, kept: str | None) -> None:
    if kept is not None:
        (tmp_path / "out.resume").write_text(kept)
    done = run("validate", many, "-f", "jsonl", "-o", tmp_path / "out", "--resume")
    assert "no interrupted run to go on with" in done.is_a_fault()
    assert not (tmp_path / "out").exists()


def test_a_finished_run_does_not_go_on(run: Run, folder: Path, tmp_path: Path) -> None:
    words = ("validate", folder, "-f", "jsonl", "-o", tmp_path / "out")
    run(*words)
    before = (tmp_path / "out").read_bytes()
    assert "no interrupted run" in run(*words, "--resume").is_a_fault()
    assert (tmp_path / "out").read_bytes() == before


@pytest.mark.parametrize("words", [("-f", "jsonl"), ("-f", "json", "-o", "out"), ()])
def test_going_on_needs_a_growing_file(run: Run, many: Path, words: tuple[str, ...]) -> None:
    assert "--resume" in run("validate", many, *words, "--resume").is_a_fault()


def test_a_run_anew_forgets_the_interrupted_one(run: Run, interrupted: list[Any]) -> None:
    assert run(*interrupted).code == 1
    found = [line["key"] for line in lines(interrupted[-1].read_text())]
    assert len(found) == len(set(found)) == MANY
    assert not Path(f"{interrupted[-1]}.resume").exists()


def test_the_note_beside_an_output_says_nothing_of_claims(run: Run, interrupted: list[Any], made: list[Claim]) -> None:
    kept = Path(f"{interrupted[-1]}.resume").read_text()
    assert not any(c.id in kept for c in made)


def test_one_file_named_twice_goes_on(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.json").write_text(claim())
    words = ("validate", tmp_path / "c.json", tmp_path / "c.json", "-f", "jsonl", "-o", tmp_path / "out")
    run(*words)
    expected = (tmp_path / "out").read_bytes()
    with monkeypatch.context() as patch:
        Stop(patch, output.TextSink, 3, written=False)
        run(*words)
    run(*words, "--resume")
    assert (tmp_path / "out").read_bytes() == expected


def test_an_output_inside_of_the_folder_that_is_read_goes_on(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("validate", folder, "-f", "jsonl", "-o", folder / "out.jsonl")
    with monkeypatch.context() as patch:
        Stop(patch, output.TextSink, 3, written=True)
        run(*words)
    assert run(*words, "--resume").code == 1


# --- Other commands ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_table(run: Run, folder: Path, tmp_path: Path, form: str) -> None:
    (folder / "a.json").write_text('{"lines": 5}')
    out = tmp_path / f"claims.{form}"
    done = run("table", folder, "-o", out)
    assert done.code == 2 and done.out == ""
    assert done.err.splitlines()[0].startswith(str(folder / "a.json"))
    assert [c.id for c in read_claims(out) if isinstance(c, Claim)] == ["b/10.json", "b/2.json", "b/deep/er/x"]
    done = run("table", folder / "b" / "2.json", "-o", out)
    assert (done.code, done.err) == (0, f"{out}: 1 claims\n")
    again, before = (
        run("validate", each, "-f", "jsonl", "--unknown", "info") for each in (out, folder / "b" / "2.json")
    )
    assert again.code == before.code == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [("claims.txt", ".csv"), ("no/such/folder/c.csv", "cannot be written"), ("no/such/folder/c.parquet", "")],
)
def test_table_faults(run: Run, folder: Path, tmp_path: Path, name: str, message: str) -> None:
    done = run("table", folder / "b" / "2.json", "-o", tmp_path / name)
    assert message in done.is_a_fault()


@pytest.mark.parametrize("dialect", ["duckdb", "spark"])
def test_compile(run: Run, tmp_path: Path, dialect: str) -> None:
    done = run("compile", "--dialect", dialect)
    assert (done.code, done.err) == (0, "")
    assert "CREATE" in done.out and "review" in done.out
    assert "A claim shows its product" in done.out, "the rules' own words"
    run("compile", "--dialect", dialect, "-o", tmp_path / "rules.sql")
    assert (tmp_path / "rules.sql").read_text() == done.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--dialect"),
        (("--dialect", "cobol"), "cobol"),
        (("--dialect", "spark", "--as-known-on", "soon"), "not a day"),
        (("--dialect", "spark", "--output", "/no/such/folder/x"), "cannot be written"),
    ],
)
def test_compile_faults(run: Run, words: tuple[str, ...], message: str) -> None:
    done = run("compile", *words)
    assert message in done.is_a_fault() and done.out == ""

"""What is kept on disk between runs: it changes no answer, mends itself, and holds nothing of claims."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from rdflib import Graph

from chartulary import Register, Snapshot, cache, cli, duck, read_claims, snapshot
from chartulary import register as register_module
from chartulary.cache import Cache, default_folder
from chartulary.claim import Claim
from chartulary.compiler import algebra
from chartulary.compiler.python import Program
from chartulary.errors import ChartularyError
from chartulary.facts import Facts
from chartulary.register import Prepared

ROOT = Path(__file__).resolve().parents[1]
DEMO = [ROOT / "demo" / name for name in ("outpatient.837", "inpatient.837", "prior-authorization.json")]
CLAIMS = [claim for path in DEMO for claim in read_claims(path) if isinstance(claim, Claim)]
ASKED = {"code": "38228", "payer": "medicare", "dos": "2025-06-25"}
PRIVATE = "C-PRIVATE-4711"


def answers(kept: Register) -> tuple[object, ...]:
    """All that a user sees, by each way to it that needs something of the cache."""
    now = kept.snapshot()
    reports = [list(now.validate_all(CLAIMS, engine=engine)) for engine in ("python", "sql")]
    return kept.revision, reports, kept.ask("requirements", **ASKED)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache after a first run; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("filled") / "cache"
    answers(Register.load(cache=folder))
    return folder


@pytest.fixture
def copy(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "cache"))


@pytest.fixture
def parses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("this was prepared once already")

    monkeypatch.setattr(register_module, "_parse", refuse)
    monkeypatch.setattr(Graph, "parse", refuse)
    monkeypatch.setattr(snapshot, "fold", refuse)
    monkeypatch.setattr(algebra, "read_rules", refuse)
    monkeypatch.setattr(register_module, "compile_rules", refuse)
    monkeypatch.setattr(duck, "prepare", refuse)


# --- The same answers -------------------------------------------------------------------------------------------------


def test_what_is_kept_is_what_would_be_made(register: Register, filled: Path) -> None:
    kept = Register.load(cache=filled)
    assert answers(kept) == answers(register)
    snapshots = kept.snapshot(), register.snapshot()
    new, old = (each.prepared for each in snapshots)
    assert new.facts.relations == old.facts.relations
    assert new.statements.relations == old.statements.relations
    assert new.rules == old.rules
    written = [sorted(each.triples.splitlines()) for each in snapshots]
    assert written[0] == written[1]


def test_the_second_load_parses_nothing(filled: Path, parses_nothing: None) -> None:
    assert answers(Register.load(cache=filled))
    with pytest.raises(AssertionError, match="prepared once already"):
        _ = Register.load(cache=filled).snapshot(as_known_on=date(2025, 9, 1)).prepared  # of another day: nothing kept


def test_each_day_and_each_way_with_the_unknown_has_its_own(copy: Path) -> None:
    kept = Register.load(cache=copy)
    made = []
    for known, unknown in ((None, "review"), (date(2025, 9, 1), "review"), (date(2025, 9, 1), "info")):
        now = kept.snapshot(as_known_on=known, unknown=unknown)  # type: ignore[arg-type]
        made.append(now._kept("test", list, lambda known=known, unknown=unknown: [known, unknown]))  # type: ignore[misc]
    assert made == [[None, "review"], [date(2025, 9, 1), "review"], [date(2025, 9, 1), "info"]]


# --- What is damaged --------------------------------------------------------------------------------------------------


class _Trap:
    """A pickle that would do something."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (Path(os.environ["CHARTULARY_TRAP"]),)


def checked(data: bytes) -> bytes:
    return hashlib.sha256(data).digest() + data


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "shorter than its check": lambda data: data[:20],
    "nothing behind its check": lambda data: data[:32],
    "cut in half": lambda data: data[: len(data) // 2],
    "without its end": lambda data: data[:-1],
    "with something behind it": lambda data: data + b"\0",
    "one bit changed": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    "zeros": lambda data: bytes(len(data)),
    "text": lambda data: b"not a pickle at all, but long enough to hold a check",
    "no pickle behind a right check": lambda data: checked(b"nothing"),
    "a pickle cut, with a right check": lambda data: checked(data[32:-5]),
    "of a class that is gone": lambda data: checked(b"cnowhere\nGone\n."),
    "of a name that is gone": lambda data: checked(b"cchartulary.register\nGone\n."),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_not_there(tmp_path: Path, damage: str) -> None:
    kept = Cache(tmp_path)
    kept.put("key", {"a": list(range(100))})
    (path,) = tmp_path.iterdir()
    assert kept.get("key") == {"a": list(range(100))}
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    assert kept.get("key") is None
    kept.put("key", [1])
    assert kept.get("key") == [1]


def test_a_pickle_without_its_check_is_not_even_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARTULARY_TRAP", str(tmp_path / "sprung"))
    kept = Cache(tmp_path / "cache")
    kept.put("key", 1)
    (path,) = (tmp_path / "cache").iterdir()
    path.write_bytes(pickle.dumps(_Trap()))
    assert kept.get("key") is None
    assert not (tmp_path / "sprung").exists()


def test_nobody_else_s_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Cache(tmp_path)
    kept.put("key", 1)
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1, raising=False)
    assert kept.get("key") is None


@pytest.mark.parametrize("thing", [42, None, "text", [Prepared]])
def test_what_is_something_else_is_made_anew(register: Register, tmp_path: Path, thing: object) -> None:
    cached = Cache(tmp_path)
    now = Snapshot(register, None, "review", cached)
    cached.put(f"{register.revision}-all-review-test", thing)
    made = Prepared(Facts(), Facts(), (), Program("", {}))
    assert now._kept("test", Prepared, lambda: made) is made
    assert isinstance(cached.get(f"{register.revision}-all-review-test"), Prepared), "and kept"


def test_a_damaged_cache_is_made_anew_without_a_word(
    copy: Path, filled: Path, register: Register, capfd: pytest.CaptureFixture[str]
) -> None:
    paths = sorted(copy.glob("*.pickle"))
    before = {path.name: path.stat().st_size for path in paths}
    assert len(paths) == 4
    for path, damage in zip(paths, ("cut in half", "one bit changed", "empty", "cut in half"), strict=True):
        path.write_bytes(DAMAGE[damage](path.read_bytes()))
    assert answers(Register.load(cache=copy)) == answers(register)
    assert capfd.readouterr() == ("", "")
    after = {path.name: path.stat().st_size for path in copy.iterdir()}
    assert after.keys() == before.keys() and all(after.values())


# --- Where nothing can be kept ----------------------------------------------------------------------------------------


def test_a_folder_that_is_a_file_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path(os.devnull) / "x", tmp_path / "a\0b"):
        try:
            kept = Cache(folder)
            kept.put("key", 1)
        except ValueError:  # a NUL is no name: environment variables cannot hold one
            assert "\0" in str(folder)
            continue
        assert kept.get("key") is None
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    kept = Cache(tmp_path)
    kept.put("key", 1)
    assert kept.get("key") is None
    tmp_path.chmod(0o700)


def test_a_full_disk_costs_nothing_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    kept = Cache(tmp_path)
    kept.put("old", 1)
    monkeypatch.setattr(Path, "replace", full)
    kept.put("key", 1)
    assert kept.get("key") is None and kept.get("old") == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_an_interrupt_while_keeping_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).put("key", 1)
    assert list(tmp_path.iterdir()) == []


def test_only_the_user_may_look_in(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "cache"
    Cache(folder).put("key", 1)
    (path,) = folder.iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    assert path.stat().st_mode & 0o077 == 0


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CHARTULARY_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    assert default_folder() == tmp_path / "home" / ".cache" / "chartulary"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_folder() == tmp_path / "xdg" / "chartulary"
    monkeypatch.setenv("CHARTULARY_CACHE", str(tmp_path / "mine"))
    assert default_folder() == tmp_path / "mine"
    monkeypatch.setenv("CHARTULARY_CACHE", "")
    assert default_folder() is None


@pytest.mark.parametrize("words", [("ask", "--list"), ("validate", str(DEMO[0]), "-f", "jsonl")])
def test_nothing_in_its_variable_switches_it_off(
    words: tuple[str, ...], register: Register, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    told: list[object] = []

    def load(*, policies: Path | None = None, cache: Path | None = None) -> Register:
        told.append(cache)
        return register

    monkeypatch.setattr(Register, "load", load)
    monkeypatch.setattr(sys, "argv", ["chartulary", *words])
    for value in ("", "/some/where"):
        monkeypatch.setenv("CHARTULARY_CACHE", value)
        with pytest.raises(SystemExit):
            cli.main()
    assert told == [None, Path("/some/where")]
    assert Register.load.__name__ == "load" and capfd.readouterr().err == ""


# --- Keys -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def only_mine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shipped files are not parsed, which takes long."""
    parse = register_module._parse
    shipped = str(register_module.data_folder("policies").parent)
    monkeypatch.setattr(
        register_module, "_parse", lambda path: Graph() if str(path).startswith(shipped) else parse(path)
    )


def policies(folder: Path, name: str = "mine.ttl", text: str = "<urn:a> a <urn:b> .") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return folder


def test_other_policies_have_another_key(only_mine: None, tmp_path: Path, register: Register) -> None:
    kept = tmp_path / "cache"
    folder = policies(tmp_path / "one")
    mine = Register.load(policies=folder, cache=kept)
    stamp = (folder / "mine.ttl").stat().st_mtime_ns
    revisions = [register.revision, mine.revision]
    policies(folder, text="<urn:a> a <urn:c> .")  # as long, and as old
    os.utime(folder / "mine.ttl", ns=(stamp, stamp))
    revisions.append(Register.load(policies=folder, cache=kept).revision)
    (folder / "mine.ttl").rename(folder / "yours.ttl")
    revisions.append(Register.load(policies=folder, cache=kept).revision)
    policies(folder, "more.ttl")
    revisions.append(Register.load(policies=folder, cache=kept).revision)
    assert len(set(revisions)) == len(revisions)
    assert len(list(kept.iterdir())) == len(revisions) - 1
    again = policies(tmp_path / "elsewhere")
    assert Register.load(policies=again, cache=kept).revision == mine.revision, "where it lies does not matter"


def test_a_broken_policy_is_never_taken_for_read(only_mine: None, tmp_path: Path) -> None:
    folder = policies(tmp_path / "one", text="<urn:a> a")
    for _ in range(2):
        with pytest.raises(ChartularyError, match=r"mine\.ttl"):
            Register.load(policies=folder, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_policy_in_another_folder_is_another(only_mine: None, tmp_path: Path) -> None:
    one = Register.load(policies=policies(tmp_path / "one", "a/mine.ttl"))
    other = Register.load(policies=policies(tmp_path / "two", "b/mine.ttl"))
    assert one.files.keys() != other.files.keys()
    assert one.revision != other.revision


def test_other_code_keeps_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Cache(tmp_path)
    kept.put("key", 1)
    monkeypatch.setattr(cache, "code_revision", lambda: "another")
    assert kept.get("key") is None
    kept.put("key", 2)
    monkeypatch.undo()
    assert kept.get("key") == 1


def test_only_so_much_is_kept(tmp_path: Path) -> None:
    most = cache._MOST_KEPT
    kept = Cache(tmp_path)
    (tmp_path / "README").write_text("not ours")
    for number in range(most + 6):
        kept.put(f"key{number}", number)
        for path in tmp_path.glob(f"key{number}-*"):
            os.utime(path, (1000 + number, 1000 + number))
    kept.put("last", "last")
    assert len(list(tmp_path.glob("*.pickle"))) == most
    assert kept.get("last") == "last"
    assert [kept.get(f"key{number}") for number in range(7)] == [None] * 7
    assert kept.get(f"key{most + 5}") == most + 5
    assert (tmp_path / "README").exists()


# --- Races, and what is in it -----------------------------------------------------------------------------------------


def _put_and_get(folder: str, seed: int, until: float) -> None:
    kept, wrong = Cache(Path(folder)), 0
    while time.monotonic() < until:
        kept.put("key", [seed] * 50_000)
        found = kept.get("key")
        wrong += not (isinstance(found, list) and len(found) == 50_000 and len(set(found)) == 1)
    sys.exit(min(wrong, 100))


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_many_at_once_only_ever_see_whole_things(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    until = time.monotonic() + 0.5
    racing = [fork.Process(target=_put_and_get, args=(str(tmp_path), seed, until)) for seed in range(3)]
    for process in racing:
        process.start()
    for process in racing:
        process.join(20)
    assert [process.exitcode for process in racing] == [0, 0, 0]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, str, str]]]:
    """Two commands at once on a cache that is not there yet, and what each said; then a third."""
    folder = tmp_path_factory.mktemp("raced") / "not" / "there"
    line = {"code": "38228", "revenue_code": "0874", "date_of_service": "2025-06-25"}
    claim = {
        "id": PRIVATE,
        "payer": {"name": "Medicare", "member_id": "1EG4TE5MK73"},
        "setting": "outpatient",
        "product": "Kymriah",
        "notes": [{"text": "Jane is diabetic"}],
        "lines": [line],
    }
    words = [sys.executable, "-m", "chartulary", "validate", "-", "-f", "jsonl"]
    environment = {**os.environ, "CHARTULARY_CACHE": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}

    def start() -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment)

    racing = [start(), start()]
    said = []
    for process in racing:
        assert process.stdin
        process.stdin.write(json.dumps(claim))
        process.stdin.close()
        process.stdin = None
    for process in [*racing, start()]:
        out, err = process.communicate(json.dumps(claim) if process.stdin else None, timeout=120)
        said.append((process.returncode, out, err))
    return folder, said


def test_two_runs_may_race(raced: tuple[Path, list[tuple[int, str, str]]], parses_nothing: None) -> None:
    folder, said = raced
    assert said[0] == said[1] == said[2]
    assert (said[0][0], said[0][2]) == (1, "")
    assert json.loads(said[0][1])["claim"] == PRIVATE
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 3 and all(name.endswith(".pickle") for name in names), "no leftovers"
    kept = Register.load(cache=folder).snapshot()
    assert list(kept.validate_all(CLAIMS, engine="python")), "and what they left is whole"


def test_nothing_of_claims_gets_into_it(raced: tuple[Path, list[tuple[int, str, str]]]) -> None:
    folder, said = raced
    assert PRIVATE in said[0][1]
    for path in folder.iterdir():
        content = path.read_bytes()
        for word in (PRIVATE, "1EG4TE5MK73", "Jane", "diabetic", "urn:chartulary:claim"):
            assert word.encode() not in content
            assert word.encode("utf-16-le") not in content


def test_snapshots_without_a_cache_keep_nothing(register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cache, "put", lambda *_: pytest.fail("there is no cache"))
    now = Snapshot(register, None, "review", None)
    assert now._kept("test", int, lambda: 7) == 7

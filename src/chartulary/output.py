"""Where a run's results go: whole parts at a time, so that an interrupted run leaves whole rows and can go on."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Protocol, TypeAlias

from chartulary import formats
from chartulary.errors import ChartularyError, Problem
from chartulary.report import Finding, Report

Item: TypeAlias = tuple[str, Report] | Problem
"""A report with its claim's key, or what could not be read."""
COLUMNS = (
    "key",
    "claim",
    "source",
    "where",
    "claim_outcome",
    "payer",
    "line_of_business",
    "setting",
    "line",
    "position",
    "code",
    "first_day",
    "last_day",
    "outcome",
    "provision",
    "label",
    "policy",
    "message",
    "expected",
    "found",
    "repair",
    "overridden_by",
    "statements",
    "register_revision",
    "as_known_on",
    "engine",
)
"""Of a table of findings: a row for each finding, and one for each claim that has none."""


def rows(items: Sequence[Item]) -> list[tuple[str | int | None, ...]]:
    """The findings of some reports, each with its claim's key, as rows of a table."""
    found: list[tuple[str | int | None, ...]] = []
    for item in items:
        if isinstance(item, Problem):
            continue
        key, r = item
        known = str(r.as_known_on) if r.as_known_on else None
        about = (key, r.claim, r.source, r.where, r.outcome, r.payer, r.line_of_business, r.setting)
        made_by = (r.register_revision, known, r.engine)
        for finding in r.findings:
            found.append((*about, *_of(finding), *made_by))
        if not r.findings:
            found.append((*about, *(None,) * 15, *made_by))
    return found


def _of(f: Finding) -> tuple[str | int | None, ...]:
    return (
        f.line,
        f.position,
        f.code,
        str(f.first_day) if f.first_day else None,
        str(f.last_day) if f.last_day else None,
        f.outcome,
        f.provision,
        f.label,
        f.policy,
        f.message,
        f.expected,
        f.found,
        f.repair,
        f.overridden_by,
        " ".join(citation.statement for citation in f.cites),
    )


# --- In the worker: the results of a part, ready to be written --------------------------------------------------------


def as_lines(items: list[Item]) -> bytes:
    """JSON Lines, in the order of the input."""
    lines = (formats.line_json(i) if isinstance(i, Problem) else formats.line_json(i[1], key=i[0]) for i in items)
    return b"".join(line + b"\n" for line in lines)


def as_csv(items: list[Item]) -> bytes:
    """CSV without its header."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows(items))
    return out.getvalue().encode("utf-8", "replace")


def as_parquet(items: list[Item]) -> bytes:
    """A Parquet file of its own."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    integers = ("line", "position")
    schema = pa.schema([(name, pa.int32() if name in integers else pa.string()) for name in COLUMNS])
    columns = list(zip(*rows(items), strict=True)) or [()] * len(COLUMNS)
    table = pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def as_reports(items: list[Item]) -> list[Report]:
    """The reports themselves, for formats that are written whole at the end."""
    return [item[1] for item in items if not isinstance(item, Problem)]


def writer(format: str, output: Path | None) -> tuple[Any, Sink]:
    """What puts the results of a part into the form of ``jsonl``, ``csv`` or ``parquet``, and where they then go."""
    if format == "parquet":
        assert output is not None
        return as_parquet, ParquetSink(output)
    if format == "csv":
        return as_csv, TextSink(output, ",".join(COLUMNS) + "\n")
    return as_lines, TextSink(output)


# --- In the parent: the file ------------------------------------------------------------------------------------------


class Sink(Protocol):
    """Takes results part by part."""

    def start(self, position: int | None) -> None:
        """Begins anew (None), or goes on from a position that :meth:`add` gave."""

    def add(self, written: Any) -> int:
        """Writes the results of a part; gives the position behind them."""

    def finish(self) -> None: ...


class TextSink:
    """One growing file, or standard output."""

    def __init__(self, path: Path | None, header: str = "") -> None:
        self._path, self._header = path, header
        self._file: IO[bytes] | None = None

    def start(self, position: int | None) -> None:
        if self._path is not None:
            self._file = _opened(self._path, "wb" if position is None else "r+b")
        if position is None:
            self.add(self._header.encode())
        elif self._file:
            self._file.truncate(position)
            self._file.seek(position)

    def add(self, written: bytes) -> int:
        if self._file is None:
            sys.stdout.write(written.decode())
            sys.stdout.flush()
            return 0
        self._file.write(written)
        self._file.flush()
        return self._file.tell()

    def finish(self) -> None:
        if self._file:
            self._file.close()


class ParquetSink:
    """A folder of one file a part while the run goes on; one file when it is finished."""

    def __init__(self, path: Path) -> None:
        self._path, self._folder = path, path.with_name(path.name + ".parts")
        self._number = 0

    def start(self, position: int | None) -> None:
        self._number = position or 0
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for path in self._folder.glob("*.parquet"):
                if not path.stem.isdigit() or int(path.stem) >= self._number:
                    path.unlink()
        except OSError as fault:
            raise ChartularyError(f"{self._path}: cannot be written: {fault.strerror}") from None

    def add(self, written: bytes) -> int:
        (self._folder / f"{self._number:06}.parquet").write_bytes(written)
        self._number += 1
        return self._number

    def finish(self) -> None:
        import pyarrow.parquet as pq

        made = self._path.with_name(self._path.name + ".making")
        parts = sorted(self._folder.glob("*.parquet"))
        with contextlib.ExitStack() as stack:
            writer = None
            for path in parts:
                part = pq.ParquetFile(path)
                if writer is None:
                    writer = stack.enter_context(pq.ParquetWriter(made, part.schema_arrow, compression="zstd"))
                writer.write_table(part.read())
        if not parts:
            made.write_bytes(as_parquet([]))
        made.replace(self._path)
        shutil.rmtree(self._folder)


class Ledger:
    """Beside an output: what is done of a run, so that an interrupted one can go on. It says nothing of claims."""

    def __init__(self, output: Path, run: dict[str, Any]) -> None:
        self._path, self._run = output.with_name(output.name + ".resume"), run
        self.done: dict[str, int] = {}
        """How many parts of each file are done."""
        self.counts: dict[str, int] = {}
        self.position: int | None = None

    def take_up(self) -> None:
        """Goes on from what an interrupted run wrote down.

        Raises:
            ChartularyError: there is none, or it was of another register, other claims or other options.
        """
        try:
            kept = json.loads(self._path.read_text("utf-8"))
            run, self.done, self.counts, self.position = (kept[n] for n in ("run", "done", "counts", "position"))
        except (OSError, ValueError, KeyError, TypeError):
            raise ChartularyError(f"{self._path}: no interrupted run to go on with") from None
        if run != self._run:
            changed = sorted(name for name in self._run if run.get(name) != self._run[name])
            raise ChartularyError(f"{self._path}: that run was another ({', '.join(changed)} changed); start anew")

    def is_done(self, source: str, number: int) -> bool:
        return number < self.done.get(source, 0)

    def note(self, source: str, number: int, position: int, counts: dict[str, int]) -> None:
        """A part is done and written."""
        self.done[source], self.position, self.counts = number + 1, position, counts
        made = self._path.with_name(self._path.name + ".making")
        kept = {"run": self._run, "done": self.done, "counts": counts, "position": position}
        made.write_text(json.dumps(kept), "utf-8")
        made.replace(self._path)

    def close(self) -> None:
        self._path.unlink(missing_ok=True)


def _opened(path: Path, mode: str) -> IO[bytes]:
    try:
        return path.open(mode)
    except OSError as fault:
        raise ChartularyError(f"{path}: cannot be written: {fault.strerror}") from None

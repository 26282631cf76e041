"""What commands share: their options, and how they read and write."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from chartulary.errors import ChartularyError, Problem


class EngineChoice(StrEnum):
    """What runs the rules."""

    auto = "auto"
    python = "python"
    sql = "sql"
    shifty = "shifty"
    pyshacl = "pyshacl"


class UnknownChoice(StrEnum):
    """What an unknown requirement gives."""

    review = "review"
    info = "info"


def day(text: str) -> date:
    """A day, as an option has it."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is not a day (yyyy-mm-dd)") from None


KnownOn = Annotated[
    date | None,
    typer.Option("--as-known-on", parser=day, metavar="DATE", help="Answer with what was published by this day."),
]
Policies = Annotated[
    Path | None, typer.Option("--policies", metavar="DIR", help="A folder of your own policies as well.")
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here instead of the terminal.")
]
Unknown = Annotated[UnknownChoice, typer.Option(help="What an unknown requirement gives.")]
Engine = Annotated[EngineChoice, typer.Option(help="What runs the rules.")]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", min=1, help="Processes to work with (all cores for large inputs).")
]


def cache_folder() -> Path | None:
    """Where runs keep what they prepared."""
    from chartulary.cache import default_folder

    return default_folder()


def size_of(name: str) -> tuple[int, int] | None:
    """Bytes of a file, and when it was last changed."""
    try:
        found = Path(name).stat()
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns


def read_bytes(name: str) -> bytes:
    """The bytes of a file; ``-`` is standard input."""
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except (OSError, ValueError) as fault:
        raise ChartularyError(
            f"{name}: cannot be read: {getattr(fault, 'strerror', None) or 'not a file name'}"
        ) from None


def write_whole(file: Path, data: bytes) -> None:
    """Writes a file so that it is there whole or, if that fails, as it was."""
    part = file.with_name(f".{file.name}.part")
    try:
        part.write_bytes(data)
        part.replace(file)
    except OSError as fault:
        part.unlink(missing_ok=True)
        raise ChartularyError(f"{file}: cannot be written: {fault.strerror}") from None


def tell(problems: Iterable[Problem]) -> None:
    """Names problems on standard error."""
    for problem in problems:
        print(problem, file=sys.stderr)


@contextlib.contextmanager
def writing(output: Path | None) -> Iterator[Console]:
    """The terminal, or a file to write to."""
    if output is None:
        columns = os.environ.get("COLUMNS", "")
        width = max(80, int(columns)) if re.fullmatch("[0-9]{1,4}", columns) else 80
        yield Console(highlight=False, width=None if sys.stdout.isatty() else width)
        return
    try:
        stream = output.open("w", encoding="utf-8")
    except OSError as fault:
        raise ChartularyError(f"{output}: cannot be written: {fault.strerror}") from None
    with stream:
        yield Console(file=stream, highlight=False, width=100)


def print_text(console: Console, text: str) -> None:
    """Text as it is: never wrapped, never read as markup."""
    console.file.write(text + "\n")

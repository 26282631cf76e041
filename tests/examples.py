"""The examples of README and guides: blocks of a document, and commands that must print what it shows.

A ``console`` block holds commands ("$ …") and what they print; a line "…" stands for any number of lines left out. The
commands of a block share their variables and the last exit code. Other blocks that begin with "# name.py" are files.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import string
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from chartulary import cli

TERMINAL = {"COLUMNS": "80", "NO_COLOR": "1"}


class Document:
    """A Markdown file with examples in it."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.text = path.read_text(encoding="utf-8")
        self.blocks: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```$", self.text, re.DOTALL | re.MULTILINE)
        self.examples = [text for kind, text in self.blocks if kind == "console"]
        self.files = {m[1]: text for _, text in self.blocks if (m := re.match(r"# (\S+\.\w+)\n", text))}
        self.targets: list[str] = re.findall(r"\]\(([^)#:]+)\)", self.text)


def title(example: str) -> str:
    return example.split("\n")[0][2:60]


def runs(example: str) -> Iterator[tuple[str, str]]:
    """Each command with the output shown for it."""
    for part in re.split(r"^\$ ", example, flags=re.MULTILINE)[1:]:
        lines = part.split("\n")
        count = 1
        while lines[count - 1].endswith("\\"):
            count += 1
        yield "\n".join(lines[:count]), "\n".join(lines[count:])


def normal(text: str) -> list[str]:
    text = re.sub(r"\b[0-9a-f]{16}\b", "REVISION", text)
    return [line.rstrip() for line in text.strip("\n").split("\n")]


def agrees(shown: list[str], printed: list[str]) -> bool:
    pattern = "".join(r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line) + r"\n" for line in shown)
    return re.fullmatch(pattern, "\n".join(printed) + "\n") is not None


def check_example(document: Document, example: str, folder: Path) -> None:
    """Runs the commands in a folder; each must print what the document shows."""
    code, settings = 0, {}
    for command, shown in runs(example):
        if setting := re.fullmatch(r"(\w+)=(\S+)", command):
            settings[setting[1]] = setting[2]
            continue
        code, printed = run(command, folder, settings, code)
        if not agrees(normal(shown), normal(printed)):
            pytest.fail(
                f"{document.name} is stale. $ {command}\nshows:\n{shown}\nbut the command prints:\n{printed}", False
            )


def run(command: str, folder: Path, settings: Mapping[str, str], last: int) -> tuple[int, str]:
    """Exit code of a command, and all that it prints; ours run in this process, for the sake of time."""
    words = shlex.split(command.replace("\\\n", ""))
    if words[0] == "chartulary" and not re.search(r"[|<>&;*]|\$\(", command):
        return run_here([string.Template(word).substitute(settings) for word in words], folder)
    environment = {**os.environ, **settings, **TERMINAL}
    environment["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), environment["PATH"]))
    done = subprocess.run(
        ["/bin/sh", "-c", f"(exit {last}); {command}"],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
    )
    return done.returncode, done.stdout


def run_here(words: list[str], folder: Path) -> tuple[int, str]:
    """The same for a command line of ours, without a process of its own."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        for name, value in TERMINAL.items():
            patch.setenv(name, value)
        for stream in ("stdout", "stderr"):
            patch.setattr(sys, stream, printed)
        patch.setattr(sys, "argv", words)
        patch.setattr(sys, "stdin", io.StringIO())
        with pytest.raises(SystemExit) as ended:
            cli.main()
    return int(ended.value.code or 0), printed.getvalue()

"""The examples of README and guides: blocks of a document, and commands that must print what it shows.

A ``console`` block holds commands ("$ …") and what they print; a line "…" stands for any number of lines left out. The
commands of a block share their variables and the last exit code. Other blocks that begin with "# name.py" are files.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


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
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    environment["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), environment["PATH"]))
    code, settings = 0, ""
    for command, shown in runs(example):
        if re.fullmatch(r"\w+=\S+", command):
            settings += f"{command}; "
            continue
        done = subprocess.run(
            ["/bin/sh", "-c", f"{settings}(exit {code}); {command}"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=120,
        )
        code = done.returncode
        if not agrees(normal(shown), normal(done.stdout)):
            pytest.fail(
                f"{document.name} is stale. $ {command}\nshows:\n{shown}\nbut the command prints:\n{done.stdout}", False
            )

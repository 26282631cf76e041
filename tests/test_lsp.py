"""chartulary lsp: spoken to as an editor does, over standard input and output."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pygls")

BASE = Path(__file__).resolve().parents[1]
EXAMPLE = BASE / "docs" / "example" / "policies"


class Editor:
    """As much of an editor as speaks the protocol."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "chartulary", "lsp"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(BASE / "src")},
            cwd=folder,
        )
        self._asked = 0
        self.told: list[dict[str, Any]] = []

    def _send(self, **message: object) -> None:
        assert self._process.stdin
        content = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
        self._process.stdin.flush()

    def _next(self) -> dict[str, Any]:
        assert self._process.stdout
        length = 0
        while (line := self._process.stdout.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        assert length, "the server is gone"
        message: dict[str, Any] = json.loads(self._process.stdout.read(length))
        return message

    def notify(self, method: str, **parameters: object) -> None:
        self._send(method=method, params=parameters)

    def ask(self, method: str, **parameters: object) -> Any:
        self._asked += 1
        self._send(id=self._asked, method=method, params=parameters)
        while (message := self._next()).get("id") != self._asked:
            self.told.append(message)
        assert "error" not in message, message
        return message["result"]

    def diagnostics(self) -> list[dict[str, Any]]:
        """The next that the server publishes."""
        while True:
            message = self.told.pop(0) if self.told else self._next()
            if message.get("method") == "textDocument/publishDiagnostics":
                found: list[dict[str, Any]] = message["params"]["diagnostics"]
                return found

    def close(self) -> int:
        try:
            self.ask("shutdown")
            self.notify("exit")
            return self._process.wait(timeout=60)
        finally:
            self._process.kill()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    pipe.close()


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("editor") / "policies"
    shutil.copytree(EXAMPLE, folder)
    return folder / "example-health" / "car-t" / "2025-05-15.ttl"


@pytest.fixture(scope="module")
def editor(version: Path) -> Iterator[Editor]:
    editor = Editor(version.parent)
    answer = editor.ask("initialize", processId=None, rootUri=version.parent.as_uri(), capabilities={})
    assert answer["serverInfo"]["name"] == "chartulary"
    assert answer["capabilities"]["completionProvider"]["triggerCharacters"] == [":"]
    editor.notify("initialized")
    text = version.read_text("utf-8")
    document = {"uri": version.as_uri(), "languageId": "turtle", "version": 1, "text": text}
    editor.notify("textDocument/didOpen", textDocument=document)
    assert editor.diagnostics() == []
    yield editor
    assert editor.close() == 0


def at(text: str, words: str, after: int) -> dict[str, int]:
    """The place so many characters into some words of a text."""
    before = text[: text.index(words) + after]
    return {"line": before.count("\n"), "character": len(before) - before.rfind("\n") - 1}


def change(editor: Editor, version: Path, text: str, number: int) -> None:
    document = {"uri": version.as_uri(), "version": number}
    editor.notify("textDocument/didChange", textDocument=document, contentChanges=[{"text": text}])


def test_faults_as_one_types(editor: Editor, version: Path) -> None:
    text = version.read_text("utf-8")
    change(editor, version, text.replace("pol:requires :modifier-Q0 ;", "pol:requires :modifier-QO ;"), 2)
    (fault,) = (found for found in editor.diagnostics() if found["code"] == "unknown-term")
    assert fault["severity"] == 1 and fault["source"] == "chartulary" and ":modifier-QO" in fault["message"]
    place = at(text, "pol:requires :modifier-Q0", len("pol:requires "))
    assert fault["range"]["start"] == place
    assert fault["range"]["end"] == {**place, "character": place["character"] + len(":modifier-QO")}
    change(editor, version, text.replace("a pol:PolicyVersion ;", "a pol:PolicyVersion"), 3)
    assert [found["code"] for found in editor.diagnostics()] == ["syntax"]
    change(editor, version, text, 4)
    assert editor.diagnostics() == []
    assert version.read_text("utf-8") == text


def items(editor: Editor, version: Path, words: str, after: int) -> dict[str, dict[str, Any]]:
    document = {"uri": version.as_uri()}
    place = at(version.read_text("utf-8"), words, after)
    told = editor.ask("textDocument/completion", textDocument=document, position=place)
    return {item["label"]: item for item in told or ()}


def test_names_to_complete(editor: Editor, version: Path) -> None:
    scopes = items(editor, version, "pol:scope scope:example-health-senior", len("pol:scope scope:exa"))
    own = scopes["example-health-senior"]
    assert own["detail"] == "Example Health Senior: claims and prior authorisations"
    assert own["textEdit"]["range"]["end"]["character"] - own["textEdit"]["range"]["start"]["character"] == len("exa")
    assert "medicare-part-b-claims" in scopes and not own.get("additionalTextEdits")
    assert items(editor, version, "pol:requires :modifier-Q0", len("pol:requires :"))["modifier-Q0"]
    assert "PolicyVersion" in items(editor, version, "a pol:PolicyVersion", len("a pol:"))


def test_prefixes_to_complete_bring_their_declaration(editor: Editor, version: Path) -> None:
    prefixes = items(editor, version, "pol:requires :modifier-Q0", len("pol:"[:2]))
    assert prefixes["pol:"]["detail"].endswith("def/policy#") and not prefixes["pol:"].get("additionalTextEdits")
    (added,) = prefixes["event:"]["additionalTextEdits"]
    assert added["newText"] == "PREFIX event: <https://w3id.org/chartulary/event/>\n"
    lines = version.read_text("utf-8").split("\n")
    assert lines[added["range"]["start"]["line"] - 1].startswith("PREFIX ")


def test_nothing_to_complete_in_a_text(editor: Editor, version: Path) -> None:
    assert items(editor, version, '"Organ function is adequate"', 8) == {}


def test_what_a_name_stands_for(editor: Editor, version: Path) -> None:
    text, document = version.read_text("utf-8"), {"uri": version.as_uri()}

    def told(words: str, after: int) -> str:
        found = editor.ask("textDocument/hover", textDocument=document, position=at(text, words, after))
        return found["contents"]["value"] if found else ""

    assert told("stmt:example-health.7.hiv", 8) == (
        "A request has an HIV test that is less than three months old.\n\n"
        "“HIV test that is less than three months old”\n\n"
        "`https://w3id.org/chartulary/statement/example-health.7.hiv`"
    )
    assert told("a pol:PolicyVersion", 6).startswith("**policy version**\n\n")
    assert told("pol:requires :modifier-Q0", 15).startswith("**modifier Q0**")
    assert told("    pol:requires :modifier-Q0", 1) == ""

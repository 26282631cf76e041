"""A language server over lint: faults as one types, names to complete, and what a name stands for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.workspace import ServerTextPosition, ServerTextRange, TextDocument

from chartulary.errors import ChartularyError
from chartulary.suites import root_of
from chartulary.terms import LABEL, POL, ROOT
from chartulary.turtle import shared_prefixes
from chartulary.workbench.lint import Finding, lint
from chartulary.workbench.lint_files import RDFS, World, policies_folder, read_world

_PAUSE = 0.3
"""Seconds without a key before what is typed is linted."""
_PREFIX = re.compile(r"^[ \t]*@?prefix[ \t]+([\w.-]*):\s*<([^>]*)>", re.IGNORECASE | re.MULTILINE)
_BEFORE = re.compile(r"(?:([\w-][\w.-]*)?(:))?([\w.%-]*)$")
_NAME = re.compile(r"<([^<>\s]+)>|([\w-][\w.-]*)?:([\w%](?:[\w.%-]*[\w%-])?)")


class Server(LanguageServer):
    """What is open in an editor, and the register around it."""

    def __init__(self) -> None:
        super().__init__("chartulary", version("chartulary"))
        self._worlds: dict[Path, World] = {}

    def unsaved(self) -> Mapping[Path, str]:
        """The texts of all open files."""
        return {Path(d.path): d.source for d in self.workspace.text_documents.values() if d.path.endswith(".ttl")}

    def world(self, path: Path) -> World:
        """Everything that a file may speak of, as of the last look at it."""
        if path not in self._worlds:
            self._worlds[path] = read_world([path], policies=_folder(path), unsaved=self.unsaved())[0]
        return self._worlds[path]

    def check(self, uri: str) -> None:
        """Tells the editor what is wrong in a file."""
        document = self.workspace.get_text_document(uri)
        path = Path(document.path)
        if path.suffix != ".ttl" or ROOT not in document.source:
            return
        self._worlds.clear()
        try:
            findings = lint([path], policies=_folder(path), unsaved=self.unsaved()).findings
        except (ChartularyError, OSError):  # such as a file that is not on the disk yet
            findings = ()
        told = [_diagnostic(document, finding) for finding in findings]
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri=uri, diagnostics=told))


def _folder(path: Path) -> Path | None:
    """The folder of policies around a file, where lint would not find it by its name."""
    return None if policies_folder(path.resolve()) else root_of(path.parent)


def _diagnostic(document: TextDocument, finding: Finding) -> types.Diagnostic:
    line, column = finding.line - 1, finding.column - 1
    text = document.lines[line] if line < len(document.lines) else ""
    length = len((text[column:].split() or [""])[0])
    start = document.position_to_client_units(ServerTextPosition(line, column))
    end = document.position_to_client_units(ServerTextPosition(line, column + max(1, length)))
    error = finding.severity == "error"
    return types.Diagnostic(
        range=types.Range(start, end),
        severity=types.DiagnosticSeverity.Error if error else types.DiagnosticSeverity.Warning,
        source="chartulary",
        code=finding.rule,
        message=finding.message + (f"\n{finding.hint}" if finding.hint else ""),
    )


def _prefixes(document: TextDocument) -> dict[str, str]:
    return dict(_PREFIX.findall(document.source))


def completions(document: TextDocument, world: World, position: types.Position) -> Iterator[types.CompletionItem]:
    """Prefixes, or names of a prefix, for what stands before the cursor; nothing within a text or comment."""
    at = document.position_from_client_units(position)
    before = document.lines[at.line][: at.character] if at.line < len(document.lines) else ""
    if before.count('"') % 2 or re.search(r"(^|\s)#", before):
        return
    known = _BEFORE.search(before)
    assert known
    declared = _prefixes(document)
    prefixes = {**shared_prefixes(), **declared}
    if not known[2]:
        for prefix, namespace in sorted(prefixes.items()):
            yield types.CompletionItem(
                f"{prefix}:",
                kind=types.CompletionItemKind.Module,
                detail=namespace,
                additional_text_edits=_declaration(document, prefix, namespace, declared),
            )
        return
    prefix = known[1] or ""
    namespace = prefixes.get(prefix, "")
    if not namespace:
        return
    typed = ServerTextRange(ServerTextPosition(at.line, known.start(3)), ServerTextPosition(at.line, at.character))
    for iri in sorted(world.about):
        name = iri.removeprefix(namespace)
        if name != iri and re.fullmatch(r"[\w%](?:[\w.%-]*[\w%-])?", name):
            yield types.CompletionItem(
                name,
                kind=types.CompletionItemKind.Property if world.is_property(iri) else types.CompletionItemKind.Value,
                detail=world.text(iri, LABEL),
                documentation=world.text(iri, f"{RDFS}comment") or world.text(iri, POL.says),
                text_edit=types.TextEdit(document.range_to_client_units(typed), name),
                additional_text_edits=_declaration(document, prefix, namespace, declared),
            )


def _declaration(
    document: TextDocument, prefix: str, namespace: str, declared: Mapping[str, str]
) -> list[types.TextEdit]:
    """The line that a prefix needs, where the file does not have it yet."""
    if prefix in declared:
        return []
    lines = [number for number, line in enumerate(document.lines) if _PREFIX.match(line)]
    place = types.Position(lines[-1] + 1 if lines else 0, 0)
    return [types.TextEdit(types.Range(place, place), f"PREFIX {prefix}: <{namespace}>\n")]


def hover(document: TextDocument, world: World, position: types.Position) -> types.Hover | None:
    """What the name under the cursor stands for."""
    at = document.position_from_client_units(position)
    line = document.lines[at.line] if at.line < len(document.lines) else ""
    found = next((m for m in _NAME.finditer(line) if m.start() <= at.character <= m.end()), None)
    if found is None:
        return None
    namespace = {**shared_prefixes(), **_prefixes(document)}.get(found[2] or "", "")
    iri = found[1] or namespace + found[3]
    label = world.text(iri, LABEL)
    told = [f"**{label}**" if label else "", world.text(iri, f"{RDFS}comment"), world.text(iri, POL.says)]
    quote = world.text(iri, POL.quote)
    told += [f"“{quote}”" if quote else "", f"`{iri}`"]
    return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, "\n\n".join(filter(None, told))))


def make() -> Server:
    """The server with what it answers."""
    server = Server()

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(parameters: types.DidOpenTextDocumentParams) -> None:
        server.check(parameters.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def saved(parameters: types.DidSaveTextDocumentParams) -> None:
        for uri in list(server.workspace.text_documents):  # another file may speak of this one
            server.check(uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    async def changed(parameters: types.DidChangeTextDocumentParams) -> None:
        uri, typed = parameters.text_document.uri, parameters.text_document.version
        await asyncio.sleep(_PAUSE)
        document = server.workspace.text_documents.get(uri)
        if document and document.version == typed:
            server.check(uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(parameters: types.DidCloseTextDocumentParams) -> None:
        told = types.PublishDiagnosticsParams(uri=parameters.text_document.uri, diagnostics=[])
        server.text_document_publish_diagnostics(told)

    @server.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=[":"]))
    def complete(parameters: types.CompletionParams) -> list[types.CompletionItem]:
        document = server.workspace.get_text_document(parameters.text_document.uri)
        return list(completions(document, server.world(Path(document.path)), parameters.position))

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hovered(parameters: types.HoverParams) -> types.Hover | None:
        document = server.workspace.get_text_document(parameters.text_document.uri)
        return hover(document, server.world(Path(document.path)), parameters.position)

    return server

"""A process that answers SPARQL queries, one at a time, and may be killed at any moment.

A query that Oxigraph evaluates cannot be called off, and one that is nested deeply enough overflows its stack; so no
query is parsed or run in the process that serves. This one reads frames from standard input and writes frames to
standard output (eight bytes of length, then MessagePack), asks for the data that it lacks in the same way, and ends
when its input does. It lets go of all that it could reach the outside with: no file or socket can be opened once it
listens, so that a SERVICE which nobody noticed would reach nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from queue import SimpleQueue
from typing import Any, BinaryIO, Literal
from urllib.parse import urljoin

import msgspec
from pyoxigraph import NamedNode, QueryBoolean, QueryResultsFormat, QuerySolutions, RdfFormat, Store, Triple, serialize

from chartulary.terms import ROOT

try:
    import resource
except ImportError:  # Windows has no such limits: there, only the words of a query are looked at
    resource = None  # type: ignore[assignment]

SNAPSHOT = f"{ROOT}snapshot/"
"""What the graphs of snapshots are named by: this, and a day."""
ROWS = {
    "application/sparql-results+json": QueryResultsFormat.JSON,
    "application/json": QueryResultsFormat.JSON,
    "application/sparql-results+xml": QueryResultsFormat.XML,
    "application/xml": QueryResultsFormat.XML,
    "text/csv": QueryResultsFormat.CSV,
    "text/tab-separated-values": QueryResultsFormat.TSV,
}
"""How the rows of a SELECT can be written; the first is what clients get that do not mind."""
TRUTHS = tuple(media for media, format in ROWS.items() if format in (QueryResultsFormat.JSON, QueryResultsFormat.XML))
"""How the answer to an ASK can be written."""
GRAPHS = {
    "text/turtle": RdfFormat.TURTLE,
    "application/n-triples": RdfFormat.N_TRIPLES,
    "application/rdf+xml": RdfFormat.RDF_XML,
    "application/ld+json": RdfFormat.JSON_LD,
    "text/n3": RdfFormat.N3,
    "application/trig": RdfFormat.TRIG,
    "application/n-quads": RdfFormat.N_QUADS,
}
"""How the triples of a CONSTRUCT or DESCRIBE can be written."""

_DATASETS_KEPT = 3
_SNAPSHOTS_KEPT = 8
_MOST_SNAPSHOTS = 8
_MOST_LOADS = 64
_DEEPEST = 500
_BETWEEN_ROWS = {
    QueryResultsFormat.JSON: b"}},{",
    QueryResultsFormat.XML: b"</result>",
    QueryResultsFormat.CSV: b"\r\n",
    QueryResultsFormat.TSV: b"\n",
}


class Ask(msgspec.Struct, kw_only=True, frozen=True, tag=True):
    """A query to answer."""

    query: str
    known: str = "all"
    """The day of the dataset, as yyyy-mm-dd; or ``all``."""
    default_graphs: list[str] | None = None
    named_graphs: list[str] | None = None
    """Graphs that the protocol names; if it names any, those of the query do not count."""
    rows: str | None = next(iter(ROWS))
    truth: str | None = TRUTHS[0]
    graph: str | None = next(iter(GRAPHS))
    """Media types for a SELECT, an ASK, and a CONSTRUCT or DESCRIBE; None where the client takes none of ours."""


class Need(msgspec.Struct, frozen=True, tag=True):
    """What the process lacks."""

    what: Literal["snapshot", "files"]
    day: str


class Part(msgspec.Struct, frozen=True, tag=True):
    """What it is sent: N-Triples of a snapshot, or N-Quads of the files."""

    content: bytes


class Answer(msgspec.Struct, frozen=True, tag=True):
    """A query's whole answer."""

    media: str
    body: bytes


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """Why there is no answer: an HTTP status and a line of text."""

    status: int
    reason: str


class Limits(msgspec.Struct, frozen=True):
    """What an answer may take; sizes in bytes."""

    rows: int
    size: int
    memory: int


def frame(message: msgspec.Struct) -> bytes:
    """A message with its length before it."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(8, "big") + body


class _TooMuch(Exception):
    """An answer grows beyond what it may be; its text says how."""


class _Output:
    """Collects an answer until it is too large."""

    def __init__(self, limits: Limits, *, between: bytes = b"", header: int = 0) -> None:
        self.written = bytearray()
        self.excess: _TooMuch | None = None
        self._limits = limits
        self._between = between
        self._rows = -header
        self._looked = 0

    def write(self, chunk: bytes) -> int:
        self.written += chunk
        if self._between:
            self._rows += self.written.count(self._between, self._looked)
            # A separator may lie across two chunks, but never be counted twice.
            last = self.written.rfind(self._between, self._looked)
            self._looked = max(
                last + len(self._between) if last >= 0 else self._looked, len(self.written) - len(self._between) + 1, 0
            )
        if self._rows > self._limits.rows:
            self.excess = _TooMuch(f"rows: more than {self._limits.rows:,}")
        elif len(self.written) > self._limits.size:
            self.excess = _TooMuch(f"bytes: more than {self._limits.size:,}")
        if self.excess:
            raise self.excess
        return len(chunk)

    def flush(self) -> None: ...

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        # Whoever wrote here may have made another error of it.
        if self.excess:
            raise self.excess from None


# --- What a query says ------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""
      (?P<skip>\s+|\#[^\n\r]*)
    | <(?P<iri>[^<>"{}|^`\x00-\x20]*)>
    | (?P<string>\"{3}(?:"{0,2}(?:[^"\\]|\\.))*\"{3}|'{3}(?:'{0,2}(?:[^'\\]|\\.))*'{3}
        |"(?:[^"\\\n\r]|\\.)*"|'(?:[^'\\\n\r]|\\.)*')
    | (?P<variable>[?$]\w+|_:[\w.-]*|@[A-Za-z]+(?:-[A-Za-z0-9]+)*)
    | (?P<prefix>(?:[^\W\d_](?:[\w.-]{0,99}[\w-])?)?):(?P<local>(?:[\w:%-]|\\.|\.(?=[\w.:%\\-]))*)
    | (?P<word>[^\W\d]\w*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_UPDATES = frozenset({"INSERT", "DELETE", "LOAD", "CLEAR", "DROP", "CREATE", "ADD", "MOVE", "COPY", "WITH"})
_PAIRS = {")": "(", "]": "[", "}": "{"}
_EXPECTED = re.compile(r'[A-Z]{2,}|"[^"\\\s]{1,2}"')


class Reading:
    """What the words of a query say before anybody parses it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.prefixes: dict[str, str] = {}
        self.snapshots: dict[str, str] = {}
        """The days of snapshots that it names, by their graphs."""
        self.has_dataset = False
        self.calls_service = False
        self.too_deep = False
        self.undeclared: int | None = None
        """Where the first prefix stands that is not declared."""
        self.unclosed: int | None = None
        """Where the first bracket stands that is never closed, or closes none."""
        self.first_word = ""
        self._read()

    def _read(self) -> None:
        base = ROOT
        before = ""
        awaited: str | None = None
        opened: list[tuple[str, int]] = []
        for token in _TOKEN.finditer(self.text):
            kind = token.lastgroup
            if kind == "skip":
                continue
            if kind == "iri":
                # "?a<b:c)SERVICE#>" is an IRI to us, but may be a comparison and a comment to a parser.
                self.calls_service |= "service#" in token["iri"].lower() and "://" not in token["iri"]
                iri = token["iri"] if ":" in token["iri"] else urljoin(base, token["iri"])
                if before == "BASE":
                    base = iri
                elif awaited is not None:
                    self.prefixes[awaited] = iri
                else:
                    self._name(iri)
            awaited = None
            if kind == "local":
                prefix = token["prefix"]
                # "SERVICE:x" is SERVICE and ":x" to a parser that gives up on the other reading.
                self.calls_service |= prefix.lower().endswith("service")
                if before == "PREFIX":
                    awaited = prefix
                elif prefix in self.prefixes:
                    self._name(self.prefixes[prefix] + token["local"])
                elif self.undeclared is None:
                    self.undeclared = token.start()
            elif kind == "word":
                word = token["word"].upper()
                self.calls_service |= "SERVICE" in word  # "trueSERVICE" is two words to some
                self.has_dataset |= word == "FROM"
                if not self.first_word and word not in ("PREFIX", "BASE"):
                    self.first_word = word
            elif kind == "other":
                if token["other"] in "([{":
                    opened.append((token["other"], token.start()))
                    if len(opened) > _DEEPEST:
                        self.too_deep = True
                        return
                elif token["other"] in ")]}":
                    if opened and opened[-1][0] == _PAIRS[token["other"]]:
                        opened.pop()
                    elif self.unclosed is None:
                        self.unclosed = token.start()
            before = token["word"].upper() if kind == "word" else ""
        if opened and self.unclosed is None:
            self.unclosed = opened[-1][1]

    def _name(self, iri: str) -> None:
        if day := snapshot_day(iri):
            self.snapshots[iri] = day

    def fault(self, told: str) -> str:
        """A syntax error in one line, with its place; ``told`` is what the parser says of it."""
        if self.first_word in _UPDATES:
            return f"{self.first_word} is not answered: the register is read-only"
        if self.undeclared is not None:
            return f"{self._place(self.undeclared)}: the prefix '{self._token(self.undeclared)[1]}:' is not declared"
        if self.unclosed is not None:
            sign = self.text[self.unclosed]
            return f"{self._place(self.unclosed)}: this '{sign}' " + (
                "closes nothing" if sign in _PAIRS else "is never closed"
            )
        place = re.match(r"error at (\d+):(\d+): expected (.*)", told, re.DOTALL)
        if not place:
            return " ".join(told.split())[:200]
        line, column = int(place[1]), int(place[2])
        if special := re.search(r"\b((?:The|IRI|Invalid|Unknown|Unexpected) [^,\[]{8,120})", place[3]):
            return f"line {line}, column {column}: {special[1][0].lower() + special[1][1:]}".rstrip()
        lines = self.text.split("\n")
        rest = lines[line - 1][column - 1 :] if line <= len(lines) else ""
        found = re.match(r"\s*(\w+|\S)", rest)
        wanted = list(dict.fromkeys(word.strip('"') for word in _EXPECTED.findall(place[3])))
        return (
            f"line {line}, column {column}: "
            + (f"'{found[1][:20]}' is not expected here" if found else "the query is not SPARQL as far as here")
            + (f"; {' or '.join(wanted)} could be" if 0 < len(wanted) <= 3 and "LATERAL" not in wanted else "")
        )

    def _place(self, position: int) -> str:
        line = self.text.count("\n", 0, position) + 1
        return f"line {line}, column {position - self.text.rfind(chr(10), 0, position)}"

    def _token(self, position: int) -> tuple[str, str]:
        token = _TOKEN.match(self.text, position)
        return (token[0], token["prefix"] or "") if token else ("", "")


def snapshot_day(iri: str) -> str | None:
    """The day of a snapshot's graph, as yyyy-mm-dd; None for any other graph."""
    day = iri.removeprefix(SNAPSHOT)
    if day == iri or not re.fullmatch(r"\d{4}-\d\d-\d\d", day, re.ASCII):
        return None
    try:
        return date.fromisoformat(day).isoformat()
    except ValueError:
        return None


# --- Data and answers -------------------------------------------------------------------------------------------------


class _Dataset:
    """The dataset of a day: a snapshot, the files as named graphs, and snapshots of other days that were asked for."""

    def __init__(self, day: str, fetch: Callable[[Need], bytes]) -> None:
        self.store = Store()
        self.store.bulk_load(fetch(Need("snapshot", day)), format=RdfFormat.N_TRIPLES, lenient=True)
        self.store.bulk_load(fetch(Need("files", day)), format=RdfFormat.N_QUADS, lenient=True)
        self.files = [name for name in self.store.named_graphs() if isinstance(name, NamedNode)]
        self.loads = 0
        """How many snapshots it took in. A store never forgets a text: it is to be made anew after some."""
        self._fetch = fetch
        self._added: dict[str, None] = {}

    def add(self, snapshots: dict[str, str]) -> None:
        """Takes in snapshots, by the names of their graphs; lets go of others."""
        for iri, day in snapshots.items():
            if iri not in self._added:
                content = self._fetch(Need("snapshot", day))
                self.store.bulk_load(content, format=RdfFormat.N_TRIPLES, to_graph=NamedNode(iri), lenient=True)
                self.loads += 1
            self._added.pop(iri, None)
            self._added[iri] = None
        for iri in list(self._added)[:-_SNAPSHOTS_KEPT]:
            del self._added[iri]
            self.store.remove_graph(NamedNode(iri))


class Answerer:
    """Answers queries. ``fetch`` gives the data that it lacks."""

    def __init__(self, fetch: Callable[[Need], bytes], limits: Limits) -> None:
        self._fetch = fetch
        self._limits = limits
        self._datasets: dict[str, _Dataset] = {}

    def answer(self, ask: Ask) -> Answer | Refusal:
        """The whole answer, or why there is none."""
        reading = Reading(ask.query)
        if reading.calls_service:
            return Refusal(400, "SERVICE is not allowed: this server asks no other")
        if reading.too_deep:
            return Refusal(400, f"the query is nested more than {_DEEPEST} deep")
        try:
            return self._answer(ask, reading)
        except SyntaxError as fault:
            return Refusal(400, reading.fault(str(fault)))
        except _TooMuch as fault:
            return Refusal(422, f"the answer has too many {fault}; narrow the query, or give it a LIMIT")
        except MemoryError:
            return Refusal(422, "the query takes more memory than it may; narrow it")
        except (ValueError, OSError, RuntimeError) as fault:
            return Refusal(422, f"the query cannot be answered: {' '.join(str(fault).split())[:200]}")

    def _answer(self, ask: Ask, reading: Reading) -> Answer | Refusal:
        told = [*(ask.default_graphs or ()), *(ask.named_graphs or ())]
        snapshots = reading.snapshots | {iri: day for iri in told if (day := snapshot_day(iri))}
        if len(snapshots) > _MOST_SNAPSHOTS:
            return Refusal(400, f"the query names {len(snapshots)} snapshots; {_MOST_SNAPSHOTS} is the most")
        for iri in told:
            if not _is_iri(iri):
                return Refusal(400, f"a graph is named by an absolute IRI, not by '{iri[:60]}'")
        dataset = self._dataset(ask.known)
        dataset.add(snapshots)
        options: dict[str, Any] = {}
        if told:
            options = {"default_graph": _nodes(ask.default_graphs), "named_graphs": _nodes(ask.named_graphs)}
        elif not reading.has_dataset:
            # A snapshot that a query names is one of its named graphs; those that other queries named are none.
            options = {"named_graphs": [*dataset.files, *_nodes(snapshots)]}
        found = dataset.store.query(ask.query, base_iri=ROOT, **options)
        if isinstance(found, QueryBoolean):
            if ask.truth is None:
                return _not_acceptable("an ASK", TRUTHS)
            return Answer(ask.truth, bytes(found.serialize(format=ROWS[ask.truth]) or b""))
        if isinstance(found, QuerySolutions):
            return self._write_rows(found, ask.rows) if ask.rows else _not_acceptable("a SELECT", ROWS)
        if ask.graph is None:
            return _not_acceptable("a CONSTRUCT or DESCRIBE", GRAPHS)
        prefixes = {name: iri for name, iri in reading.prefixes.items() if _is_iri(iri)}
        format = GRAPHS[ask.graph]
        output = _Output(self._limits)
        with output:
            serialize(self._counted(found), output, format, prefixes=prefixes)  # type: ignore[arg-type]
        return Answer(ask.graph, bytes(output.written))

    def _dataset(self, day: str) -> _Dataset:
        dataset = self._datasets.pop(day, None)
        if dataset is None or dataset.loads > _MOST_LOADS:
            dataset = _Dataset(day, self._fetch)
        self._datasets[day] = dataset
        for old in list(self._datasets)[:-_DATASETS_KEPT]:
            del self._datasets[old]
        return dataset

    def _write_rows(self, found: QuerySolutions, media: str) -> Answer:
        format = ROWS[media]
        header = format in (QueryResultsFormat.CSV, QueryResultsFormat.TSV)
        # Separators are counted; JSON has one less than it has rows.
        output = _Output(
            self._limits, between=_BETWEEN_ROWS[format], header=1 if header else -(format == QueryResultsFormat.JSON)
        )
        with output:
            found.serialize(output, format)  # type: ignore[arg-type]
        return Answer(media, bytes(output.written))

    def _counted(self, triples: Iterable[Triple]) -> Iterator[Triple]:
        for number, triple in enumerate(triples, 1):
            if number > self._limits.rows:
                raise _TooMuch(f"triples: more than {self._limits.rows:,}")
            yield triple


def _nodes(iris: Iterable[str] | None) -> list[NamedNode]:
    return [NamedNode(iri) for iri in iris or ()]


def _is_iri(text: str) -> bool:
    try:
        NamedNode(text)
    except ValueError:
        return False
    return True


def _not_acceptable(form: str, offered: Iterable[str]) -> Refusal:
    return Refusal(406, f"{form} is answered as {', '.join(offered)}")


# --- The process ------------------------------------------------------------------------------------------------------


def _read_frame(source: BinaryIO) -> bytes:
    """A frame's content; what is cut short is empty."""
    length = source.read(8)
    size = int.from_bytes(length, "big")
    body = source.read(size) if len(length) == 8 else b""
    return body if len(body) == size else b""


def main() -> None:
    """Answers until standard input ends. The arguments are the limits: rows, bytes of an answer, bytes of memory."""
    limits = Limits(*(int(argument) for argument in sys.argv[1:4]))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    frames: SimpleQueue[bytes] = SimpleQueue()

    def listen() -> None:
        # Oxigraph lets go of the interpreter's lock while it works: so even then, the end of the input ends all.
        while content := _read_frame(source):
            frames.put(content)
        os._exit(0)

    def send(message: msgspec.Struct) -> None:
        sink.write(frame(message))
        sink.flush()

    def fetch(need: Need) -> bytes:
        send(need)
        return msgspec.msgpack.decode(frames.get(), type=Part).content

    _let_go(limits)
    threading.Thread(target=listen, daemon=True).start()
    answerer = Answerer(fetch, limits)
    with contextlib.suppress(BrokenPipeError):
        while True:
            send(answerer.answer(msgspec.msgpack.decode(frames.get(), type=Ask)))
    os._exit(0)


def _let_go(limits: Limits) -> None:
    """Gives up memory, files and sockets, and goes behind those who validate claims."""
    if hasattr(os, "nice"):
        os.nice(10)
    # Whatever a crash would say may tell of the query.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))


if __name__ == "__main__":
    main()

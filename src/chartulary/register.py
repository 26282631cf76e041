"""The register: every policy file read once, snapshots of it by day, questions to it and claims held against it."""

from __future__ import annotations

import difflib
import hashlib
import re
from datetime import date
from functools import cached_property
from pathlib import Path

import pyoxigraph
from rdflib import Graph, Literal, URIRef

from chartulary.ask import Answer, Query, gather, load_queries, run_local, run_remote
from chartulary.claim import Claim
from chartulary.coding import Coding
from chartulary.engines import Engine, EngineName, prepare
from chartulary.errors import ChartularyError
from chartulary.graph import claim_graph
from chartulary.namespaces import ROOT
from chartulary.report import Reader, Report
from chartulary.snapshot import Unknown, fold

_HERE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """Where ``shapes``, ``policies`` or ``queries`` lie: inside the installed package, or in the checkout."""
    packaged, checkout = _HERE / "data" / name, _HERE.parents[1] / name
    return packaged if packaged.is_dir() else checkout


class Snapshot:
    """The register as known on a day: one dated graph, its code tables, and engines prepared for it on first use."""

    def __init__(self, register: Register, as_known_on: date | None, unknown: Unknown) -> None:
        self.register = register
        self.as_known_on = as_known_on
        self.unknown = unknown
        self.graph = fold(register.files, as_known_on=as_known_on, unknown=unknown)
        self.coding = Coding(self.graph)
        self._reader = Reader(self.graph, self.coding, register.whole)
        self._engines: dict[EngineName, Engine] = {}

    def engine(self, name: EngineName = "auto") -> Engine:
        if name not in self._engines:
            self._engines[name] = prepare(name, self.register.shapes, self.graph)
        return self._engines[name]

    @cached_property
    def store(self) -> pyoxigraph.Store:
        """The snapshot in an embedded SPARQL store."""
        store = pyoxigraph.Store()
        store.load(self.graph.serialize(format="nt").encode(), format=pyoxigraph.RdfFormat.N_TRIPLES)
        return store

    def ask(self, question: str, /, *, endpoint: str | None = None, **parameters: str | date) -> Answer:
        """Answers a question of ``queries/``; see :meth:`Register.ask`."""
        queries = self.register.queries
        if question not in queries:
            near = difflib.get_close_matches(question, queries, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise ChartularyError(f"there is no question '{question}'{hint}")
        query = queries[question]
        given = {name: str(value) for name, value in parameters.items() if value is not None}
        text, values = query.bind(given, self.coding)
        rows = run_remote(text, endpoint) if endpoint else run_local(text, self.store)
        return Answer(query.name, values, self.register.revision, self.as_known_on, gather(query, rows))

    def validate(self, claim: Claim, *, engine: EngineName = "auto") -> Report:
        """Holds one claim against every policy known on the day."""
        runner = self.engine(engine)
        graph = claim_graph(claim, self.coding)
        results = runner.run(graph)
        return self._reader.read(
            claim, graph, results, revision=self.register.revision, as_known_on=self.as_known_on, engine=runner.name
        )


class Register:
    """Policies, shapes and vocabulary, as read from files. Build it with :meth:`load`."""

    def __init__(self, files: dict[URIRef, Graph], shapes: Graph, queries: dict[str, Query], revision: str) -> None:
        self.files = files
        self.shapes = shapes
        self.queries = queries
        self.revision = revision
        """Names the content: the same files give the same revision, on any machine."""
        self._snapshots: dict[tuple[date | None, Unknown], Snapshot] = {}

    @cached_property
    def whole(self) -> Graph:
        """Every file in one graph, whenever published."""
        whole = Graph()
        for content in self.files.values():
            whole += content
        return whole

    @classmethod
    def load(cls, *, policies: Path | None = None) -> Register:
        """Reads the shipped register, and a folder of the user's own policies on top of it.

        Raises:
            ChartularyError: a file is missing or is not Turtle; says which file, where and why.
        """
        folders = [data_folder("policies"), *([policies] if policies else [])]
        digest = hashlib.sha256()
        files: dict[URIRef, Graph] = {}
        for folder in folders:
            if not folder.is_dir():
                raise ChartularyError(f"{folder}: no such folder of policies")
            for path in sorted(folder.rglob("*.ttl")):
                name = path.relative_to(folder).with_suffix("").as_posix()
                iri = URIRef(f"{ROOT}policy/{name}")
                content = _parse(path, digest)
                # A user's file may bear the name of a shipped one (payers.ttl): it adds to it.
                files[iri] = files[iri] + content if iri in files else content
        queries = load_queries(data_folder("queries"))
        for query in queries.values():
            digest.update(f"{query.name}.rq\0{query.text}".encode())
        shapes = Graph()
        for name in ("rules.ttl", "outcomes.ttl", "claim.ttl"):
            shapes += _parse(data_folder("shapes") / name, digest)
        return cls(files, shapes, queries, digest.hexdigest()[:16])

    def snapshot(self, *, as_known_on: date | None = None, unknown: Unknown = "review") -> Snapshot:
        """What was known on a day (None: all that the register holds); folded once and kept."""
        key = (as_known_on, unknown)
        if key not in self._snapshots:
            self._snapshots[key] = Snapshot(self, *key)
        return self._snapshots[key]

    def validate(
        self,
        claim: Claim,
        *,
        as_known_on: date | None = None,
        unknown: Unknown = "review",
        engine: EngineName = "auto",
    ) -> Report:
        """Holds one claim against the register; see :meth:`Snapshot.validate`."""
        return self.snapshot(as_known_on=as_known_on, unknown=unknown).validate(claim, engine=engine)

    def ask(
        self,
        question: str,
        /,
        *,
        as_known_on: date | None = None,
        endpoint: str | None = None,
        **parameters: str | date,
    ) -> Answer:
        """Answers a question of ``queries/`` by name: ``ask("requirements", code="38228", payer="medicare", dos=…)``.

        ``endpoint`` asks a remote SPARQL server that holds an exported snapshot instead.

        Raises:
            ChartularyError: there is no such question or parameter, or a value names nothing in the register.
        """
        return self.snapshot(as_known_on=as_known_on).ask(question, endpoint=endpoint, **parameters)


def _parse(path: Path, digest: hashlib._Hash) -> Graph:
    text = path.read_bytes()
    digest.update(path.name.encode() + b"\0" + text)
    try:
        graph = Graph().parse(data=text, format="turtle")
    except Exception as fault:  # rdflib's parser raises many kinds
        raise ChartularyError(f"{path}: {_syntax_fault(fault)}") from None
    for subject, predicate, value in graph:
        if isinstance(value, Literal) and value.ill_typed:
            name, term = (str(node).rsplit("/", 1)[-1].rsplit("#", 1)[-1] for node in (subject, predicate))
            raise ChartularyError(f"{path}: {term} of {name}: '{value}' is no {str(value.datatype).rsplit('#', 1)[-1]}")
    return graph


def _syntax_fault(fault: Exception) -> str:
    """What is wrong and on which line, out of rdflib's account of it."""
    text = " ".join(str(fault).split())
    told = re.match(r"at line (\d+) of <.*?>: Bad syntax \((.*?)\) at \^", text)
    return f"line {told[1]}: {told[2]}" if told else f"not Turtle: {text[:160]}"

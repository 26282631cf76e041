"""The register: every policy file read once, snapshots of it by day, questions to it and claims held against it."""

from __future__ import annotations

import difflib
import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from chartulary.ask import Answer, Query, gather, load_queries, run_local, run_remote
from chartulary.cache import Cache
from chartulary.claim import Claim
from chartulary.coding import Coding
from chartulary.compiler.python import Program, compile_rules
from chartulary.compiler.rules import Rule
from chartulary.engines import Engine, EngineName, PyshaclEngine, PythonEngine, ShiftyEngine, what_rules_read
from chartulary.errors import ChartularyError
from chartulary.facts import Facts, from_graph
from chartulary.graph import LITERALS, ROWS, SHARED, facts_of, names_of
from chartulary.report import Reader, Report
from chartulary.terms import IS_PART_OF, LABEL, POL, PUBLISHED, ROOT, SHAPE

if TYPE_CHECKING:
    import pyoxigraph
    from rdflib import Graph, URIRef

    from chartulary.duck import Statements
    from chartulary.hindsight import Comparison
    from chartulary.snapshot import Unknown

_T = TypeVar("_T")
ExportFormat = Literal["nt", "nq", "ttl", "trig"]
_HERE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """Where ``shapes``, ``policies`` or ``queries`` lie: inside the installed package, or in the checkout."""
    packaged, checkout = _HERE / "data" / name, _HERE.parents[1] / name
    return packaged if packaged.is_dir() else checkout


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that claims and questions need of a snapshot. Pickles, and holds no RDF but as text."""

    facts: Facts
    statements: Facts
    """What is cited, and by which provisions, whenever it was published."""
    rules: tuple[Rule, ...]
    program: Program


class Snapshot:
    """The register as known on a day, with its code tables, and engines prepared for it on first use."""

    def __init__(self, register: Register, as_known_on: date | None, unknown: Unknown, cache: Cache | None) -> None:
        self.register = register
        self.as_known_on = as_known_on
        self.unknown = unknown
        self._cache = cache
        self._engines: dict[EngineName, Engine] = {}

    @cached_property
    def graph(self) -> Graph:
        """The snapshot as one dated graph."""
        from chartulary.snapshot import fold

        return fold(self.register.files, as_known_on=self.as_known_on, unknown=self.unknown)

    @cached_property
    def prepared(self) -> Prepared:
        return self._kept("snapshot", Prepared, self._prepared)

    @cached_property
    def statements(self) -> Statements:
        """The rules as SQL."""
        from chartulary import duck

        return self._kept(
            "sql",
            duck.Statements,
            lambda: duck.prepare(self.prepared.rules, self.facts, shared=SHARED, literals=LITERALS, rows=ROWS),
        )

    def _kept(self, what: str, kind: type[_T], make: Callable[[], _T]) -> _T:
        """What the cache holds, or what is made now and kept in it."""
        key = f"{self.register.revision}-{self.as_known_on or 'all'}-{self.unknown}-{what}"
        kept = self._cache.get(key) if self._cache else None
        if isinstance(kept, kind):
            return kept
        made = make()
        if self._cache:
            self._cache.put(key, made)
        return made

    def _prepared(self) -> Prepared:
        facts = from_graph(self.graph)
        if self._cache:
            _ = self.triples  # while the graph is there: a later run may ask, and would have to fold it again
        return Prepared(
            facts=facts,
            statements=self.register.statements,
            rules=self.register.rules,
            program=compile_rules(self.register.rules, facts, shared=SHARED),
        )

    @cached_property
    def triples(self) -> bytes:
        """The snapshot as N-Triples."""
        return self._kept("triples", bytes, lambda: self.graph.serialize(format="nt", encoding="utf-8"))

    @cached_property
    def quads(self) -> bytes:
        """Every file as it is written, without what was published later, in a graph of its name; as N-Quads."""
        return self._kept("quads", bytes, self._quads)

    def _quads(self) -> bytes:
        import pyoxigraph

        from chartulary.snapshot import published

        store = pyoxigraph.Store()
        for iri, graph in published(self.register.files, as_known_on=self.as_known_on):
            content = graph.serialize(format="nt", encoding="utf-8")
            name = pyoxigraph.NamedNode(str(iri))
            store.load(content, format=pyoxigraph.RdfFormat.N_TRIPLES, to_graph=name, lenient=True)
        return store.dump(format=pyoxigraph.RdfFormat.N_QUADS) or b""

    def export(self, format: ExportFormat = "nt") -> bytes:
        """The snapshot for any other store; ``nq`` and ``trig`` have the files as well, each in a graph of its name.

        The same register gives the same bytes.
        """
        import pyoxigraph

        from chartulary.turtle import shared_prefixes

        lines = sorted(self.triples.splitlines())
        if format in ("nq", "trig"):
            lines += sorted(self.quads.splitlines(), key=lambda line: (line.rsplit(b" ", 2)[1], line))
        text = b"\n".join(lines) + b"\n"
        if format in ("nt", "nq"):
            return text
        quads = pyoxigraph.parse(text, pyoxigraph.RdfFormat.N_QUADS, lenient=True)
        prefixes = dict(shared_prefixes())
        if format == "trig":
            return pyoxigraph.serialize(quads, format=pyoxigraph.RdfFormat.TRIG, prefixes=prefixes) or b""
        triples = (quad.triple for quad in quads)
        return pyoxigraph.serialize(triples, format=pyoxigraph.RdfFormat.TURTLE, prefixes=prefixes) or b""

    @cached_property
    def facts(self) -> Facts:
        """The snapshot's graph as plain relations."""
        return self.prepared.facts

    @cached_property
    def coding(self) -> Coding:
        return Coding(self.facts)

    @cached_property
    def reader(self) -> Reader:
        notes = {
            head.predicate: rule.message
            for rule in self.prepared.rules
            for head in rule.heads
            if head.predicate.startswith(f"{SHAPE}claim-")
        }
        return Reader(self.facts, self.coding, self.prepared.statements, notes)

    def engine(self, name: EngineName = "auto") -> Engine:
        """The engine of that name, prepared on first use; ``auto`` is the fastest for single claims."""
        if name == "auto":
            name = "python"
        if name not in self._engines:
            self._engines[name] = self._prepare(name)
        return self._engines[name]

    def _prepare(self, name: EngineName) -> Engine:
        if name == "python":
            return PythonEngine(self.prepared.program)
        if name == "sql":
            from chartulary.duck import SqlEngine

            return SqlEngine(self.statements, self.facts, shared=SHARED, reads=self.reader.reads)
        shapes = self.register.shapes
        facts = what_rules_read(shapes, self.graph)
        return PyshaclEngine(shapes, facts) if name == "pyshacl" else ShiftyEngine(shapes, facts)

    @cached_property
    def store(self) -> pyoxigraph.Store:
        """The snapshot in an embedded SPARQL store."""
        import pyoxigraph

        store = pyoxigraph.Store()
        store.bulk_load(self.triples, format=pyoxigraph.RdfFormat.N_TRIPLES, lenient=True)
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
        return next(self.validate_all([claim], engine=engine))

    def validate_all(self, claims: Iterable[Claim], *, engine: EngineName = "auto") -> Iterator[Report]:
        """Holds claims against every policy known on the day; reports come in the order of the claims.

        The engine may take all of them at once: give many in portions of some thousands.
        """
        runner, claims = self.engine(engine), list(claims)
        named = list(zip(names_of(claims), claims, strict=True))
        portions = [named[start : start + runner.together] for start in range(0, len(named), runner.together)]
        derived = runner.run_all(facts_of(portion, self.coding) for portion in portions)
        for portion, found in zip(portions, derived, strict=True):
            for name, claim in portion:
                yield self.reader.read(
                    name,
                    claim,
                    found,
                    revision=self.register.revision,
                    as_known_on=self.as_known_on,
                    engine=runner.name,
                )


class Register:
    """Policies, shapes and vocabulary, as read from files. Build it with :meth:`load`."""

    def __init__(
        self,
        files: Mapping[URIRef, Graph] | None,
        shapes: Graph | None,
        queries: dict[str, Query],
        revision: str,
        *,
        paths: Mapping[str, list[Path]] | None = None,
        cache: Cache | None = None,
    ) -> None:
        if files is not None:
            self.files = files
        if shapes is not None:
            self.shapes = shapes
        self.paths = paths or {}
        """The files behind each graph, by its IRI: more than one where a user's file bears a shipped one's name."""
        self.queries = queries
        self.revision = revision
        """Names the content: the same files give the same revision, on any machine."""
        self.kept = cache
        """What is kept on disk between runs; None keeps nothing."""
        self._contents: Mapping[str, bytes] = {}
        self._like: Register | None = None
        self._snapshots: dict[tuple[date | None, Unknown], Snapshot] = {}

    @classmethod
    def load(
        cls,
        *,
        policies: Path | None = None,
        cache: Path | None = None,
        ground: Path | None = None,
        like: Register | None = None,
    ) -> Register:
        """Reads the shipped register, and a folder of the user's own policies on top of it.

        ``cache`` is a folder that keeps what was prepared for later runs; what is kept is not parsed again. ``ground``
        is a folder of policies to read in place of the shipped ones. What is the same in ``like`` is taken from there.

        Raises:
            ChartularyError: a file is missing or is not Turtle; says which file, where and why.
        """
        folders = [ground or data_folder("policies"), *([policies] if policies else [])]
        digest = hashlib.sha256()
        files: dict[str, list[Path]] = {}
        contents: dict[str, bytes] = {}
        for folder in folders:
            if not folder.is_dir():
                raise ChartularyError(f"{folder}: no such folder of policies")
            for path in sorted(folder.rglob("*.ttl")):
                name = path.relative_to(folder).with_suffix("").as_posix()
                # A user's file may bear the name of a shipped one (payers.ttl): it adds to it.
                files.setdefault(f"{ROOT}policy/{name}", []).append(path)
                content = name.encode() + b"\0" + path.read_bytes()
                digest.update(content)
                iri = f"{ROOT}policy/{name}"
                contents[iri] = hashlib.sha256(contents.get(iri, b"") + content).digest()
        queries = load_queries(data_folder("queries"))
        for query in queries.values():
            digest.update(f"{query.name}.rq\0{query.text}".encode())
        for path in _shape_files():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        register = cls(None, None, queries, digest.hexdigest()[:16], paths=files, cache=Cache(cache) if cache else None)
        register._contents = contents
        if like is not None:
            register._like = like
            register.shapes, register.rules = like.shapes, like.rules
        register._read()
        return register

    def _read(self) -> None:
        """Parses every file, unless it is known that each can be."""
        key = f"{self.revision}-read"
        if self.kept and self.kept.get(key):
            return
        _ = self.files, self.shapes
        if self.kept:
            self.kept.put(key, True)

    @cached_property
    def files(self) -> Mapping[URIRef, Graph]:
        """Every policy file's graph, by its IRI."""
        from rdflib import Graph, URIRef

        files = {}
        for iri, paths in self.paths.items():
            if self._like and self._like._contents.get(iri) == self._contents[iri]:
                files[URIRef(iri)] = self._like.files[URIRef(iri)]
                continue
            graph = files[URIRef(iri)] = Graph(store="SimpleMemory")
            for path in paths:
                graph += _parse(path)
        return files

    @cached_property
    def shapes(self) -> Graph:
        """Rules and shapes in one graph."""
        from rdflib import Graph

        shapes = Graph()
        for path in _shape_files():
            shapes += _parse(path)
        return shapes

    @cached_property
    def whole(self) -> Graph:
        """Every file in one graph, whenever published."""
        from rdflib import Graph

        whole = Graph()
        for content in self.files.values():
            whole += content
        return whole

    @cached_property
    def days_of_change(self) -> tuple[date, ...]:
        """The days on which what is known changes, in order: bounds of publication of anything in the register."""
        key = f"{self.revision}-days"
        kept = self.kept.get(key) if self.kept else None
        if isinstance(kept, tuple):
            return kept
        told = from_graph(self.whole)
        exact, first, last = (told.relation(POL[name]) for name in PUBLISHED)
        found = {day for bound in (exact, first, last) for days in bound.values() for day in days}
        if first.keys() - last.keys() - exact.keys():
            found.add(date.max)  # it may come out on any day yet
        days = tuple(sorted(day for day in found if isinstance(day, date)))
        if self.kept:
            self.kept.put(key, days)
        return days

    def day_like(self, day: date | None) -> date | None:
        """The first day on which as much was known as on this one; None where that is all that the register holds."""
        days = self.days_of_change
        if day is None or not days or day >= days[-1]:
            return None
        return days[bisect_right(days, day) - 1] if day >= days[0] else date.min

    @cached_property
    def provisions(self) -> frozenset[str]:
        """The names of every provision and amendment, whenever published."""
        from rdflib import RDF, URIRef

        return frozenset(
            str(node)
            for graph in self.files.values()
            for kind in (POL.Provision, POL.Amendment)
            for node in graph.subjects(RDF.type, URIRef(kind))
        )

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in their normal form."""
        from chartulary.compiler.algebra import read_rules

        return tuple(read_rules(self.shapes))

    @cached_property
    def statements(self) -> Facts:
        """What is cited, and by which provisions, whenever it was published."""
        whole = from_graph(self.whole)
        told = (POL.cites, IS_PART_OF, LABEL, POL.ambiguity, POL.verificationStatus, POL.section, POL.quote)
        return Facts({predicate: whole.relations.get(predicate, {}) for predicate in told})

    def snapshot(self, *, as_known_on: date | None = None, unknown: Unknown = "review") -> Snapshot:
        """What was known on a day (None: all that the register holds); folded once and kept."""
        key = (as_known_on, unknown)
        if key not in self._snapshots:
            self._snapshots[key] = Snapshot(self, *key, self.kept)
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

    def compare(self, *, known: tuple[date | None, date | None], **parameters: str | date) -> Comparison:
        """What a code required, with what was known on each of two days, and what makes the difference.

        ``compare(known=(day, day), code=…, payer=…, dos=…)``; None for a day is all that the register holds. Raises as
        :meth:`ask` does.
        """
        from chartulary.hindsight import Hindsight

        return Hindsight(self, since=known[0], until=known[1]).compare(**parameters)


def _shape_files() -> list[Path]:
    return [data_folder("shapes") / name for name in ("rules.ttl", "outcomes.ttl", "claim.ttl")]


def _parse(path: Path) -> Graph:
    from rdflib import Graph, Literal

    data = path.read_bytes()
    try:
        graph = Graph().parse(data=data, format="turtle")
    except Exception as fault:  # rdflib's parser raises many kinds
        raise _syntax_fault(path, data, fault) from None
    for subject, predicate, value in graph:
        if isinstance(value, Literal) and value.ill_typed:
            name, term = (str(node).rsplit("/", 1)[-1].rsplit("#", 1)[-1] for node in (subject, predicate))
            raise ChartularyError(f"{path}: {term} of {name}: '{value}' is no {str(value.datatype).rsplit('#', 1)[-1]}")
    return graph


def _syntax_fault(path: Path, data: bytes, fault: Exception) -> ChartularyError:
    """What is wrong and where: as our own reader of Turtle has it, which authors know, else as rdflib's."""
    from chartulary.turtle import read

    try:
        read(data.decode("utf-8"), source=str(path))
    except ChartularyError as told:
        return told
    except UnicodeDecodeError:
        return ChartularyError(f"{path}: this is no UTF-8")
    return ChartularyError(f"{path}: not Turtle: {' '.join(str(fault).split())[:160]}")

"""The register: every policy file read once, snapshots of it by day, questions to it and claims held against it."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

from rdflib import Graph, URIRef

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
    """Where ``ontology``, ``shapes``, ``policies`` or ``queries`` lie: inside the installed package, or in the checkout."""
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
        self._reader = Reader(self.graph, self.coding)
        self._engines: dict[EngineName, Engine] = {}

    def engine(self, name: EngineName = "auto") -> Engine:
        if name not in self._engines:
            self._engines[name] = prepare(name, self.register.shapes, self.graph)
        return self._engines[name]

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

    def __init__(self, files: dict[URIRef, Graph], shapes: Graph, revision: str) -> None:
        self.files = files
        self.shapes = shapes
        self.revision = revision
        """Names the content: the same files give the same revision, on any machine."""
        self._snapshots: dict[tuple[date | None, Unknown], Snapshot] = {}

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
                files[URIRef(f"{ROOT}policy/{name}")] = _parse(path, digest)
        shapes = Graph()
        for name in ("rules.ttl", "outcomes.ttl", "claim.ttl"):
            shapes += _parse(data_folder("shapes") / name, digest)
        return cls(files, shapes, digest.hexdigest()[:16])

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


def _parse(path: Path, digest: hashlib._Hash) -> Graph:
    text = path.read_bytes()
    digest.update(path.name.encode() + b"\0" + text)
    try:
        return Graph().parse(data=text, format="turtle")
    except Exception as fault:  # rdflib's parser raises many kinds, each with a line number in its text
        reason = " ".join(str(fault).split())[:200]
        raise ChartularyError(f"{path}: not Turtle: {reason}") from None

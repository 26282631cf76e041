"""Lint and suites again on each save. The register stays in memory; only files that changed are read again."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from chartulary.errors import ChartularyError
from chartulary.facts import Facts, from_graph
from chartulary.register import Register, _parse, data_folder
from chartulary.suites import Difference, differences, read_suite, root_of
from chartulary.terms import ROOT
from chartulary.workbench.sides import is_register

if TYPE_CHECKING:
    from rdflib import Graph, URIRef

    from chartulary.workbench.lint import Finding

EVERY = 0.2
"""Seconds between two looks at the files. Looking costs milliseconds, and works on any file system."""
_MOST_TOLD = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What lint and suites say of the files as they are now."""

    changed: tuple[Path, ...]
    findings: tuple[Finding, ...]
    suites: tuple[tuple[str, int, tuple[Difference, ...]], ...]
    """Each suite with its number of entries and what is not as it says."""
    not_run: str
    """Why no suite was run; empty where they were."""
    seconds: float

    @property
    def faults(self) -> int:
        """Findings of lint, and claims and questions that are not as their suite says."""
        return len(self.findings) + sum(map(_places, (found for *_, found in self.suites)))


def _places(found: tuple[Difference, ...]) -> int:
    return len({difference.where for difference in found})


class Watch:
    """The files of a path, and the register that they are read in."""

    def __init__(self, path: Path) -> None:
        """Reads everything once.

        Raises:
            ChartularyError: there is no such path, or no suite and no Turtle there.
        """
        if not path.exists():
            raise ChartularyError(f"{path}: no such file or folder")
        folder = path if path.is_dir() else path.parent
        inner = folder / "policies"
        folder = inner if next(inner.rglob("*.ttl"), None) else folder
        if next(folder.rglob("*.ttl"), None) is None:
            raise ChartularyError(f"{path}: no Turtle files there")
        self.path = folder
        shipped = data_folder("policies").resolve()
        inside = folder.resolve().is_relative_to(shipped)
        self.root = shipped if inside else root_of(folder)
        self._base = Register.load()
        own = inside or is_register(self.root)
        self._laid = None if own else self.root
        self._ground = {} if own else dict(self._base.files)
        self._ground_facts = {} if own else {iri: from_graph(graph) for iri, graph in self._ground.items()}
        self._seen: dict[Path, tuple[int, int]] = {}
        self._graphs: dict[Path, tuple[Graph, Facts]] = {}
        self._unreadable: dict[Path, str] = {}
        self._known: Register | None = None

    def look(self) -> tuple[Path, ...]:
        """Reads again what changed since the last look, and says what did."""
        now = {path: stamp for path in self._files() if (stamp := _stamp(path))}
        changed = sorted(path for path in {*now, *self._seen} if now.get(path) != self._seen.get(path))
        self._seen = now
        for path in changed:
            if path.suffix != ".ttl":
                continue
            self._known = None
            self._graphs.pop(path, None)
            self._unreadable.pop(path, None)
            if path in now:
                try:
                    graph = _parse(path)
                    self._graphs[path] = graph, from_graph(graph)
                except (ChartularyError, OSError) as fault:
                    self._unreadable[path] = str(fault)
        return tuple(changed)

    def _files(self) -> Iterator[Path]:
        for path in self.root.rglob("*"):
            if path.suffix in (".ttl", ".toml") or path.parent.name == "claims":
                yield path

    def round(self, changed: tuple[Path, ...] = ()) -> Round:
        """Lints the path and runs its suites."""
        from chartulary.workbench.lint import lint

        started = time.perf_counter()
        findings = lint([self.path], policies=self._laid).findings
        not_run = "; ".join(self._unreadable.values())
        suites = () if not_run else tuple(self._suites())
        return Round(
            changed=changed,
            findings=findings,
            suites=suites,
            not_run=not_run,
            seconds=time.perf_counter() - started,
        )

    def _suites(self) -> Iterator[tuple[str, int, tuple[Difference, ...]]]:
        for path in sorted(self.path.resolve().rglob("suite.toml")):
            try:
                suite = read_suite(path, self.root)
                told = tuple(differences(suite, self.register))
                yield suite.name, len(suite.examples) + len(suite.questions), told
            except (ChartularyError, OSError) as fault:
                yield path.parent.name, 0, (Difference(where=path.name, text=str(fault)),)

    @property
    def register(self) -> Register:
        """The register as the files are now; the same object until one of them changes."""
        from rdflib import URIRef

        if self._known is None:
            files: dict[URIRef, Graph] = {URIRef(iri): graph for iri, graph in self._ground.items()}
            for path, (graph, _) in sorted(self._graphs.items()):
                iri = URIRef(f"{ROOT}policy/{path.relative_to(self.root).with_suffix('').as_posix()}")
                files[iri] = files[iri] + graph if iri in files else graph
            known = Register(files, self._base.shapes, self._base.queries, "as it is being edited")
            known.rules = self._base.rules
            known.statements = self._statements()
            self._known = known
        return self._known

    def _statements(self) -> Facts:
        """Register.statements, put together from what is known of each file."""
        merged: dict[str, dict[str, set[object]]] = {}
        parts = [*self._ground_facts.values(), *(facts for _, facts in self._graphs.values())]
        for predicate in self._base.statements.relations:
            relation = merged[predicate] = {}
            for part in parts:
                for subject, values in part.relation(predicate).items():
                    relation[subject] = relation[subject] | values if subject in relation else set(values)
        return Facts(merged)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:  # it went while we were looking
        return None
    return found.st_mtime_ns, found.st_size


def follow(watch: Watch, console: Console, *, every: float = EVERY) -> None:
    """Shows a round now and after each save, until it is interrupted."""
    # Triples by the million, and hardly a cycle among them: looking for some would take as long as the work itself.
    gc.disable()
    try:
        changed = watch.look()
        gc.freeze()
        while True:
            show(console, watch, watch.round(changed))
            gc.collect()
            changed = ()
            while not changed:
                time.sleep(every)
                changed = watch.look()
    except KeyboardInterrupt:
        console.print()
    finally:
        gc.unfreeze()
        gc.enable()


def show(console: Console, watch: Watch, told: Round) -> None:
    """One round for people; on a terminal it takes the place of the one before."""
    if console.is_terminal:
        console.clear()
    what = (
        ", ".join(path.name for path in told.changed)
        if 0 < len(told.changed) <= 3
        else f"{len(told.changed)} files read"
    )
    console.print(Text(f"{datetime.now():%H:%M:%S}  {what}", style="dim"))
    for finding in told.findings[:_MOST_TOLD]:
        style = "red" if finding.severity == "error" else "yellow"
        place = f"{finding.file}:{finding.line}:{finding.column}"
        console.print(Text.assemble((place, "bold"), " ", (finding.rule, style), f" {finding.message}"), soft_wrap=True)
        if finding.hint:
            console.print(Padding(Text(finding.hint, style="dim"), (0, 0, 0, 4)))
    if len(told.findings) > _MOST_TOLD:
        console.print(f"… and {len(told.findings) - _MOST_TOLD} more findings")
    for name, size, found in told.suites:
        entries = f"{size} {'entry' if size == 1 else 'entries'}"
        verdict = f"{_places(found)} not as the suite says" if found else "as the suite says"
        console.print(Text.assemble((name, "bold"), f": {entries}, ", (verdict, "red" if found else "green")))
        for difference in found[:_MOST_TOLD]:
            console.print(Text(f"    {difference}"), soft_wrap=True)
    if told.not_run:
        console.print(Text("No suite was run: a file cannot be read", style="red"))
    style, word = ("red", f"{told.faults} to mend") if told.faults or told.not_run else ("green", "all well")
    console.print(Text.assemble((word, f"bold {style}"), (f"  {told.seconds:.2f} s", "dim")))
    if console.is_terminal:
        console.print(Text(f"watching {watch.path}; Ctrl-C ends", style="dim"))

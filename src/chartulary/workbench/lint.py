"""``chartulary lint``: what is wrong with policy files, where, and what to do about it.

Turtle that cannot be read, shapes of ``policy-file.ttl`` that are not met, and the rules of ``lint_rules``. Nothing is
written anywhere. What stands outside of the files asked for is read, and never found fault with.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyoxigraph as ox

from chartulary.errors import ChartularyError
from chartulary.register import data_folder
from chartulary.terms import COD, LABEL, POL, SHAPE, SKOS, TYPE
from chartulary.workbench import lint_beside, lint_policy, lint_rules  # noqa: F401 (rules register themselves)
from chartulary.workbench.lint_beside import SuiteText
from chartulary.workbench.lint_files import (
    NAME,
    OWL,
    RDF,
    RDFS,
    XSD,
    Term,
    TurtleFile,
    World,
    n_triples,
    policies_folder,
    read_file,
    read_world,
    triple,
    turtle_files,
)
from chartulary.workbench.lint_rules import CHECKS, OPTIONS, Fault, Rule, Severity

if TYPE_CHECKING:
    import shifty
    from rdflib import Graph

SH = "http://www.w3.org/ns/shacl#"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """Something wrong, at a place. Line and column count from 1."""

    file: str
    """The path, from the current folder where it lies below that."""
    line: int
    column: int
    rule: str
    severity: Severity
    message: str
    """One sentence, no stop."""
    hint: str = ""
    """What may help to mend it; may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All findings, in the order of files and lines, and how many files were looked at."""

    findings: tuple[Finding, ...]
    files: int

    @property
    def errors(self) -> int:
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def warnings(self) -> int:
        return len(self.findings) - self.errors


# --- The rules --------------------------------------------------------------------------------------------------------


class Shape:
    """A shape that can be broken, as a rule."""

    def __init__(self, graph: TurtleFile, iri: str) -> None:
        said = graph.about[iri]

        def first(predicate: str) -> str:
            return next((o.value if isinstance(o, ox.Literal) else o for o in said.get(predicate, ())), "")

        self.iri = iri
        self.path = first(f"{SH}path")
        self.compared = first(f"{SH}lessThanOrEquals")
        self.rule = Rule(
            name=iri.removeprefix(SHAPE),
            severity="warning" if first(f"{SH}severity") == f"{SH}Warning" else "error",
            problem=first(LABEL),
            principle=first(f"{RDFS}comment"),
            solution=first(f"{SH}message"),
            example=first(SKOS.example),
        )


@cache
def shapes() -> dict[str, Shape]:
    """The shapes of ``policy-file.ttl`` that say something, by IRI."""
    graph = read_file(data_folder("shapes") / "policy-file.ttl")
    return {iri: Shape(graph, iri) for iri, said in graph.about.items() if f"{SH}message" in said}


def _rules() -> tuple[Rule, ...]:
    own = [rule for _, rule in CHECKS.values()] + OPTIONS
    return tuple(sorted([*own, *(shape.rule for shape in shapes().values())], key=lambda rule: rule.name))


RULES: tuple[Rule, ...] = _rules()
"""Every rule, in the order of names."""
_BY_NAME = {rule.name: rule for rule in RULES}


def explain(name: str) -> Rule:
    """The rule of a name.

    Raises:
        ChartularyError: there is none.
    """
    import difflib

    if name not in _BY_NAME:
        near = difflib.get_close_matches(name, _BY_NAME, n=1)
        raise ChartularyError(f"there is no rule '{name}'" + (f"; did you mean '{near[0]}'?" if near else ""))
    return _BY_NAME[name]


# --- Linting ----------------------------------------------------------------------------------------------------------


def what_to_lint(paths: Iterable[Path]) -> list[Path]:
    """The paths given; without any, the current folder if it has Turtle of ours, else the shipped register."""
    given = list(paths)
    if given:
        return given
    here = Path()
    return (
        [here]
        if any("w3id.org/chartulary/" in _head(file) for file in turtle_files(here))
        else [data_folder("policies")]
    )


def _head(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(4000)


def lint(
    paths: Iterable[Path],
    *,
    policies: Path | None = None,
    sources: Path | None = None,
    reasoner: bool = False,
    unsaved: Mapping[Path, str] | None = None,
) -> Report:
    """Everything that is wrong with Turtle files and suites.

    ``paths`` are files or folders; they are read together with the shipped register, with ``policies`` and with the
    folder called ``policies`` that they lie in. ``sources`` is a folder with the texts of documents, for quotes.
    ``unsaved`` gives the text of files that an editor has not saved.

    Raises:
        ChartularyError: a path does not exist or cannot be read; --reasoner without a reasoner.
    """
    wanted = list(paths)
    if sources and not sources.is_dir():
        raise ChartularyError(f"{sources}: no such folder of sources")
    world, roots = read_world(wanted, policies=policies, unsaved=unsaved)
    files = len(world.checked) + sum(len(_suite_paths(path)) for path in wanted)
    if not files:
        raise ChartularyError(f"{', '.join(map(str, wanted))}: no Turtle files there")
    with _quiet():
        return Report(
            findings=tuple(sorted(set(_findings(world, wanted, roots, sources, reasoner)))),
            files=files,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """rdflib warns of impossible days with a traceback; lint says it in one line."""
    logger = logging.getLogger("rdflib")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _findings(
    world: World, paths: list[Path], roots: list[Path], sources: Path | None, reasoner: bool
) -> Iterator[Finding]:
    faults = {name: list(check(world)) for name, (check, _) in CHECKS.items()}
    suites = _suites(paths, roots)
    faults["suite-not-toml"] = list(lint_beside.suite_not_toml(suites))
    if any(path.is_dir() for path in paths):
        faults["dead-provision"] = list(lint_beside.dead_provision(world, suites))
    if sources:
        faults["quote-not-found"] = list(lint_beside.quote_not_found(world, sources))
    if reasoner:
        faults["inconsistent"] = list(lint_beside.inconsistent(world))
    for name, fault in _broken_shapes(world, faults):
        faults.setdefault(name, []).append(fault)
        if fault.predicate:
            # A shape says it in the words of what is missing there: the ontology's words only repeat it.
            for general in ("misplaced-property", "wrong-kind-of-value"):
                faults[general] = [
                    each
                    for each in faults[general]
                    if (each.subject, each.predicate) != (fault.subject, fault.predicate)
                ]
    for name, several in faults.items():
        for fault in several:
            yield from _placed(world, name, fault)


def _suite_paths(path: Path) -> list[Path]:
    if path.is_dir():
        inner = path / "policies"
        return sorted((inner if next(inner.rglob("*.ttl"), None) else path).rglob("suite.toml"))
    return [path] if path.suffix == ".toml" else []


def _suites(paths: list[Path], roots: list[Path]) -> list[SuiteText]:
    found: dict[Path, SuiteText] = {}
    for path in paths:
        for suite in _suite_paths(path):
            inside = [root for root in roots if suite.resolve().is_relative_to(root.resolve())]
            root = (
                inside[-1] if inside else policies_folder(suite.resolve()) or (path if path.is_dir() else path.parent)
            )
            found[suite.resolve()] = lint_beside.read_suite_text(suite, root)
    return list(found.values())


def _placed(world: World, rule: str, fault: Fault) -> Iterator[Finding]:
    """A fault as a finding in each checked file that says so, mostly one."""
    if fault.path:
        yield _finding(world, None, fault.path, (fault.line, 1), rule, fault)
        return
    files = [fault.file] if fault.file else [file for file in world.checked if _says(file, fault)]
    if not fault.file and not files:
        files = [file for file in world.checked if fault.subject in file.about]
    for file in files:
        if file.fault and fault.file is not file:
            continue
        if rule in ("syntax", "encoding") and file.fault:
            place = file.fault[1:3]
        elif fault.line:
            place = fault.line, 1
        else:
            place = file.place(fault.subject, fault.predicate, fault.value)
        yield _finding(world, file, file.path, place, rule, fault)


def _says(file: TurtleFile, fault: Fault) -> bool:
    said = file.about.get(fault.subject)
    if said is None or fault.predicate is None:
        return said is not None
    return fault.predicate in said and (fault.value is None or fault.value in said[fault.predicate])


def _finding(
    world: World, file: TurtleFile | None, path: Path, place: tuple[int, int], rule: str, fault: Fault
) -> Finding:
    def written(text: str) -> str:
        return NAME.sub(lambda found: world.short(found[1], file), text)

    return Finding(
        file=_shown(path),
        line=place[0],
        column=place[1],
        rule=rule,
        severity=_BY_NAME[rule].severity,
        message=written(fault.message),
        hint=written(fault.hint),
    )


def _shown(path: Path) -> str:
    here = Path.cwd()
    resolved = path.resolve()
    return resolved.relative_to(here).as_posix() if resolved.is_relative_to(here) else str(path)


# --- Shapes -----------------------------------------------------------------------------------------------------------


def _broken_shapes(world: World, faults: Mapping[str, list[Fault]]) -> Iterator[tuple[str, Fault]]:
    """What the shapes find, but for what follows from a fault that is told already."""
    files = [file for file in world.checked if not file.fault]
    if not files:
        return
    unknown = lint_rules.unknown_terms(world)
    misspelt = {(use, near) for use, near in unknown.items() if near}
    both = {fault.subject for fault in faults["two-kinds"]}
    ill = {(fault.subject, fault.predicate) for fault in faults["impossible-value"]}
    told: set[tuple[str, str, str, Term | None]] = set()
    yield from (("named", fault) for fault in _nameless(files))
    results = sorted(
        _validate(world, files), key=lambda result: (result.shape.rule.name in ("one-label", "named"), str(result))
    )
    for result in results:
        subject, path, value = result.focus, result.path, result.value
        component = result.component
        if not world.in_path(subject) or subject.startswith("_:") or subject in both:
            continue  # of what is of two kinds, shapes for either are broken
        names_one = isinstance(value, str) and component != "ClosedConstraintComponent"
        if names_one and (value in unknown or value in world.doubtful or not _kind_is_told(world, str(value))):
            continue
        if isinstance(value, ox.Literal) and value.datatype.value in unknown:
            continue
        if component == "ClosedConstraintComponent" and path in unknown:
            continue
        if any((subject, p) in ill for p in (path, result.shape.compared, *_paths_of(result.shape))):
            continue
        if component == "LessThanOrEqualsConstraintComponent" and not _days_only(world, subject, result.shape):
            continue
        if component == "MinCountConstraintComponent":
            paths = _paths_of(result.shape)
            used = world.about.get(subject, {})
            if any(use in used and near in paths for use, near in misspelt):
                continue
            if any(p in used for p in paths) and len(paths) == 1 and world.doubtful:
                continue
        key = (subject, path, "" if value else component, value)
        if key in told:
            continue
        told.add(key)
        yield result.shape.rule.name, _shape_fault(world, result)


def _nameless(files: list[TurtleFile]) -> Iterator[Fault]:
    """What stands in square brackets in a file of policies; lists apart."""
    named = next(shape.rule for shape in shapes().values() if shape.rule.name == "named")
    for file in files:
        kinds = {str(kind) for said in file.about.values() for kind in said.get(TYPE, ())}
        if f"{OWL}Ontology" in kinds or not any(kind.startswith((str(POL), str(COD))) for kind in kinds):
            continue  # an ontology or shapes
        used = set()
        for subject, said in file.about.items():
            for predicate, values in said.items():
                for value in values:
                    if isinstance(value, str) and value.startswith("_:"):
                        used.add(value)
                        if f"{RDF}first" not in file.about.get(value, {}) and not subject.startswith("_:"):
                            yield Fault(subject, predicate, value, file=file, message=named.solution)
        for subject in file.about:
            if subject.startswith("_:") and subject not in used:
                yield Fault(subject, file=file, line=file.nameless_line(), message=named.solution)


def _kind_is_told(world: World, thing: str) -> bool:
    """False where a thing of ours is of no kind, or of a misspelt one: that is told there."""
    return thing not in world.about or lint_rules.kind_known(world, thing)


def _days_only(world: World, subject: str, shape: Shape) -> bool:
    return all(lint_rules.is_day(day) for p in (shape.path, shape.compared) for day in world.objects(subject, p))


@cache
def _paths_by_shape() -> dict[str, frozenset[str]]:
    graph = read_file(data_folder("shapes") / "policy-file.ttl")

    def listed(node: str) -> set[str]:
        found, waiting = set(), [node]
        while waiting:
            for predicate, values in graph.about.get(waiting.pop(), {}).items():
                for value in values:
                    if isinstance(value, str) and value.startswith("_:"):
                        waiting.append(value)
                    elif isinstance(value, str) and predicate == f"{RDF}first":
                        found.add(value)
        return found

    return {
        iri: frozenset(
            path
            for value in said.get(f"{SH}path", ())
            if isinstance(value, str)
            for path in (listed(value) if value.startswith("_:") else [value])
        )
        for iri, said in graph.about.items()
    }


def _paths_of(shape: Shape) -> frozenset[str]:
    """The properties that a shape looks at, those of a choice or sequence each."""
    return _paths_by_shape().get(shape.iri, frozenset())


@cache
def _validator() -> shifty.PreparedValidator:
    import shifty

    return shifty.PreparedValidator(data_folder("shapes") / "policy-file.ttl")


@dataclass(frozen=True, slots=True)
class _Result:
    shape: Shape
    focus: str
    path: str
    value: Term | None
    component: str


def _validate(world: World, files: list[TurtleFile]) -> Iterator[_Result]:
    """The shapes held against the checked files, and what of the rest they need to know."""
    data = n_triples(_data(world, files))
    _, report, _ = _validator().validate(data, infer=False, graph_mode="data", sort_results=False)
    yield from _results(report)


def _data(world: World, files: list[TurtleFile]) -> Iterator[ox.Triple]:
    named: set[str] = set()
    for file in files:
        for subject, said in file.about.items():
            for predicate, values in said.items():
                for value in values:
                    yield triple(subject, predicate, value)
                    if isinstance(value, str):
                        named.add(value)
    own = {subject for file in files for subject in file.about}
    waiting = sorted(named - own)
    seen = set(waiting)
    while waiting:
        thing = waiting.pop()
        for kind in world.names(thing, TYPE):
            yield triple(thing, TYPE, kind)
        for member in world.names(thing, POL.member):  # a group of groups is the most
            yield triple(thing, POL.member, member)
            if member not in own and member not in seen:
                seen.add(member)
                waiting.append(member)
    for kind in world.vocabulary:
        for wider in world.names(kind, f"{RDFS}subClassOf"):
            yield triple(kind, f"{RDFS}subClassOf", wider)


def _results(report: Graph) -> Iterator[_Result]:
    from rdflib import BNode
    from rdflib import Literal as RdfLiteral
    from rdflib.namespace import RDF as RDF_
    from rdflib.namespace import SH as SH_

    def plain(term: object) -> Term | None:
        if isinstance(term, RdfLiteral):
            datatype = ox.NamedNode(str(term.datatype)) if term.datatype else None
            return ox.Literal(str(term), datatype=None if term.language else datatype, language=term.language)
        return None if term is None else f"_:{term}" if isinstance(term, BNode) else str(term)

    for result in report.subjects(RDF_.type, SH_.ValidationResult):
        focus, shape, path, value, component = (
            report.value(result, p)
            for p in (SH_.focusNode, SH_.sourceShape, SH_.resultPath, SH_.value, SH_.sourceConstraintComponent)
        )
        known = shapes().get(str(shape))
        if known is None:
            continue
        yield _Result(
            known,
            str(plain(focus)),
            "" if path is None or isinstance(path, BNode) else str(path),
            plain(value),
            str(component).removeprefix(SH),
        )


def _shape_fault(world: World, result: _Result) -> Fault:
    subject, path, value = result.focus, result.path, result.value
    file = next((file for file in world.checked if subject in file.about), None)
    name = world.name(subject)
    paths = [path] if path else sorted(_paths_of(result.shape))
    hint = ""
    match result.component:
        case "MinCountConstraintComponent":
            count = sum(len(world.objects(subject, p)) for p in paths)
            hint = f"{name} has {'none' if not count else 'only one' if count == 1 else f'only {count}'}"
            if count:
                value, path = world.objects(subject, paths[0])[0], paths[0]
            else:
                path = ""
        case "MaxCountConstraintComponent":
            path, values = _stated(world, subject, paths)
            if len(values) > 1:
                value = _last(file, subject, path, values)
                hint = f"{name} has {len(values)}"
            elif values:
                value = values[0]
        case "ClassConstraintComponent" | "OrConstraintComponent" | "InConstraintComponent" if isinstance(value, str):
            kinds = world.names(value, TYPE)
            what = " and ".join(f"a {world.name(kind)}" for kind in kinds)
            hint = f"{world.name(value)} is {what}" if kinds else f"nothing defines {world.name(value)}"
            path = path or next((p for p in paths if value in world.objects(subject, p)), "")
        case "ClosedConstraintComponent":
            hint = f"{name} has {world.name(path)}"
            misplaced = lint_rules.CHECKS["misplaced-property"][0](world)
            hint = next(
                (fault.message for fault in misplaced if (fault.subject, fault.predicate) == (subject, path)), hint
            )
        case "MaxLengthConstraintComponent" if isinstance(value, ox.Literal):
            hint = f"it has {len(value.value)}"
        case "DatatypeConstraintComponent" if isinstance(value, ox.Literal):
            plain = value.datatype.value in (f"{XSD}string", f"{RDF}langString")
            kind = "text" if plain else f"of type {world.name(value.datatype.value)}"
            hint = f"“{value.value}” is {kind}"
        case "LessThanOrEqualsConstraintComponent":
            days = [world.objects(subject, p)[0] for p in (path, result.shape.compared)]
            begins, ends = (day.value if isinstance(day, ox.Literal) else day for day in days)
            where = file.place(subject, path, days[0])[0] if file else 0
            hint = f"{begins} (line {where}) lies after {ends}"
            path, value = result.shape.compared, days[1]
        case _:
            if isinstance(value, ox.Literal):
                hint = f"it is “{value.value}”"
    if not path and value is not None:
        path = next((p for p in paths if value in world.objects(subject, p)), "")
    return Fault(subject, path or None, value if path else None, message=result.shape.rule.solution, hint=hint)


def _stated(world: World, subject: str, paths: list[str]) -> tuple[str, list[Term]]:
    """The property stated most often, and its values."""
    best = max(paths, key=lambda path: len(world.objects(subject, path)), default="")
    return best, world.objects(subject, best)


def _last(file: TurtleFile | None, subject: str, path: str, values: list[Term]) -> Term:
    """The value that stands last in the file: the one too many."""
    return max(values, key=lambda value: file.place(subject, path, value)) if file else values[-1]

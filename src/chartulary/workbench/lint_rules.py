"""The rules of lint that no shape can say, for single files: Turtle, names and values.

The docstring of a rule is its page: problem, principle, solution, example.
"""

from __future__ import annotations

import difflib
import inspect
import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import pyoxigraph as ox

from chartulary.register import data_folder
from chartulary.terms import COD, IS_PART_OF, LABEL, POL, ROOT, SKOS, TYPE
from chartulary.workbench.lint_files import DATA, OWL, RDF, RDFS, XSD, Term, TurtleFile, World

Severity: TypeAlias = Literal["error", "warning"]
COMMENT, SEE_ALSO = f"{RDFS}comment", f"{RDFS}seeAlso"
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule, and its page in the documentation. All texts are Markdown; the example is Turtle (or TOML)."""

    name: str
    severity: Severity
    problem: str
    principle: str
    solution: str
    example: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Something found: on a statement of a file (subject, predicate, value), or on a line of it."""

    subject: str
    predicate: str | None = None
    value: Term | None = None
    message: str = ""
    """One sentence without a stop."""
    hint: str = ""
    file: TurtleFile | None = None
    """The file, where it is not every checked one that says so."""
    line: int = 0
    """The line, where it is not that of the statement."""
    path: Path | None = None
    """The file, where it is no Turtle."""


Check: TypeAlias = Callable[[World], Iterable[Fault]]
CHECKS: dict[str, tuple[Check, Rule]] = {}
"""What runs on every lint, by rule."""
OPTIONS: list[Rule] = []
_Function = TypeVar("_Function", bound=Callable[..., object])


def page(name: str, severity: Severity, text: str) -> Rule:
    """A rule from a docstring: the first line is the problem; then the principle; then Solution and Example.

    Raises:
        ValueError: a part is missing.
    """
    problem, _, rest = inspect.cleandoc(text).partition("\n")
    principle, _, rest = rest.partition("Solution:")
    solution, _, example = rest.partition("Example:")
    parts = [" ".join(part.split()) for part in (problem, principle, solution)]
    if not all((*parts, example.strip())):
        raise ValueError(f"the rule {name} lacks a part of its page")
    return Rule(
        name=name,
        severity=severity,
        problem=parts[0],
        principle=parts[1],
        solution=parts[2],
        example=inspect.cleandoc(example).strip() + "\n",
    )


def rule(severity: Severity) -> Callable[[Check], Check]:
    """Makes a function a rule of its name."""

    def register(check: Check) -> Check:
        name = check.__name__.replace("_", "-")
        CHECKS[name] = check, page(name, severity, check.__doc__ or "")
        return check

    return register


def option(severity: Severity) -> Callable[[_Function], _Function]:
    """Makes a function a rule that lint runs apart: it needs more than the files, or is asked for."""

    def register(check: _Function) -> _Function:
        OPTIONS.append(page(check.__name__.replace("_", "-"), severity, check.__doc__ or ""))
        return check

    return register


# --- Files ------------------------------------------------------------------------------------------------------------


@rule("error")
def syntax(world: World) -> Iterator[Fault]:
    """The file is not Turtle.

    Nothing of a file is known while one sign in it is wrong. Lint says where reading stopped, and what is likely
    missing there; the other files are judged without it.

    Solution: Mend the line that is named, or the end of the statement before it: a full stop after the last line of
    a thing, a semicolon after the others, a comma between several values, quotation marks closed, prefixes
    declared.

    Example:
        :heart-test
            a pol:Provision ;
            rdfs:label "The request has a heart test"@en
            pol:scope scope:wellcare-nc-prior-authorization .
    """
    return _file_faults(world, "syntax")


@rule("error")
def encoding(world: World) -> Iterator[Fault]:
    """The file is not plain UTF-8.

    Turtle is UTF-8 without a byte order mark. Text saved in another encoding shows wrong letters, or cannot be read
    at all.

    Solution: Save the file as UTF-8 without a byte order mark; every editor can.

    Example:
        # A file whose first three bytes are EF BB BF, as some editors write them.
        :heart-test
            a cod:Code ;
            rdfs:label "heart test"@en ;
            skos:inScheme scheme:finding .
    """
    yield from _file_faults(world, "encoding")
    for file in world.checked:
        if file.mark:
            yield Fault("", file=file, line=1, message="The file begins with a byte order mark; save it without")


def _file_faults(world: World, name: str) -> Iterator[Fault]:
    for file in world.checked:
        if file.fault and file.fault[0] == name:
            yield Fault("", file=file, line=file.fault[1], message=file.fault[3])


@rule("error")
def empty_file(world: World) -> Iterator[Fault]:
    """The file says nothing.

    A file of the register without a statement is a leftover, or was saved before it was written.

    Solution: Write what belongs there, or delete the file.

    Example:
        # Nothing but this comment.
    """
    prefixes = data_folder("ontology") / "prefixes.ttl"
    for file in world.checked:
        if not (file.fault or file.about or file.path.resolve() == prefixes.resolve()):
            yield Fault("", file=file, line=1, message="The file has no statement")


@rule("error")
def prefix_differs(world: World) -> Iterator[Fault]:
    """A prefix of the register stands for something else here.

    The prefixes of `ontology/prefixes.ttl` mean the same in every file, so that a line can be read, and copied,
    anywhere. With a slip in the IRI of a prefix, every name that begins with it is another name.

    Solution: Copy the line from `ontology/prefixes.ttl`, or give the prefix a name of its own.

    Example:
        PREFIX scope: <https://w3id.org/chartulary/scopes/>

        :heart-test
            a cod:Code ;
            rdfs:label "heart test"@en ;
            skos:inScheme scheme:finding .
    """
    for file in world.checked:
        meant: dict[str, str] = {}
        for prefix, namespace, line in file.declared():
            shared = world.shared_prefixes.get(prefix)
            if shared and namespace != shared:
                yield Fault(
                    namespace,
                    file=file,
                    line=line,
                    message=f"The prefix {prefix}: stands for <{shared}> in the register, and for something else here",
                    hint=_difference(namespace, shared),
                )
            elif meant.setdefault(prefix, namespace) != namespace:
                yield Fault(
                    namespace,
                    file=file,
                    line=line,
                    message=f"The prefix {prefix}: is declared twice, for different things",
                    hint=f"it was <{meant[prefix]}> before",
                )


def _difference(written: str, meant: str) -> str:
    if not written.startswith(ROOT) and written.partition("://")[2] == meant.partition("://")[2]:
        return f"write {meant.partition('://')[0]}, not {written.partition('://')[0]}"
    if written.rstrip("#/") == meant.rstrip("#/"):
        return f"it ends in {meant[-1]}"
    return f"write PREFIX …: <{meant}>"


# --- Names ------------------------------------------------------------------------------------------------------------


def standard_terms() -> dict[str, frozenset[str]]:
    """The terms of the standard vocabularies that files use, by namespace."""
    return _standard_terms()


@lru_cache(maxsize=1)
def _standard_terms() -> dict[str, frozenset[str]]:
    from rdflib.namespace import DCTERMS, PROV, SH, XSD
    from rdflib.namespace import OWL as OWL_
    from rdflib.namespace import RDF as RDF_
    from rdflib.namespace import RDFS as RDFS_
    from rdflib.namespace import SKOS as SKOS_

    spaces = (RDF_, RDFS_, OWL_, SKOS_, DCTERMS, PROV, SH, XSD)
    # What is a keyword of Python, such as sh:class, is no attribute.
    return {
        str(space): frozenset({*map(str, dir(space)), *(str(space) + name for name in getattr(space, "_extras", ()))})
        for space in spaces
    }


def _namespace(iri: str) -> str:
    return iri[: max(iri.rfind("/"), iri.rfind("#")) + 1]


@lru_cache(maxsize=1)
def unknown_terms(world: World) -> dict[str, str]:
    """IRIs that the checked files use and nothing defines, each with the nearest that is, or nothing."""
    used: dict[str, tuple[str, str]] = {}
    for file in world.checked:
        if file.fault:
            continue
        for subject, said in file.about.items():
            for predicate, values in said.items():
                used.setdefault(predicate, (subject, ""))
                for value in values:
                    if isinstance(value, ox.Literal):
                        used.setdefault(value.datatype.value, (subject, ""))
                    elif predicate != f"{OWL}versionIRI":
                        used.setdefault(value, (subject, predicate))
    standard = standard_terms()
    unknown = {}
    for iri, (_, predicate) in used.items():
        if iri in world.doubtful:
            continue
        space = _namespace(iri)
        if space in standard:
            if iri not in standard[space] and iri != space and iri not in world.defined:
                unknown[iri] = _nearest(iri, standard[space])
        elif iri.startswith(ROOT) and iri not in world.about:
            unknown[iri] = _nearest_of_ours(world, iri, predicate)
    return unknown


def _nearest(iri: str, known: Iterable[str]) -> str:
    space = _namespace(iri)
    names = {other.removeprefix(space).casefold(): other for other in sorted(known)}
    local = iri.removeprefix(space).casefold()
    close = difflib.get_close_matches(local, names, n=1, cutoff=0.6 if len(local) > 3 else 0.5)
    return names[close[0]] if close else ""


def _nearest_of_ours(world: World, iri: str, predicate: str) -> str:
    """The likeliest thing meant: of the kind that belongs there first, in its own namespace or elsewhere."""
    space = _namespace(iri)
    local = iri.removeprefix(space)
    fitting: set[str] = set()
    for kind in world.names(predicate, f"{RDFS}range") if predicate else ():
        fitting.update(world.of(kind))
    if predicate == TYPE:
        fitting = {thing for thing in world.vocabulary if world.is_class(thing)}
    elif not predicate:
        fitting = {thing for thing in world.vocabulary if world.is_property(thing)}
    for pool in (fitting, world.defined):
        near = [thing for thing in pool if _namespace(thing) == space]
        if found := _nearest(iri, near):
            return found
        same = sorted(thing for thing in pool if thing.startswith(ROOT) and _namespace(thing) + local == thing)
        if same:
            return same[0]
    # Versions of one policy differ only in their day.
    if "#" in iri:
        folder = space.rpartition("/")[0]
        near = [thing for thing in world.defined if thing.startswith(folder) and thing.endswith(f"#{local}")]
        if near:
            return max(near)
    far = {thing: _namespace(thing) for thing in fitting}
    names = {thing.removeprefix(namespace): thing for thing, namespace in sorted(far.items())}
    close = difflib.get_close_matches(local, names, n=1, cutoff=0.75)
    return names[close[0]] if close else ""


@lru_cache(maxsize=1)
def _empty_namespaces(world: World) -> dict[str, list[str]]:
    """Namespaces of ours in which nothing at all is defined, with the unknown terms in them."""
    known = {_namespace(thing) for thing in world.about} | {_namespace(thing) for thing in world.doubtful}
    found: dict[str, list[str]] = defaultdict(list)
    for iri in unknown_terms(world):
        if iri.startswith(ROOT) and _namespace(iri) not in known:
            found[_namespace(iri)].append(iri)
    return found


@rule("error")
def unknown_namespace(world: World) -> Iterator[Fault]:
    """A prefix leads to where nothing is.

    Names that begin with it are defined nowhere: most often the path or the day in the IRI of the prefix is wrong.

    Solution: Correct the `PREFIX` line. What stands in another version is named after the file of that version.

    Example:
        PREFIX kx: <https://w3id.org/chartulary/policy/medicare/ncd-110.24/2021-07-02#>

        :kx-ends
            a pol:Amendment ;
            rdfs:label "KX is no longer required"@en ;
            pol:ends kx:kx-on-administration ;
            pol:effectiveFrom "2030-01-01"^^xsd:date ;
            pol:cites stmt:mm14204.kx.removed .
    """
    spaces = sorted({_namespace(thing) for thing in world.defined if thing.startswith(ROOT)})
    for space, terms in _empty_namespaces(world).items():
        close = difflib.get_close_matches(space, spaces, n=1, cutoff=0.8)
        for file in world.checked:
            if not file.fault and _uses(file, terms):
                shared = {prefix for prefix, namespace in file.prefixes.items() if namespace == space}
                if any(world.shared_prefixes.get(prefix, space) != space for prefix in shared):
                    continue  # prefix-differs says so
                named = f"The prefix {sorted(shared)[0]}: leads" if shared else "This leads"
                statement = _first_use(file, terms)
                yield Fault(
                    *statement,
                    file=file,
                    line=file.prefix_line(sorted(shared)[0]) if shared else 0,
                    message=f"{named} to <{space}>, where nothing is defined",
                    hint=f"did you mean <{close[0]}>?" if close else "",
                )


def _uses(file: TurtleFile, terms: Iterable[str]) -> bool:
    return bool(_first_use(file, terms)[0])


def _first_use(file: TurtleFile, terms: Iterable[str]) -> tuple[str, str | None, Term | None]:
    uses = _all_uses(file, set(terms))
    return min(uses, key=lambda use: file.place(*use)) if uses else ("", None, None)


def _all_uses(file: TurtleFile, terms: set[str]) -> list[tuple[str, str | None, Term | None]]:
    found: list[tuple[str, str | None, Term | None]] = []
    for subject, said in file.about.items():
        for predicate, values in said.items():
            if predicate in terms:
                found.append((subject, predicate, None))
            for value in values:
                if (value.datatype.value if isinstance(value, ox.Literal) else value) in terms:
                    found.append((subject, predicate, value))
    return found


@rule("error")
def unknown_term(world: World) -> Iterator[Fault]:
    """A name is used that nothing defines.

    A misspelt class, property, code, statement or provision is no fault of syntax: it is simply another name, and
    the rule that uses it silently says nothing. Everything of the register stands in one of its files; what only
    your policy needs, in yours.

    Solution: Correct the name (lint tells the nearest that there is), or define the thing.

    Example:
        :hiv-test
            a pol:Shows ;
            rdfs:label "the request has an HIV test"@en ;
            pol:looksAt pol:ClaimItslef ;
            pol:expects document:hiv-serology .
    """
    hidden = set(itertools.chain.from_iterable(_empty_namespaces(world).values()))
    for file in world.checked:
        wrong = {
            prefix
            for prefix, namespace, _ in file.declared()
            if world.shared_prefixes.get(prefix, namespace) != namespace
        }
        elsewhere = tuple(file.prefixes[prefix] for prefix in wrong if file.prefixes.get(prefix))
        by_term: dict[str, list[tuple[str, str | None, Term | None]]] = defaultdict(list)
        if file.fault:
            continue
        unknown = unknown_terms(world)
        for use in _all_uses(file, set(unknown) - hidden):
            subject, predicate, value = use
            term = predicate if value is None else value.datatype.value if isinstance(value, ox.Literal) else value
            if term and not (elsewhere and term.startswith(elsewhere)):
                by_term[term].append(use)
        for term, uses in by_term.items():
            uses.sort(key=lambda use: file.place(*use))
            near = unknown[term]
            also = sorted({file.place(*use)[0] for use in uses} - {file.place(*uses[0])[0]})
            hint = f"did you mean {world.name(near)}?" if near else _how_to_define(world, term, uses[0][1], file)
            if also:
                hint += (
                    f" (also on line{'s' * (len(also) > 1)} {', '.join(map(str, also[:5]))}{', …' * (len(also) > 5)})"
                )
            yield Fault(*uses[0], file=file, message=f"Nothing defines {world.name(term)}", hint=hint)


def _how_to_define(world: World, term: str, predicate: str | None, file: TurtleFile) -> str:
    space = _namespace(term)
    if space.startswith(f"{ROOT}def/"):
        fitting = [each for kind in world.names(predicate or "", f"{RDFS}range") for each in world.of(kind)]
        choice = ", ".join(world.name(each) for each in sorted(fitting))
        return f"it is one of {choice}" if 0 < len(fitting) < 8 else "it is no word of the ontology"
    like = next((thing for thing in sorted(world.defined) if _namespace(thing) == space), "")
    home = world.homes[like][0].path.name if like and file not in world.homes[like] else ""
    return f"define it; others of its kind stand in {home}" if home else "define it, or correct the name"


@rule("error")
def two_kinds(world: World) -> Iterator[Fault]:
    """A thing is of two kinds that exclude each other.

    Nothing is both a statement and a source, a provision and a criterion, or a criterion of two kinds. What is called
    both is judged by the rules for either, and fails those of one.

    Solution: Take out the wrong kind; where two things are meant, give each a name.

    Example:
        :HIV-test
            a pol:DocumentWithin , pol:DocumentResult ;
            rdfs:label "the HIV test is recent, and positive"@en ;
            pol:document document:hiv-serology ;
            pol:lessThanMonths 3 ;
            pol:result result:positive .
    """
    disjoint = [
        _listed(world, heads[0])
        for said in world.of(f"{OWL}AllDisjointClasses")
        if (heads := world.names(said, f"{OWL}members"))
    ]
    for file in world.checked:
        for subject, said in file.about.items():
            if len(world.names(subject, TYPE)) < 2 or TYPE not in said:
                continue
            kinds = world.kinds(subject)
            for apart in disjoint:
                several = [kind for kind in apart if kind in kinds]
                if len(several) > 1:
                    last = max((o for o in said[TYPE]), key=lambda kind: file.place(subject, TYPE, kind))
                    yield Fault(
                        subject,
                        TYPE,
                        last,
                        file=file,
                        message=f"{world.name(subject)} cannot be both "
                        + " and ".join(f"a {world.name(kind)}" for kind in several),
                    )


@rule("error")
def without_kind(world: World) -> Iterator[Fault]:
    """Something is described that is of no kind.

    The kind (`a pol:Provision`) decides how a thing is read. Without one nothing applies to it, and no other rule
    of lint looks at it.

    Solution: Say what it is, in its first line; or correct the name, where it should be that of something that is
    there.

    Example:
        :HIV-test
            rdfs:label "the request has an HIV test"@en ;
            pol:looksAt pol:ClaimItself ;
            pol:expects document:hiv-serology .
    """
    for file in world.checked:
        for subject in file.about if not file.fault else ():
            # A thing of the shipped register may be added to; what nobody gives a kind is meant to be something else.
            if subject.startswith(ROOT) and subject not in world.defined and subject not in world.doubtful:
                others = world.defined - {subject}
                near = _nearest(subject, [thing for thing in others if _namespace(thing) == _namespace(subject)])
                yield Fault(
                    subject,
                    file=file,
                    message=f"{world.name(subject)} has no kind",
                    hint=(f"did you mean {world.name(near)}? Else s" if near else "s")
                    + "ay what it is: a pol:Provision, a pol:Shows, a cod:Code, …",
                )


@rule("error")
def defined_twice(world: World) -> Iterator[Fault]:
    """One name is defined in two places.

    Two things of one name become one thing with all that is said of both: two labels, two scopes, the days of
    either.

    Solution: Give one of them a name of its own, or delete the one that says the same.

    Example:
        criterion:modifier-KX
            a pol:Shows ;
            rdfs:label "modifier KX"@en ;
            pol:expects modifier:KX .
    """
    for file in world.checked:
        for subject, said in file.about.items():
            if TYPE not in said or subject.startswith("_:") or _namespace(subject) in standard_terms():
                continue
            others = [other for other in world.homes[subject] if other is not file and TYPE in other.about[subject]]
            # Where both are checked, the second in the order of files is told.
            if others and all(
                other not in world.checked or world.checked.index(other) < world.checked.index(file) for other in others
            ):
                where = ", ".join(f"{near_end(other.path)}:{other.place(subject)[0]}" for other in others[:3])
                more = f" and {len(others) - 3} more" if len(others) > 3 else ""
                yield Fault(
                    subject,
                    file=file,
                    message=f"{world.name(subject)} is defined elsewhere as well",
                    hint=f"it stands in {where}{more}",
                )
        if not file.fault:
            for subject, line in file.repeated():
                yield Fault(
                    subject,
                    file=file,
                    line=line,
                    message=f"{world.name(subject)} is defined above already",
                    hint=f"it stands in line {file.place(subject)[0]}",
                )


def near_end(path: Path) -> str:
    """The end of a path, enough to know the file by."""
    return "/".join(path.parts[-3:])


@rule("error")
def name_and_place_differ(world: World) -> Iterator[Fault]:
    """A version's name is not that of its file.

    The name of a version is the place of its file after `…/chartulary/policy/`, so that anyone who sees the name in
    an answer finds the file, and suites find the provisions of their policy.

    Solution: Rename the file, or correct the name of the version and the `PREFIX :` line.

    Example:
        <https://w3id.org/chartulary/policy/wellcare-nc/wnc-cp-192/2030-01-02>
            a pol:PolicyVersion ;
            rdfs:label "WNC.CP.192 of January 2030"@en ;
            pol:versionOf <https://w3id.org/chartulary/policy/wellcare-nc/wnc-cp-192> ;
            pol:publishedOn "2030-01-02"^^xsd:date ;
            pol:source source:wellcare-nc-wnc-cp-192 .
    """
    for file in world.checked:
        for subject in file.about:
            if POL.PolicyVersion in world.names(subject, TYPE):
                if not subject.startswith(DATA):
                    yield Fault(
                        subject,
                        file=file,
                        message=f"The version's name does not begin with {DATA}",
                        hint="suites and answers name provisions by what follows it",
                    )
                elif (meant := _meant_name(file)) and not f"/{subject}".endswith(f"/{meant}"):
                    yield Fault(
                        subject,
                        file=file,
                        message=f"The version is called {subject.removeprefix(DATA)}, and its file {meant}",
                        hint="the two are the same, but for .ttl",
                    )


def _meant_name(file: TurtleFile) -> str:
    """What the place of a file says that its version is called; as much of it as is sure."""
    path = file.path.resolve()
    root = next((folder for folder in path.parents if folder.name == "policies"), None)
    if root:
        return path.relative_to(root).with_suffix("").as_posix()
    return path.stem if re.fullmatch(r"\d{4}(-\d\d){0,2}", path.stem) else ""


@rule("error")
def outside_of_its_version(world: World) -> Iterator[Fault]:
    """A provision or amendment belongs to no version.

    A provision is one of the version whose name stands before the `#` of its own. That gives it a policy and a day
    of publication; without, it is known on every day, and belongs to no policy.

    Solution: Name it after the version: `PREFIX :` is the version's name and `#`. Every version is a
    `pol:PolicyVersion`.

    Example:
        <https://w3id.org/chartulary/policy/medicare/ncd-110.24/2019-08-08#office>
            a pol:Provision ;
            rdfs:label "CAR-T administration is told of"@en ;
            pol:scope scope:medicare-claims ;
            pol:about service:car-t-administration ;
            pol:checks clm:Line ;
            pol:cites stmt:mm14204.ncd11024.start .
    """
    told: set[tuple[TurtleFile, str]] = set()
    for file in world.checked:
        for subject, said in file.about.items():
            kinds = said.get(TYPE, [])
            version = subject.partition("#")[0]
            if not {POL.Provision, POL.Amendment}.intersection(kinds) or (file, version) in told:
                continue
            if POL.PolicyVersion in world.names(version, TYPE) or version in world.doubtful or subject.startswith("_:"):
                continue
            told.add((file, version))  # one wrong PREFIX is one fault
            versions = [thing for thing in file.about if POL.PolicyVersion in world.names(thing, TYPE)]
            prefix = next((name for name, namespace in file.prefixes.items() if namespace == f"{version}#"), None)
            hint = f"the version of this file is <{versions[0]}>" if versions else "add the version"
            yield Fault(
                subject,
                file=file,
                line=file.prefix_line(prefix) if versions and prefix is not None else 0,
                message=f"{world.name(subject)} belongs to no version: <{version}> is no pol:PolicyVersion",
                hint=hint,
            )


# --- Values -----------------------------------------------------------------------------------------------------------


def is_day(value: Term) -> bool:
    """Whether a value is a day of the calendar, written as one."""
    return (
        isinstance(value, ox.Literal) and value.datatype.value == f"{XSD}date" and _python_day(value.value) is not None
    )


def _python_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) else None
    except ValueError:
        return None


_WELL_WRITTEN: dict[str, tuple[Callable[[str], object], str]] = {
    f"{XSD}date": (_python_day, "day"),
    f"{XSD}integer": (re.compile(r"[+-]?\d+").fullmatch, "whole number"),
    f"{XSD}decimal": (re.compile(r"[+-]?(\d+\.?\d*|\.\d+)").fullmatch, "number"),
    f"{XSD}boolean": (re.compile("true|false|1|0").fullmatch, "true or false"),
}


@rule("error")
def impossible_value(world: World) -> Iterator[Fault]:
    """A value is no value of its kind: there is no such day, or it is no number.

    A day is written year, month, day: `"2025-06-26"^^xsd:date`. What does not stand in the calendar is a slip, and
    the register refuses the file.

    Solution: Look into the source, and write the day that it gives. Where it gives only a month, write the bounds.

    Example:
        :version-told
            a pol:Source ;
            rdfs:label "A bulletin"@en ;
            pol:publishedOn "2025-02-30"^^xsd:date ;
            pol:verificationStatus pol:Verified .
    """
    for file in world.checked:
        for subject, predicate, value in _literals(file):
            form, noun = _WELL_WRITTEN.get(value.datatype.value, (bool, ""))
            if noun and not form(value.value):
                yield Fault(
                    subject,
                    predicate,
                    value,
                    file=file,
                    message=f"“{value.value}” is no {noun}",
                    hint=_about_the_day(value.value) if noun == "day" else "",
                )


def _about_the_day(text: str) -> str:
    if not (parts := re.fullmatch(r"(\d{4})-(\d{1,2})-(\d{1,2})", text)):
        other = re.fullmatch(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})", text)
        return "a day is written yyyy-mm-dd" + (f": {other[3]}-{other[1]:0>2}-{other[2]:0>2}?" if other else "")
    year, month, day = (int(part) for part in parts.groups())
    if not 1 <= month <= 12:
        swapped = f"; is it {year:04}-{day:02}-{month:02}?" if 1 <= day <= 12 and 1 <= month <= 31 else ""
        return f"there is no month {month}{swapped}"
    if year < 1:
        return "there is no year 0"
    last = (date(year + month // 12, month % 12 + 1, 1) - ONE_DAY).day
    if not 1 <= day <= last:
        return f"that month has {last} days"
    return f"a day is written yyyy-mm-dd: {year:04}-{month:02}-{day:02}"


def _literals(file: TurtleFile) -> Iterator[tuple[str, str, ox.Literal]]:
    for subject, said in file.about.items():
        for predicate, values in said.items():
            for value in values:
                if isinstance(value, ox.Literal):
                    yield subject, predicate, value


@lru_cache(maxsize=1)
def _classes(world: World) -> dict[tuple[str, str], frozenset[str]]:
    """For each property's domain and range: the classes that fit, unions spelt out."""
    found = {}
    for term in world.vocabulary | {SKOS.broader, SKOS.inScheme, IS_PART_OF}:
        for side in ("domain", "range"):
            kinds: set[str] = set()
            for kind in world.names(term, f"{RDFS}{side}"):
                kinds.update(_union(world, kind))
            if kinds:
                found[term, side] = frozenset(kinds)
    return found


def _union(world: World, kind: str) -> list[str]:
    members = world.names(kind, f"{OWL}unionOf") or [
        each for same in world.names(kind, f"{OWL}equivalentClass") for each in world.names(same, f"{OWL}unionOf")
    ]
    if not members:
        return [kind]
    return _listed(world, members[0])


def _listed(world: World, cell: str) -> list[str]:
    """The names in an RDF list."""
    listed: list[str] = []
    while cell != f"{RDF}nil" and cell in world.about:
        listed += world.names(cell, f"{RDF}first")
        cell = next(iter(world.names(cell, f"{RDF}rest")), f"{RDF}nil")
    return listed


@rule("error")
def misplaced_property(world: World) -> Iterator[Fault]:
    """A property stands on a thing that does not have it.

    Each property belongs to things of some kind (its domain in the ontology). On another it means nothing, and what
    was meant to be said is not said.

    Solution: Put it on the thing that it describes, or use the property of that kind.

    Example:
        :heart-test
            a cod:Code ;
            rdfs:label "heart test"@en ;
            skos:inScheme scheme:finding ;
            pol:atMostMonths 6 .
    """
    for file in world.checked:
        for subject, said in file.about.items():
            kinds = world.kinds(subject)
            if not kinds.intersection(world.vocabulary):
                continue
            for predicate in said:
                domain = _classes(world).get((predicate, "domain"))
                if domain and not domain & kinds:
                    yield Fault(
                        subject,
                        predicate,
                        said[predicate][0],
                        file=file,
                        message=f"{world.name(predicate)} belongs to {_kind_names(world, domain)}; "
                        f"{world.name(subject)} is {_kind_names(world, set(world.names(subject, TYPE)))}",
                    )


def _kind_names(world: World, kinds: Iterable[str]) -> str:
    return " or ".join(f"a {world.name(kind)}" for kind in sorted(kinds))


@rule("error")
def wrong_kind_of_value(world: World) -> Iterator[Fault]:
    """A property is given a value of the wrong kind.

    Some properties name a thing (no quotation marks), some hold text, a number, or true or false; each names things
    of one kind (its range in the ontology).

    Solution: Write the value as the property asks for it.

    Example:
        criterion:example-waiver
            a pol:Shows ;
            rdfs:label "a waiver"@en ;
            rdfs:comment "The payer does not ask for it."@en ;
            pol:expects finding:trial ;
            pol:presumed "yes" .
    """
    plain = {f"{XSD}string", f"{RDF}langString"}
    for file in world.checked:
        for subject, said in file.about.items():
            for predicate, values in said.items():
                kinds = set(world.names(predicate, TYPE))
                ranges = _classes(world).get((predicate, "range"), frozenset())
                for value in values:
                    fault = hint = ""
                    if isinstance(value, ox.Literal):
                        datatype = value.datatype.value
                        if f"{OWL}ObjectProperty" in kinds:
                            fault, hint = (
                                "names a thing, and this is text",
                                "write it without quotation marks, with its prefix",
                            )
                        elif ranges and not datatype_fits(datatype, ranges):
                            fault = f"is {_noun(ranges)}"
                            hint = f"“{value.value}” is {'text' if datatype in plain else world.name(datatype)}"
                        elif kinds and not ranges and datatype in plain and _is_day_property(world, predicate):
                            fault, hint = "is a day, and this is text", "end it with ^^xsd:date"
                    elif f"{OWL}DatatypeProperty" in kinds or predicate in (LABEL, COMMENT):
                        fault, hint = "holds text or a number, and this is a name", "put the text into quotation marks"
                    elif ranges and _ours(ranges) and kind_known(world, value) and not world.kinds(value) & ranges:
                        fault = f"names {_kind_names(world, ranges)}"
                        hint = f"{world.name(value)} is {_kind_names(world, set(world.names(value, TYPE)))}"
                    if fault:
                        yield Fault(
                            subject, predicate, value, file=file, message=f"{world.name(predicate)} {fault}", hint=hint
                        )


def kind_known(world: World, thing: str) -> bool:
    """False where nothing says what a thing is, or a misspelt word does: that is told there."""
    kinds = world.names(thing, TYPE)
    return bool(kinds) and not unknown_terms(world).keys() & set(kinds)


def _ours(kinds: Iterable[str]) -> bool:
    return all(kind.startswith(ROOT) for kind in kinds)


def datatype_fits(datatype: str, ranges: frozenset[str]) -> bool:
    """Whether a literal of the type is one of the property's; words may be in a language."""
    if datatype in ranges or (datatype == f"{XSD}integer" and f"{XSD}decimal" in ranges):
        return True
    return not any(kind.startswith(XSD) for kind in ranges)


def _noun(ranges: Iterable[str]) -> str:
    return " or ".join(_WELL_WRITTEN.get(kind, (bool, "plain text"))[1] for kind in sorted(ranges))


def _is_day_property(world: World, predicate: str) -> bool:
    return predicate.startswith(str(POL)) and bool(re.search(r"(On|From|Until|Earliest|Latest)$|#before$", predicate))


@rule("error")
def code_does_not_fit_its_system(world: World) -> Iterator[Fault]:
    """A code is not written as codes of its system are.

    A claim's code is looked up by how it is written, leading zeros and dots included. A code that is written
    otherwise is never found on a claim.

    Solution: Write the code (`skos:notation`, and the end of its name) as a claim sends it: `0636`, not `636`.

    Example:
        revenue:636
            a cod:Code ;
            rdfs:label "revenue code 0636"@en ;
            skos:inScheme scheme:revenue ;
            skos:notation "636" .
    """
    for file in world.checked:
        for subject, said in file.about.items():
            for scheme in (o for o in said.get(SKOS.inScheme, ()) if isinstance(o, str)):
                pattern = world.text(scheme, COD.pattern)
                for notation in said.get(SKOS.notation, ()):
                    if not isinstance(notation, ox.Literal) or not pattern or _fits(pattern, notation.value):
                        continue
                    yield Fault(
                        subject,
                        SKOS.notation,
                        notation,
                        file=file,
                        message=f"“{notation.value}” is written like no code of {world.text(scheme, LABEL)}",
                        hint=f"{world.name(scheme)} has the pattern {pattern}",
                    )


def _fits(pattern: str, text: str) -> bool:
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error:
        return True

"""What lint looks at: the Turtle files of PATH, the register they are read in, and where in a file something stands."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pyoxigraph as ox

from chartulary.errors import ChartularyError
from chartulary.register import data_folder
from chartulary.terms import ROOT, SKOS, TYPE

if TYPE_CHECKING:
    from rdflib import BNode, Literal, URIRef

    from chartulary.turtle import Document

Term: TypeAlias = "str | ox.Literal"
"""An IRI, a blank node (``_:…``) or a literal."""

OWL = "http://www.w3.org/2002/07/owl#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
XSD = "http://www.w3.org/2001/XMLSchema#"
DATA = f"{ROOT}policy/"
_PREFIX = re.compile(r"^[ \t]*@?prefix[ \t]+([^\s:]*):\s*<([^>\s]*)>", re.IGNORECASE | re.MULTILINE)
_FIRST_WORDS = {"a", "an", "it", "no", "nothing", "only", "the", "this"}
_NAME = re.compile(r"<([^<>\s]+)>|([A-Za-z][\w.-]*)?:([\w%][\w.%-]*)")
NAME = re.compile("\u27e6(.*?)\u27e7")
"""A name in a message, before it is known which file that is about."""
_KINDS = (f"{OWL}Class", f"{OWL}ObjectProperty", f"{OWL}DatatypeProperty", f"{OWL}AnnotationProperty")


@dataclass(eq=False)
class TurtleFile:
    """One file as read; where it cannot be, ``fault`` says why and the rest of it is not known."""

    path: Path
    text: str
    about: dict[str, dict[str, list[Term]]] = field(default_factory=dict)
    """Subject, predicate, objects."""
    prefixes: dict[str, str] = field(default_factory=dict)
    fault: tuple[str, int, int, str] | None = None
    """Rule, line, column, what is wrong."""
    mark: bool = False
    """True where it begins with a byte order mark, which no Turtle parser of the register takes."""

    @cached_property
    def mentions(self) -> frozenset[str]:
        """Every IRI that stands anywhere in the text: what a file that cannot be parsed may define."""
        named = set()
        for iri, prefix, local in _NAME.findall(self.text):
            if iri:
                named.add(iri)
            elif (prefix or "") in self.prefixes:
                named.add(self.prefixes[prefix or ""] + local.rstrip("."))
        return frozenset(named)

    def prefix_line(self, prefix: str) -> int:
        """The line that declares a prefix, the last where there are several."""
        lines = [_line_at(self.text, m.start(1)) for m in _PREFIX.finditer(self.text) if m[1] == prefix]
        return lines[-1] if lines else 1

    def declared(self) -> list[tuple[str, str, int]]:
        """Prefix, namespace and line of each declaration."""
        return [(m[1], m[2], _line_at(self.text, m.start(1))) for m in _PREFIX.finditer(self.text)]

    def place(self, subject: str, predicate: str | None = None, value: Term | None = None) -> tuple[int, int]:
        """Line and column (from 1) where something is stated, as near as is known."""
        known = self._document.place_of(*map(_for_rdflib, (subject, predicate, value))) if self._document else None
        return (known.line, known.column) if known else (1, 1)

    def repeated(self) -> list[tuple[str, int]]:
        """Things that the file gives a kind more than once, with the line of each time but the first."""
        seen, found = set(), []
        for block in self._document.blocks if self._document else ():
            subject = str(block.subject)
            if subject in self.about and any(str(predicate.term) == TYPE for predicate in block.predicates):
                if subject in seen:
                    found.append((subject, block.line))
                seen.add(subject)
        return found

    def nameless_line(self) -> int:
        """The line of the first thing that stands by itself without a name."""
        from rdflib import BNode

        blocks = self._document.blocks if self._document else ()
        return next((block.line for block in blocks if isinstance(block.subject, BNode)), 1)

    @cached_property
    def _document(self) -> Document | None:
        from chartulary.turtle import TurtleFault, read

        try:
            return read(self.text, source=str(self.path))
        except TurtleFault:
            return None


def _for_rdflib(term: Term | None) -> URIRef | BNode | Literal | None:
    from rdflib import BNode, Literal, URIRef

    if isinstance(term, ox.Literal):
        plain = term.language or term.datatype.value == f"{XSD}string"
        return Literal(term.value, lang=term.language, datatype=None if plain else URIRef(term.datatype.value))
    # What is in square brackets has no name to look it up by: a new blank node is found nowhere.
    return None if term is None else BNode() if term.startswith("_:") else URIRef(term)


def triple(subject: str, predicate: str, value: Term) -> ox.Triple:
    """A statement as the RDF library has it."""
    return ox.Triple(_node(subject), ox.NamedNode(predicate), value if isinstance(value, ox.Literal) else _node(value))


def _node(term: str) -> ox.NamedNode | ox.BlankNode:
    return ox.BlankNode(term[2:]) if term.startswith("_:") else ox.NamedNode(term)


def n_triples(triples: Iterable[ox.Triple]) -> bytes:
    """Statements as N-Triples."""
    return ox.serialize(triples, format=ox.RdfFormat.N_TRIPLES) or b""


def _line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def read_file(path: Path, text: str | None = None) -> TurtleFile:
    """One Turtle file, or what an editor has of it. Whatever is wrong with it stands in ``fault``.

    A file is read again where it has changed: an editor, and a run that watches, lint over and over.

    Raises:
        ChartularyError: it cannot be opened.
    """
    if text is not None:
        return _read_file(path, text)
    try:
        state = path.stat()
    except OSError as fault:
        raise ChartularyError(f"{path}: {fault.strerror}") from None
    return _kept(path, (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=1000)
def _kept(path: Path, _: tuple[int, int]) -> TurtleFile:
    return _read_file(path, None)


def _read_file(path: Path, text: str | None) -> TurtleFile:
    if text is None:
        try:
            content = path.read_bytes()
        except OSError as fault:
            raise ChartularyError(f"{path}: {fault.strerror}") from None
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as fault:
            line = content.count(b"\n", 0, fault.start) + 1
            column = fault.start - content.rfind(b"\n", 0, fault.start)
            told = f"The byte {content[fault.start]:#04x} is no UTF-8"
            if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
                told = "The file is UTF-16, not UTF-8"
            file = TurtleFile(path, content.decode("latin-1"), fault=("encoding", line, column, told))
            file.prefixes = {prefix: namespace for prefix, namespace, _ in file.declared()}
            return file
    mark = text.startswith("\ufeff")
    file = TurtleFile(path, text.removeprefix("\ufeff"), mark=mark)
    parser = ox.parse(file.text, format=ox.RdfFormat.TURTLE)
    try:
        for quad in parser:
            subject, predicate, value = (_plain(term) for term in (quad.subject, quad.predicate, quad.object))
            values = file.about.setdefault(str(subject), {}).setdefault(str(predicate), [])
            if value not in values:
                values.append(value)
        file.prefixes = dict(parser.prefixes)
    except SyntaxError as fault:
        file.about = {}
        file.prefixes = {prefix: namespace for prefix, namespace, _ in file.declared()}
        file.fault = _syntax_fault(file, fault)
    return file


def _plain(term: object) -> Term:
    if isinstance(term, ox.NamedNode):
        return term.value
    return term if isinstance(term, ox.Literal) else str(term)


def _syntax_fault(file: TurtleFile, fault: SyntaxError) -> tuple[str, int, int, str]:
    """In words that an author can act on; the fast parser's own where ours sees nothing wrong."""
    from chartulary.turtle import TurtleFault, read

    try:
        read(file.text, source=str(file.path))
    except TurtleFault as told:
        return "syntax", told.line, told.column, _sentence(told.message)
    said = re.sub(r"^Parser error at [^:]*: | \(line \d+\)$", "", str(fault))
    return "syntax", fault.lineno or 1, fault.offset or 1, _sentence(said)


def _sentence(text: str) -> str:
    # A name that an author wrote stays as it is.
    return text[:1].upper() + text[1:] if text.partition(" ")[0] in _FIRST_WORDS else text


# --- Which files ------------------------------------------------------------------------------------------------------


def turtle_files(path: Path) -> list[Path]:
    """The Turtle files that a PATH means: itself, or all below it; of a whole checkout its ``policies``.

    Raises:
        ChartularyError: there is no such file or folder, or it is no Turtle.
    """
    if path.is_dir():
        inner = path / "policies"
        folder = inner if next(inner.rglob("*.ttl"), None) else path
        return [file for file in sorted(folder.rglob("*.ttl")) if file.is_file()]
    if not path.exists():
        raise ChartularyError(f"{path}: no such file or folder")
    if path.suffix not in (".ttl", ".toml"):
        raise ChartularyError(f"{path}: lint reads Turtle files (.ttl) and suite.toml")
    return [path] if path.suffix == ".ttl" else []


def policies_folder(path: Path) -> Path | None:
    """The nearest folder around (or at) PATH that is called ``policies``: what stands in it is read together."""
    return next((folder for folder in (path, *path.parents) if folder.name == "policies" and folder.is_dir()), None)


class World:
    """The files of PATH, and everything that what stands in them may speak of."""

    def __init__(self, checked: list[TurtleFile], ground: list[TurtleFile]) -> None:
        self.checked = checked
        self.files = [*ground, *checked]
        self.about: dict[str, dict[str, list[Term]]] = {}
        self.homes: dict[str, list[TurtleFile]] = defaultdict(list)
        for file in self.files:
            for subject, said in file.about.items():
                self.homes[subject].append(file)
                known = self.about.setdefault(subject, {})
                for predicate, values in said.items():
                    # Lists are those of the files, so none is ever changed.
                    known[predicate] = list(dict.fromkeys(known[predicate] + values)) if predicate in known else values
        self.doubtful = frozenset[str]().union(*(file.mentions for file in self.files if file.fault))
        """What a file that cannot be read may define: nothing is said of it."""

    def objects(self, subject: str, predicate: str) -> list[Term]:
        return self.about.get(subject, {}).get(predicate, [])

    def names(self, subject: str, *predicates: str) -> list[str]:
        """The IRIs among the objects."""
        return [o for p in predicates for o in self.objects(subject, p) if isinstance(o, str)]

    def text(self, subject: str, predicate: str) -> str:
        """The first literal's text, or nothing."""
        return next((o.value for o in self.objects(subject, predicate) if isinstance(o, ox.Literal)), "")

    def day(self, subject: str, predicate: str) -> date | None:
        for value in self.objects(subject, predicate):
            if isinstance(value, ox.Literal):
                try:
                    return date.fromisoformat(value.value)
                except ValueError:
                    return None
        return None

    @cached_property
    def members(self) -> dict[str, list[str]]:
        """Things by their class, narrower classes included."""
        found: dict[str, list[str]] = defaultdict(list)
        for subject in self.about:
            for kind in self.kinds(subject):
                found[kind].append(subject)
        return found

    def of(self, kind: str) -> list[str]:
        return self.members.get(kind, [])

    def here(self, *kinds: str) -> list[str]:
        """Things of some kinds that a checked file speaks of."""
        own = {subject: self.kinds(subject) for file in self.checked for subject in file.about}
        return [subject for kind in kinds for subject in own if kind in own[subject]]

    def kinds(self, subject: str) -> set[str]:
        """Every class of a thing, wider ones included."""
        return {wider for kind in self.names(subject, TYPE) for wider in self.wider(kind)}

    def wider(self, kind: str) -> frozenset[str]:
        known = self._wider.get(kind)
        if known is None:
            known = self._wider[kind] = frozenset(self._climb(kind, f"{RDFS}subClassOf"))
        return known

    @cached_property
    def _wider(self) -> dict[str, frozenset[str]]:
        return {}

    def within(self, thing: str) -> frozenset[str]:
        """The thing, all that is broader, and the code system on top."""
        known = self._within.get(thing)
        if known is None:
            broader = set(self._climb(thing, SKOS.broader))
            known = self._within[thing] = frozenset(broader.union(self.names(thing, SKOS.inScheme)))
        return known

    @cached_property
    def _within(self) -> dict[str, frozenset[str]]:
        return {}

    def meet(self, one: str, other: str) -> bool:
        """Whether something can be within both: one of them is within the other."""
        return one in self.within(other) or other in self.within(one)

    def _climb(self, start: str, predicate: str) -> Iterable[str]:
        seen, waiting = {start}, [start]
        while waiting:
            for wider in self.names(waiting.pop(), predicate):
                if wider not in seen:
                    seen.add(wider)
                    waiting.append(wider)
        return seen

    @cached_property
    def users(self) -> dict[str, list[tuple[str, str]]]:
        """Subjects and predicates that name a thing."""
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for subject, said in self.about.items():
            for predicate, values in said.items():
                for value in values:
                    if isinstance(value, str):
                        found[value].append((subject, predicate))
        return found

    @cached_property
    def defined(self) -> frozenset[str]:
        """Everything that a file says something of, and gives a kind."""
        return frozenset(subject for subject, said in self.about.items() if TYPE in said)

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Classes, properties and choices of the ontology."""
        return frozenset(subject for subject in self.defined if subject.startswith(f"{ROOT}def/"))

    def is_property(self, iri: str) -> bool:
        return bool(set(self.names(iri, TYPE)).intersection(_KINDS[1:]))

    def is_class(self, iri: str) -> bool:
        return _KINDS[0] in self.names(iri, TYPE)

    def in_path(self, subject: str) -> bool:
        return any(file in self._checked for file in self.homes.get(subject, ()))

    @cached_property
    def _checked(self) -> set[TurtleFile]:
        return set(self.checked)

    @cached_property
    def shared_prefixes(self) -> dict[str, str]:
        text = (data_folder("ontology") / "prefixes.ttl").read_text(encoding="utf-8")
        return {prefix: namespace for prefix, namespace in _pairs(text) if prefix}

    @staticmethod
    def name(iri: str) -> str:
        """A name in a message: it is written in the words of the file that the message is about (``NAME``)."""
        return f"\u27e6{iri}\u27e7"

    def short(self, iri: str, file: TurtleFile | None = None) -> str:
        """As an author would write it in the file; what stands in another version, as a suite names it."""
        if iri.startswith("_:"):
            return "[]"
        for prefixes in (file.prefixes if file else {}, self.shared_prefixes):
            fitting = [
                f"{prefix}:{iri[len(namespace) :]}"
                for prefix, namespace in prefixes.items()
                if namespace and iri.startswith(namespace) and not re.search("[/#<>]", iri[len(namespace) :])
            ]
            if fitting:
                return min(fitting, key=len)
        return iri.removeprefix(DATA) if iri.startswith(DATA) else f"<{iri}>"


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(m[1], m[2]) for m in _PREFIX.finditer(text)]


def _without_copies(ground: list[TurtleFile], checked: list[TurtleFile]) -> list[TurtleFile]:
    """The ground without what is checked, be it the same file or a copy that somebody works on.

    A copy says something of the same things as the file it comes from, but for a few.
    """
    homes: dict[str, list[TurtleFile]] = defaultdict(list)
    for file in ground:
        for subject in file.about:
            if not subject.startswith("_:"):
                homes[subject].append(file)
    copied = set()
    for file in checked:
        named = file.mentions if file.fault else [s for s in file.about if not s.startswith("_:")]
        shared: dict[TurtleFile, int] = defaultdict(int)
        for subject in named:
            for home in homes.get(subject, ()):
                shared[home] += 1
        for home, count in shared.items():
            there = sum(not subject.startswith("_:") for subject in home.about)
            if file.fault:
                # Whatever a broken file names it may only use: it is a copy where it names nearly all.
                close = home.path.name == file.path.name and count * 10 >= there * 9
            else:
                close = count * 2 > max(there, len(file.about))
            if close:
                copied.add(home)
    return [file for file in ground if file not in copied]


def read_world(
    paths: list[Path], *, policies: Path | None = None, unsaved: Mapping[Path, str] | None = None
) -> tuple[World, list[Path]]:
    """The files of all PATHs in the shipped register, and the folders that count as roots of policies.

    Raises:
        ChartularyError: a path does not exist or cannot be read.
    """
    texts = {path.resolve(): text for path, text in (unsaved or {}).items()}
    wanted: dict[Path, Path] = {}
    for path in paths:
        for file in turtle_files(path):
            wanted.setdefault(file.resolve(), file)
    shipped = data_folder("policies")
    roots = [shipped]
    for folder in (policies, *(policies_folder(path.resolve()) for path in paths)):
        if folder and folder.resolve() not in (root.resolve() for root in roots):
            if not folder.is_dir():
                raise ChartularyError(f"{folder}: no such folder of policies")
            roots.append(folder)
    files = [read_file(file, texts.get(resolved)) for resolved, file in wanted.items()]
    checked = list(files)
    # What is nearer to the author comes first: a copy of a shipped file stands in its place.
    for folder in (*roots[1:], shipped, data_folder("ontology")):
        around = [path for path in sorted(folder.rglob("*.ttl")) if path.resolve() not in wanted]
        wanted.update((path.resolve(), path) for path in around)
        files += _without_copies([read_file(path, texts.get(path.resolve())) for path in around], files)
    return World(checked, files[len(checked) :]), roots

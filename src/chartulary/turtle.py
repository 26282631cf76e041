"""Turtle 1.1 as authors write it: read with the place of everything, its comments, and faults to mend."""

from __future__ import annotations

import difflib
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import pairwise
from typing import NoReturn
from urllib.parse import urljoin

from rdflib import RDF, XSD, BNode, Graph, Literal, URIRef

from chartulary.errors import ChartularyError

Term = URIRef | BNode | Literal
Subject = URIRef | BNode
Triple = tuple[Subject, URIRef, Term]


class TurtleFault(ChartularyError):
    """What is no Turtle, and where. ``str()`` gives ``source:line:column: message``."""

    def __init__(self, message: str, *, source: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.source = source
        self.line = line
        self.column = column

    def __str__(self) -> str:
        place = f"{self.line}:{self.column}"
        return f"{self.source}:{place}: {self.message}" if self.source else f"{place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, both from 1; columns count characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Object:
    """An object as written once."""

    term: Term
    place: Place
    comment: str = ""
    """The comment behind it on its line, with its ``#``."""

    @property
    def line(self) -> int:
        return self.place.line


@dataclass(frozen=True, slots=True)
class Predicate:
    """A predicate as written once, with its objects."""

    term: URIRef
    place: Place
    objects: tuple[Object, ...]
    comments: tuple[str, ...] = ()
    """The lines of comment directly above it."""

    @property
    def line(self) -> int:
        return self.place.line


@dataclass(frozen=True, slots=True)
class Block:
    """A statement of the file: everything up to its full stop. A subject may have several."""

    subject: Subject
    place: Place
    predicates: tuple[Predicate, ...]
    comments: tuple[str, ...] = ()
    """The lines of comment above the subject, and the one beside it."""

    @property
    def line(self) -> int:
        return self.place.line


@dataclass(frozen=True, slots=True)
class Loose:
    """A comment that stands at nothing that it could belong to."""

    place: Place
    text: str
    where: str
    """Words that say where it stands, after "this comment stands"."""


@dataclass(frozen=True)
class Document:
    """A Turtle file as it is written."""

    source: str
    prefixes: dict[str, str]
    """By name, without the colon, as they are at the end of the file."""
    blocks: tuple[Block, ...]
    head: tuple[str, ...] = ()
    """The lines of comment before anything else; an empty line between two groups is an empty text."""
    loose: tuple[Loose, ...] = ()
    triples: tuple[tuple[Triple, Place], ...] = field(default=(), repr=False)
    """All that is said, with what stands in brackets and lists, in the order of the file."""

    def graph(self) -> Graph:
        """The same as a new RDF graph. Blank nodes are those of this document."""
        graph = Graph(bind_namespaces="none")
        for triple, _ in self.triples:
            graph.add(triple)
        return graph

    @cached_property
    def _places(self) -> dict[tuple[Term, ...], Place]:
        places: dict[tuple[Term, ...], Place] = {}
        for block in self.blocks:
            places.setdefault((block.subject,), block.place)
            for predicate in block.predicates:
                places.setdefault((block.subject, predicate.term), predicate.place)
        for triple, place in self.triples:
            for known in (triple, triple[:2], triple[:1]):
                places.setdefault(known, place)
        return places

    def place_of(self, subject: Term | None, predicate: Term | None = None, object: Term | None = None) -> Place | None:
        """Where this is stated; else where the predicate first is, else where the subject is; else nothing."""
        known = tuple(term for term in (subject, predicate, object) if term is not None)
        while known:
            if place := self._places.get(known):
                return place
            known = known[:-1]
        return None

    def line_of(self, subject: Term | None, predicate: Term | None = None, object: Term | None = None) -> int | None:
        """The line of ``place_of``."""
        place = self.place_of(subject, predicate, object)
        return place.line if place else None


@cache
def shared_prefixes() -> Mapping[str, str]:
    """The prefixes of ``ontology/prefixes.ttl`` by name, without those of a file's own (``:``)."""
    from chartulary.register import data_folder

    text = (data_folder("ontology") / "prefixes.ttl").read_text(encoding="utf-8")
    return {name: iri for name, iri in read(text).prefixes.items() if name}


def read(text: str, *, source: str = "", base: str = "") -> Document:
    """Reads a Turtle file.

    ``source`` is its name in faults. ``base`` completes relative IRIs; without one they stay as they are written.
    Raises ``TurtleFault`` at the first thing that is no Turtle.
    """
    parser = _Parser(text, source, base)
    try:
        return parser.document()
    except RecursionError:
        raise parser.fault("brackets are nested too deeply here") from None


# --- Tokens -----------------------------------------------------------------------------------------------------------

_BASE = (
    "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c-\u200d\u2070-\u218f\u2c00-\u2fef"
    "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_CHARS = _BASE + "_0-9\u00b7\u0300-\u036f\u203f-\u2040\\-"
_ESCAPED = r"%[0-9A-Fa-f]{2}|\\[_~.\-!$&'()*+,;=/?#@%]"
_NAME = rf"[{_BASE}](?:[{_CHARS}]|\.(?=\.*[{_CHARS}]))*+"
_LOCAL = rf"(?:[{_BASE}_:0-9]|{_ESCAPED})(?:[{_CHARS}:]|{_ESCAPED}|\.(?=\.*(?:[{_CHARS}:]|{_ESCAPED})))*+"

_KINDS = {
    "space": r"[ \t\r\n]++",
    "comment": r"#[^\r\n]*+",
    "pname": rf"(?:{_NAME})?:(?:{_LOCAL})?",
    "iri": r'<[^\x00-\x20<>"{}|^`]*+>',
    "long": r'''"""(?:[^"\\]|\\.|"(?!""))*+"""''' + "|" + r"""'''(?:[^'\\]|\\.|'(?!''))*+'''""",
    "open": '"""' + "|" + "'''",
    "short": r'"(?:[^"\\\r\n]|\\[^\r\n])*+"' + "|" + r"'(?:[^'\\\r\n]|\\[^\r\n])*+'",
    "double": r"[+-]?(?:[0-9]++\.[0-9]*+|\.?[0-9]++)[eE][+-]?[0-9]++",
    "decimal": r"[+-]?[0-9]*+\.[0-9]++",
    "integer": r"[+-]?[0-9]++",
    "sign": r"\^\^|[.;,\[\]()]",
    "lang": r"@[A-Za-z]++(?:-[A-Za-z0-9]++)*+",
    "blank": rf"_:[{_BASE}_0-9](?:[{_CHARS}]|\.(?=\.*[{_CHARS}]))*+",
    "word": _NAME,
    "bad": ".",
}
_TOKEN = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _KINDS.items()), re.DOTALL)
_PLAIN_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_TEXTS = ("short", "long")
_BAD = ("bad", "open")
_NUMBERS = {"integer": XSD.integer, "decimal": XSD.decimal, "double": XSD.double}
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_CHARACTERS = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
_NOT_IN_IRIS = re.compile(r'[\x00-\x20<>"{}|^`\\]')
_TYPOGRAPHIC = "\u201c\u201d\u201e\u201f\u2018\u2019\u00ab\u00bb"


class _Parser:
    """One pass over a file. ``self.at`` is the token looked at: its number in ``kinds``, ``texts`` and ``offsets``."""

    def __init__(self, text: str, source: str, base: str) -> None:
        self.text = text.removeprefix("\ufeff")
        self.source = source
        self.base = base
        self.prefixes: dict[str, str] = {}
        self.names: dict[str, URIRef] = {}
        self.literals: dict[tuple[str, str | None, str | None], Literal] = {}
        self.blanks: dict[str, BNode] = {}
        self.triples: list[tuple[Triple, Place]] = []
        self.kinds: list[str] = []
        self.texts: list[str] = []
        self.offsets: list[int] = []
        self.above: dict[int, list[tuple[str, int]]] = {}
        """Comments on lines of their own, with their offsets, by the token that follows."""
        self.beside: dict[int, list[tuple[str, int]]] = {}
        """Comments behind something, likewise."""
        self.lines = [0, *(found.end() for found in re.finditer("\n", self.text))]
        self.at = 0
        self.first = 0
        """The token that the statement began with."""
        for found in _TOKEN.finditer(self.text):
            kind = found.lastgroup or ""
            if kind == "space":
                continue
            if kind == "comment":
                offset = found.start()
                line = self.lines[bisect_right(self.lines, offset) - 1]
                comments = self.beside if self.text[line:offset].strip() else self.above
                comments.setdefault(len(self.kinds), []).append((found.group().rstrip(), offset))
                continue
            self.kinds.append(kind)
            self.texts.append(found.group())
            self.offsets.append(found.start())
        self.kinds.append("end")
        self.texts.append("")
        self.offsets.append(len(self.text))

    def document(self) -> Document:
        blocks = []
        head = self.head()
        last = len(self.kinds) - 1
        while self.at < last:
            self.first = self.at
            if not self.directive():
                blocks.append(self.block())
        return Document(
            source=self.source,
            prefixes=self.prefixes,
            blocks=tuple(blocks),
            head=head,
            loose=tuple(self.loose()),
            triples=tuple(self.triples),
        )

    # --- Comments ---

    def head(self) -> tuple[str, ...]:
        """Takes the comments before everything: all of them before a prefix, else those with an empty line behind."""
        comments = self.above.pop(0, [])
        groups: list[list[tuple[str, int]]] = []
        for text, offset in comments:
            line = self.place(offset).line
            if groups and self.place(groups[-1][-1][1]).line == line - 1:
                groups[-1].append((text, offset))
            else:
                groups.append([(text, offset)])
        if groups and not self.is_directive(0) and self.kinds[0] != "end":
            below = groups[-1]
            if self.place(below[-1][1]).line == self.place(self.offsets[0]).line - 1:
                self.above[0] = groups.pop()
        head: list[str] = []
        for group in groups:
            head += ["", *(text for text, _ in group)] if head else [text for text, _ in group]
        return tuple(head)

    def comments_above(self) -> tuple[str, ...]:
        found = self.above.pop(self.at, None)
        return tuple(text for text, _ in found) if found else ()

    def comment_beside(self) -> str:
        """The comment behind the object before this token: before or behind the sign that follows it."""
        for at in (self.at, self.at + 1):
            if found := self.beside.get(at):
                text = found.pop(0)[0]
                if not found:
                    del self.beside[at]
                return text
            if self.texts[self.at] not in (",", ";", "."):
                break
        return ""

    def loose(self) -> Iterator[Loose]:
        """What nothing took."""
        left = [
            (offset, text, at) for at, found in (*self.above.items(), *self.beside.items()) for text, offset in found
        ]
        for offset, text, at in sorted(left):
            if self.kinds[at] == "end":
                where = "below the last statement"
            elif (
                self.is_directive(at)
                or at >= 2
                and self.is_directive(at - 1 if self.kinds[at - 1] == "word" else at - 3)
            ):
                where = "among the prefixes"
            else:
                where = "inside a statement, not behind an object nor above a predicate"
            yield Loose(self.place(offset), text, where)

    # --- Statements ---

    def is_directive(self, at: int) -> bool:
        kind, text = self.kinds[at], self.texts[at]
        if kind == "word":
            return text.upper() in ("PREFIX", "BASE")
        return kind == "lang" and text in ("@prefix", "@base")

    def directive(self) -> bool:
        if not self.is_directive(self.at):
            return False
        word = self.texts[self.at]
        self.at += 1
        if word.strip("@").upper() == "PREFIX":
            kind, name = self.kinds[self.at], self.texts[self.at]
            if kind == "word":
                raise self.fault(f"a colon is missing after the prefix {name}", self.behind(self.at + 1))
            if kind != "pname" or not name.endswith(":") or name.count(":") > 1:
                raise self.fault(f"{word} names no prefix: write {word} name: <IRI>")
            self.at += 1
            self.prefixes[name[:-1]] = self.directive_iri(f"{word} {name}")
        else:
            self.base = self.directive_iri(word)
        self.names.clear()
        if word.startswith("@"):
            if self.texts[self.at] != ".":
                raise self.fault(f"a full stop is missing after this {word}", self.behind())
            self.at += 1
        elif self.texts[self.at] == ".":
            raise self.fault(f"{word} takes no full stop (only @{word.lower()} does)")
        return True

    def directive_iri(self, what: str) -> str:
        if self.kinds[self.at] != "iri":
            if self.kinds[self.at] in _BAD:
                self.no_token()
            raise self.fault(f"an IRI in angle brackets is missing after {what}", self.behind())
        iri = self.iri()
        self.at += 1
        return str(iri)

    def block(self) -> Block:
        place = self.place(self.offsets[self.at])
        comments = self.comments_above()
        said = len(self.triples)
        bracket = self.texts[self.at] == "["
        subject = self.subject()
        if found := self.beside.pop(self.at, None):
            comments += tuple(text for text, _ in found)
        done = bracket and len(self.triples) > said and self.texts[self.at] == "."
        predicates = () if done else tuple(self.predicates(subject, "."))
        self.at += 1
        return Block(subject, place, predicates, comments)

    def subject(self) -> Subject:
        kind, text = self.kinds[self.at], self.texts[self.at]
        if kind == "pname":
            self.at += 1
            return self.name(text, self.at - 1)
        if kind == "iri":
            iri = self.iri()
            self.at += 1
            return iri
        if kind == "blank":
            self.at += 1
            return self.blank(text)
        if text == "[":
            return self.brackets()
        if text == "(":
            return self.collection()
        self.stopped_early()
        if kind in _BAD:
            self.no_token()
        if kind == "word":
            self.bare_word()
        if text == ".":
            raise self.fault("a full stop too many: nothing stands before it")
        if kind == "sign":
            raise self.fault(f"a statement cannot begin with {text}")
        raise self.fault(f"{_short(text)} cannot begin a statement: a name is missing before it")

    def predicates(self, subject: Subject, end: str) -> Iterator[Predicate]:
        """The predicates of a subject, up to ``end`` (a full stop or a bracket), which is left to the caller."""
        top = end == "."
        while True:
            comments = self.comments_above() if top else ()
            verb = self.at
            place = self.place(self.offsets[verb])
            predicate = self.verb(end)
            objects = []
            while True:
                start = self.at
                found_at = self.place(self.offsets[start])
                term = self.object(verb)
                self.triples.append(((subject, predicate, term), found_at))
                sign = self.texts[self.at] if self.kinds[self.at] == "sign" else ""
                objects.append(Object(term, found_at, self.comment_beside() if top else ""))
                if sign != ",":
                    break
                self.at += 1
            yield Predicate(predicate, place, tuple(objects), comments)
            if sign != end and sign != ";":
                self.no_sign(verb, end)
            while self.texts[self.at] == ";" and self.kinds[self.at] == "sign":
                self.at += 1
            if self.texts[self.at] == end and self.kinds[self.at] == "sign":
                return

    def verb(self, end: str) -> URIRef:
        kind, text = self.kinds[self.at], self.texts[self.at]
        if kind == "pname":
            self.at += 1
            return self.name(text, self.at - 1)
        if kind == "word" and text == "a":
            self.at += 1
            return RDF.type
        if kind == "iri":
            iri = self.iri()
            self.at += 1
            return iri
        before = self.texts[self.at - 1]
        self.stopped_early()
        if kind in _BAD:
            self.no_token()
        if kind == "word" and not self.is_directive(self.at):
            self.bare_word()
        if kind == "end" or self.is_directive(self.at):
            raise self.fault("the statement is not finished: a full stop is missing here", self.behind())
        if kind == "blank" or text in ("[", "("):
            raise self.fault(f"{text} cannot be a predicate: only a name can")
        if before == ";":
            raise self.fault(f"a predicate is missing between the semicolon and {_short(text)}")
        if text == end:
            raise self.fault(
                f"nothing is said of {_short(before)}: a predicate and an object are missing", self.behind()
            )
        raise self.fault(f"a predicate is missing between {_short(before)} and {_short(text)}")

    def object(self, verb: int) -> Term:
        kind, text = self.kinds[self.at], self.texts[self.at]
        if kind == "pname":
            self.at += 1
            return self.name(text, self.at - 1)
        if kind in _TEXTS:
            return self.literal(kind)
        if kind in _NUMBERS:
            self.at += 1
            return self.typed(text, _NUMBERS[kind])
        if kind == "iri":
            iri = self.iri()
            self.at += 1
            return iri
        if kind == "blank":
            self.at += 1
            return self.blank(text)
        if text == "[":
            return self.brackets()
        if text == "(":
            return self.collection()
        if kind == "word" and text in ("true", "false"):
            self.at += 1
            return self.typed(text, XSD.boolean)
        self.stopped_early()
        self.began_anew(verb)
        if kind in _BAD:
            self.no_token()
        if kind == "word" and text == "a":
            raise self.fault(
                f"an object is missing after {_short(self.texts[self.at - 1])}: a is a predicate", self.behind()
            )
        if kind == "word" and not self.is_directive(self.at):
            self.bare_word()
        if self.texts[self.at - 1] == ",":
            raise self.fault("nothing follows this comma", self.place(self.offsets[self.at - 1]))
        raise self.fault(f"the object of {_short(self.texts[self.at - 1])} is missing", self.behind())

    # --- Terms ---

    def name(self, text: str, at: int) -> URIRef:
        known = self.names.get(text)
        if known is not None:
            return known
        prefix, _, local = text.partition(":")
        if prefix not in self.prefixes:
            self.undeclared(prefix, at)
        if "\\" in local:
            local = re.sub(r"\\(.)", r"\1", local)
        made = self.names[text] = URIRef(self.prefixes[prefix] + local)
        return made

    def iri(self) -> URIRef:
        text = self.texts[self.at]
        known = self.names.get(text)
        if known is not None:
            return known
        iri = text[1:-1]
        if "\\" in iri:
            for found in _ESCAPE.finditer(iri):
                if found[3]:
                    raise self.fault(f"\\{found[3]} means nothing in an IRI")
            iri = self.unescaped(iri)
            if strange := _NOT_IN_IRIS.search(iri):
                raise self.fault(f"the character {strange.group()!r} cannot stand in an IRI, not even as a number")
        if not _PLAIN_IRI.match(iri):
            iri = _resolve(self.base, iri)
        made = self.names[text] = URIRef(iri)
        return made

    def blank(self, text: str) -> BNode:
        if text not in self.blanks:
            self.blanks[text] = BNode()
        return self.blanks[text]

    def typed(self, text: str, datatype: str) -> Literal:
        key = text, datatype, None
        known = self.literals.get(key)
        if known is None:
            known = self.literals[key] = Literal(text, datatype=URIRef(datatype))
        return known

    def literal(self, kind: str) -> Literal:
        written = self.texts[self.at]
        size = 3 if kind == "long" else 1
        text = written[size:-size]
        if "\\" in text:
            text = self.unescaped(text)
        self.at += 1
        after = self.kinds[self.at]
        if after == "lang":
            language = self.texts[self.at][1:]
            self.at += 1
            if (text, None, language) not in self.literals:
                self.literals[text, None, language] = Literal(text, lang=language)
            return self.literals[text, None, language]
        if self.texts[self.at] == "^^":
            self.at += 1
            if self.kinds[self.at] == "pname":
                datatype = self.name(self.texts[self.at], self.at)
            elif self.kinds[self.at] == "iri":
                datatype = self.iri()
            else:
                raise self.fault("a datatype (such as xsd:date) is missing after ^^", self.behind())
            self.at += 1
            return self.typed(text, datatype)
        if after == "bad" and self.texts[self.at] == "^":
            raise self.fault("a datatype follows two carets (^^), not one")
        if after == "bad" and self.texts[self.at] == "@":
            raise self.fault("a language (such as en) is missing after @")
        if (text, None, None) not in self.literals:
            self.literals[text, None, None] = Literal(text)
        return self.literals[text, None, None]

    def unescaped(self, text: str) -> str:
        def character(found: re.Match[str]) -> str:
            if number := found[1] or found[2]:
                code = int(number, 16)
                if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                    raise self.fault(f"{found.group()} is no character")
                return chr(code)
            if found[3] not in _CHARACTERS:
                start = self.offsets[self.at] + self.texts[self.at].index(found.group())
                raise self.fault(
                    f"\\{found[3]} means nothing here; a backslash itself is written \\\\", self.place(start)
                )
            return _CHARACTERS[found[3]]

        return _ESCAPE.sub(character, text)

    def brackets(self) -> BNode:
        node = BNode()
        self.at += 1
        if self.texts[self.at] == "]":
            self.at += 1
            return node
        for _ in self.predicates(node, "]"):
            pass
        self.at += 1
        return node

    def collection(self) -> Subject:
        opened = self.at
        self.at += 1
        members: list[tuple[Term, Place]] = []
        while not (self.kinds[self.at] == "sign" and self.texts[self.at] == ")"):
            if self.kinds[self.at] == "end" or self.texts[self.at] in (".", ";", ",", "]"):
                if self.texts[self.at] == ",":
                    raise self.fault("members of a list have no commas between them")
                raise self.fault("the bracket opened here is never closed", self.place(self.offsets[opened]))
            place = self.place(self.offsets[self.at])
            members.append((self.object(opened), place))
        self.at += 1
        if not members:
            return RDF.nil
        nodes: list[Subject] = [BNode() for _ in members]
        for (node, rest), (member, place) in zip(pairwise([*nodes, RDF.nil]), members, strict=True):
            self.triples.append(((node, RDF.first, member), place))
            self.triples.append(((node, RDF.rest, rest), place))
        return nodes[0]

    # --- Faults ---

    def place(self, offset: int) -> Place:
        line = bisect_right(self.lines, offset)
        return Place(line, offset - self.lines[line - 1] + 1)

    def behind(self, at: int | None = None) -> Place:
        """Right behind the token before this one (or before ``at``): where something is missing."""
        before = (self.at if at is None else at) - 1
        return self.place(self.offsets[before] + len(self.texts[before]) if before >= 0 else 0)

    def fault(self, message: str, place: Place | None = None) -> TurtleFault:
        place = place or self.place(self.offsets[self.at])
        return TurtleFault(message, source=self.source, line=place.line, column=place.column)

    def starts_a_line(self, at: int) -> bool:
        offset = self.offsets[at]
        return not self.text[self.lines[bisect_right(self.lines, offset) - 1] : offset].strip()

    def line_from(self, at: int) -> str:
        offset = self.offsets[at]
        return self.text[offset : offset + 40].split("\n", 1)[0]

    def stopped_early(self) -> None:
        """Faults, where the statement is an indented line after a full stop: it meant to go on with the one before."""
        first = self.first
        if not first or self.texts[first - 1] != "." or self.at > first + 3:
            return
        place = self.place(self.offsets[first])
        if self.starts_a_line(first) and place.column > 1:
            raise self.fault(
                f"a semicolon belongs here instead of the full stop: line {place.line} goes on with "
                f"{_short(self.texts[first])}",
                self.place(self.offsets[first - 1]),
            )

    def began_anew(self, at: int) -> None:
        """Faults, where a token begins a line behind a semicolon or comma: it meant to begin a statement."""
        sign = self.texts[at - 1] if at else ""
        place = self.place(self.offsets[at])
        if sign in (";", ",") and place.column == 1:
            word = "semicolon" if sign == ";" else "comma"
            raise self.fault(
                f"a full stop belongs here instead of the {word}: {_short(self.texts[at])} on line {place.line} begins "
                "something new",
                self.place(self.offsets[at - 1]),
            )

    def no_sign(self, verb: int, end: str) -> NoReturn:
        """Says what is missing between an object and what follows it."""
        kind, text = self.kinds[self.at], self.texts[self.at]
        previous = self.at - 1
        self.stopped_early()
        self.began_anew(verb)
        self.began_anew(previous)
        if end == "]" and (kind == "end" or text in (".", ")") or kind == "end"):
            opened = self.opened()
            if opened is not None:
                raise self.fault("the square bracket opened here is never closed", self.place(self.offsets[opened]))
        if kind == "end":
            raise self.fault("the file ends within a statement: a full stop is missing here", self.behind())
        if kind in _BAD:
            self.no_token()
        if text in ("]", ")"):
            raise self.fault(f"nothing was opened that this {text} closes")
        same_line = self.place(self.offsets[self.at]).line == self.behind().line
        after_text = self.kinds[previous] in _TEXTS or self.kinds[previous] == "lang"
        if kind == "lang":
            raise self.fault(f"{text} is a language, and stands only behind a text in quotation marks")
        if text == "^^":
            raise self.fault("a datatype stands only behind a text in quotation marks")
        if same_line and after_text and text.startswith("xsd:"):
            raise self.fault(f"two carets (^^) belong between a text and its datatype {text}", self.behind())
        if same_line and after_text and kind in ("word", "short", "pname") and self.kinds[self.at + 1] != "sign":
            raise self.fault(f'the text ends before {_short(text)}: inside a text a quotation mark is written \\"')
        if self.is_directive(self.at) or self.place(self.offsets[self.at]).column == 1:
            line = self.place(self.offsets[self.at]).line
            raise self.fault(f"a full stop is missing here, before {_short(text)} on line {line}", self.behind())
        if kind == "word" and text != "a" and text not in ("true", "false"):
            self.bare_word()
        if (
            kind == "integer"
            and self.kinds[previous] == "integer"
            and re.match(r"[0-9]{4}-[0-9]", self.line_from(previous))
        ):
            raise self.fault('a day is written "yyyy-mm-dd"^^xsd:date', self.place(self.offsets[previous]))
        if same_line and self.texts[previous - 1] == "," and self.starts_a_line(previous):
            line = self.place(self.offsets[previous]).line
            raise self.fault(
                f"a semicolon belongs here instead of the comma: line {line} goes on with "
                f"{_short(self.texts[previous])}",
                self.place(self.offsets[previous - 1]),
            )
        follows = self.texts[self.at + 1] if self.at + 1 < len(self.texts) else ""
        comma = kind in _TEXTS or kind in _NUMBERS or (follows in (",", ";", ".") and text != "a")
        sign = "comma" if comma else "semicolon"
        raise self.fault(f"a {sign} is missing here, before {_short(text)}", self.behind())

    def opened(self) -> int | None:
        """The bracket that is still open here."""
        depth = 0
        for at in range(self.at - 1, self.first - 1, -1):
            if self.kinds[at] == "sign":
                if self.texts[at] in ("]", ")"):
                    depth += 1
                elif self.texts[at] in ("[", "("):
                    if not depth:
                        return at
                    depth -= 1
        return None

    def undeclared(self, prefix: str, at: int) -> NoReturn:
        message = f"the prefix {prefix}: is not declared"
        shared = shared_prefixes()
        near = difflib.get_close_matches(prefix, self.prefixes, 1) or difflib.get_close_matches(prefix, shared, 1)
        if prefix in shared:
            message += f"; add PREFIX {prefix}: <{shared[prefix]}>"
        elif prefix and near:
            message += f"; did you mean {near[0]}:?"
        elif not prefix:
            message = "the empty prefix : is not declared; add PREFIX : with the IRI of this file and #"
        raise self.fault(message, self.place(self.offsets[at]))

    def bare_word(self) -> NoReturn:
        text = self.texts[self.at]
        if self.at and self.kinds[self.at - 1] in _TEXTS:
            raise self.fault(f'the text ends before {_short(text)}: inside a text a quotation mark is written \\"')
        if self.at == self.first and (near := difflib.get_close_matches(text.upper(), ("PREFIX", "BASE"), 1)):
            raise self.fault(f"{text} means nothing here; did you mean {near[0]}?")
        if text.lower() in ("true", "false"):
            raise self.fault(f"{text} is written {text.lower()}")
        raise self.fault(f"{_short(text)} is no name: names have a prefix and a colon, texts stand in quotation marks")

    def no_token(self) -> NoReturn:
        text = self.texts[self.at]
        if self.kinds[self.at] == "open" or text in ("'", '"'):
            marks = "three quotation marks" if len(text) == 3 else "quotation mark"
            verb = "are" if len(text) == 3 else "is"
            raise self.fault(f"the {marks} opened here {verb} never closed")
        if text == "<":
            offset = self.offsets[self.at]
            line = self.text[offset : self.text.find("\n", offset) if "\n" in self.text[offset:] else None]
            closed = line.find(">")
            if closed > 0 and (strange := re.search(r'[\x00-\x20<"{}|^`\\]', line[1:closed])):
                what = "a space" if strange.group() == " " else f"the character {strange.group()!r}"
                raise self.fault(f"{what} cannot stand in an IRI", self.place(offset + 1 + strange.start()))
            raise self.fault("the angle bracket opened here is never closed")
        if text in _TYPOGRAPHIC:
            raise self.fault(f'{text} is a typographic quotation mark; texts stand in straight ones (")')
        if text == "@":
            raise self.fault("a language (such as en) is missing after @")
        if text == "\\":
            raise self.fault("a backslash cannot stand here")
        raise self.fault(
            f"the character {text} means nothing here" if text.isprintable() else "a strange character stands here"
        )


def _short(text: str) -> str:
    """A token as messages show it."""
    line = text.split("\n", 1)[0]
    return line if len(line) <= 40 and line == text else f"{line[:37]}…"


def _resolve(base: str, iri: str) -> str:
    """A relative IRI made whole (RFC 3986)."""
    if not base:
        return iri
    path, hash_sign, fragment = iri.partition("#")
    return (urljoin(base, path) if path else base.partition("#")[0]) + hash_sign + fragment

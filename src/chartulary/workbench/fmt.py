"""One form for each policy file: what it says and the comments on it decide every byte, and nothing else does."""

from __future__ import annotations

import difflib
import os
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from rdflib import OWL, RDF, RDFS, SH, SKOS, XSD, BNode, Graph, Literal, URIRef
from rdflib.compare import isomorphic, to_canonical_graph
from rdflib.namespace import DCTERMS

from chartulary.errors import ChartularyError
from chartulary.namespaces import COD, POL, ROOT
from chartulary.turtle import Document, Subject, Term, Triple, TurtleFault, read, shared_prefixes

WIDTH = 120
"""Columns; only what cannot be broken is wider."""

FIRST = (
    RDF.type,
    RDFS.label,
    RDFS.comment,
    SKOS.altLabel,
    # documents and statements
    DCTERMS.isPartOf,
    DCTERMS.title,
    DCTERMS.description,
    DCTERMS.publisher,
    DCTERMS.identifier,
    DCTERMS.source,
    DCTERMS.license,
    DCTERMS.rights,
    OWL.imports,
    OWL.versionIRI,
    OWL.versionInfo,
    POL.section,
    POL.quote,
    POL.says,
    POL.ambiguity,
    POL.notEncoded,
    # codes and code systems
    SKOS.inScheme,
    SKOS.notation,
    SKOS.broader,
    COD.field,
    COD.noun,
    COD.pattern,
    COD.dotAfter,
    COD.sentAs,
    COD.namespace,
    COD.repair,
    COD.onEveryClaim,
    COD.noneMeansUnknown,
    COD.heading,
    COD.exclusive,
    COD.vein,
    COD.replaces,
    COD.describes,
    COD.text,
    COD.inSetting,
    COD.validity,
    # policies, versions, proposals
    POL.ofPayer,
    POL.versionOf,
    POL.incomplete,
    POL.kind,
    POL.ofProposal,
    POL.proposedBy,
    POL.addressedTo,
    # payers and whom a rule binds
    POL.payerId,
    POL.offers,
    POL.filingIndicator,
    POL.inSetting,
    POL.datedByStay,
    POL.billType,
    POL.form,
    POL.payer,
    POL.lineOfBusiness,
    POL.setting,
    POL.request,
    # provisions and amendments
    POL.ends,
    POL.scope,
    POL.about,
    POL.checks,
    POL.publishedOn,
    POL.publishedEarliest,
    POL.publishedLatest,
    POL.approvedOn,
    POL.approvedEarliest,
    POL.approvedLatest,
    POL.reviewedEarliest,
    POL.reviewedLatest,
    POL.nextReviewEarliest,
    POL.nextReviewLatest,
    POL.effectiveFrom,
    POL.effectiveEarliest,
    POL.effectiveLatest,
    POL.effectiveUntil,
    POL.endsEarliest,
    POL.endsLatest,
    POL.implementedOn,
    POL.namedIn,
    POL.verificationStatus,
    POL.verifiedOn,
    POL.when,
    POL.unless,
    POL.requires,
    POL.prohibits,
    POL.overrides,
    POL.suspends,
    # criteria
    POL.looksAt,
    POL.expects,
    POL.document,
    POL.event,
    POL.measure,
    POL.finding,
    POL.result,
    POL.before,
    POL.member,
    POL.presumed,
    POL.ifUnknown,
    POL.severity,
    POL.background,
    POL.recommends,
    POL.grade,
    # vocabulary
    OWL.inverseOf,
    RDFS.domain,
    RDFS.range,
    RDFS.subClassOf,
    RDFS.subPropertyOf,
    OWL.equivalentClass,
    OWL.disjointWith,
    OWL.disjointUnionOf,
    OWL.members,
    OWL.distinctMembers,
    # shapes
    SH.declare,
    SH.prefix,
    SH.namespace,
    SH.targetClass,
    SH.targetSubjectsOf,
    SH.path,
    SH.nodeKind,
    SH["class"],
    SH.datatype,
    SH.minCount,
    SH.maxCount,
)
"""The order of predicates. What is not named stands between these and LAST, by name."""

LAST = (
    SH.property,
    SH.severity,
    SH.sparql,
    SH.rule,
    SH.message,
    SH.order,
    SH.prefixes,
    SH.select,
    SH.construct,
    POL.refersTo,
    POL.source,
    RDFS.seeAlso,
    SKOS.closeMatch,
    SKOS.example,
    POL.cites,
)

KINDS = (
    (OWL.Ontology,),
    (OWL.Class,),
    (OWL.ObjectProperty,),
    (OWL.DatatypeProperty,),
    (OWL.AnnotationProperty,),
    (OWL.NamedIndividual,),
    (POL.Policy, POL.PolicyVersion),
    (POL.Source,),
    (POL.Payer,),
    (POL.LineOfBusiness,),
    (POL.Setting,),
    (POL.Request,),
    (POL.Scope,),
    (POL.Amendment,),
    (POL.Provision,),
    (POL.Proposal,),
    (POL.ProposalStatus,),
    (POL.Statement,),
    (COD.CodeSystem,),
    (COD.Code,),
    (),  # criteria, and what is not named here
    (COD.Validity,),
    (SH.NodeShape, SH.PropertyShape),
    (SH.SPARQLRule, SH.SPARQLConstraint),
    (OWL.AllDisjointClasses,),
    (OWL.AllDisjointProperties,),
    (OWL.AllDifferent,),
)
"""The things of a file in the order in which they stand there, behind the one that the file is about."""

PARTS = (
    POL.when,
    POL.unless,
    POL.requires,
    POL.prohibits,
    POL.member,
    COD.validity,
    SH.property,
    SH.sparql,
    SH.rule,
)
"""What these name stands right behind the thing that names it, if no other thing of the file does."""

WHOLES = (POL.ofProposal,)
"""What says this stands right behind the thing named."""

_FILES = (POL.PolicyVersion, OWL.Ontology)
_RANK = {predicate: rank for rank, predicate in enumerate(FIRST)}
_RANK |= {predicate: len(FIRST) + 1 + rank for rank, predicate in enumerate(LAST)}
_KIND = {kind: rank for rank, kinds in enumerate(KINDS) for kind in kinds}
_NO_KIND = KINDS.index(())
_POLICIES = ROOT + "policy/"
_CODES = ROOT + "code/"
_LOCAL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_\-])?")
_PREFIX = re.compile(r"[A-Za-z](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_\-])?")
_BARE = {
    XSD.integer: re.compile(r"[+-]?[0-9]+"),
    XSD.decimal: re.compile(r"[+-]?[0-9]*\.[0-9]+"),
    XSD.double: re.compile(r"[+-]?(?:[0-9]+\.[0-9]*|\.?[0-9]+)[eE][+-]?[0-9]+"),
    XSD.boolean: re.compile(r"true|false"),
}
_ESCAPES = {"\\": "\\\\", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_STRANGE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\\]")

Key = tuple[object, ...]


def format_text(text: str, *, source: str = "") -> str:
    """A Turtle file in the one form.

    Raises ``TurtleFault`` where it is no Turtle, or has a comment that would be lost.
    """
    document = read(text.replace("\r\n", "\n"), source=source)
    return format_document(document)


def format_document(document: Document) -> str:
    """The same for a file that has been read."""
    if document.loose:
        loose = document.loose[0]
        raise TurtleFault(
            f"this comment stands {loose.where}, and would be lost; put it above a subject or into an rdfs:comment",
            source=document.source,
            line=loose.place.line,
            column=loose.place.column,
        )
    return _Writer(document).text()


# --- Files ------------------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What became of the files."""

    changed: list[Path] = field(default_factory=list)
    unchanged: list[Path] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """A line for each."""
    differences: list[str] = field(default_factory=list)
    """Unified diffs of the changed ones, where asked for."""


def format_files(paths: Iterable[Path], *, write: bool = True, diff: bool = False) -> Outcome:
    """Formats the files named, and every ``.ttl`` under the folders named. A file that it refuses stays as it is.

    Raises ``ChartularyError`` where there is no such file or folder, or no Turtle in it.
    """
    outcome = Outcome()
    for path in turtle_files(paths):
        try:
            old = _read(path)
            new = format_text(old, source=str(path))
            if new == old:
                outcome.unchanged.append(path)
                continue
            check_same(old, new, source=str(path))
            if diff:
                sides = old.splitlines(keepends=True), new.splitlines(keepends=True)
                outcome.differences.append("".join(difflib.unified_diff(*sides, str(path), str(path))))
            if write:
                _replace(path, new)
            outcome.changed.append(path)
        except ChartularyError as fault:
            outcome.refused.append(str(fault))
        except OSError as fault:
            outcome.refused.append(f"{path}: {fault.strerror or fault}")
    return outcome


def summary(outcome: Outcome, *, written: bool, named: bool = True) -> str:
    """What became of the files in words: a line for each that changed (if ``named``), and one for all."""
    did = "formatted" if written else "would be formatted"
    lines = [f"{did}: {path}" for path in outcome.changed] if named else []
    parts = [f"{_files(len(outcome.changed))} {did}", f"{len(outcome.unchanged)} in form already"]
    if outcome.refused:
        parts.append(f"{len(outcome.refused)} refused")
    return "\n".join([*lines, ", ".join(parts)])


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def turtle_files(paths: Iterable[Path]) -> list[Path]:
    """The files named, and those under the folders named; hidden folders apart."""
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            below = [each for each in sorted(path.rglob("*.ttl")) if not _hidden(each.relative_to(path))]
            if not below:
                raise ChartularyError(f"{path}: no Turtle (.ttl) in this folder")
            found.update(dict.fromkeys(below))
        elif path.exists():
            found[path] = None
        else:
            raise ChartularyError(f"{path}: no such file or folder")
    return list(found)


def check_same(old: str, new: str, *, source: str) -> None:
    """Raises ``ChartularyError`` unless both say the same, comments included."""
    before, after = read(old.replace("\r\n", "\n"), source=source), read(new, source=source)
    same = {triple for triple, _ in before.triples} == {triple for triple, _ in after.triples}
    if not same and not isomorphic(before.graph(), after.graph()):
        raise ChartularyError(
            f"{source}: left as it is, for the formatted text would not say the same (a fault of ours)"
        )
    if set(_comments(before)) != set(_comments(after)):
        raise ChartularyError(f"{source}: left as it is, for a comment would be lost; put it above a named subject")


def _comments(document: Document) -> Iterator[str]:
    yield from (line for line in document.head if line)
    for block in document.blocks:
        yield from block.comments
        for predicate in block.predicates:
            yield from predicate.comments
            yield from (each.comment for each in predicate.objects if each.comment)
    yield from (loose.text for loose in document.loose)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as fault:
        line = path.read_bytes()[: fault.start].count(b"\n") + 1
        raise ChartularyError(f"{path}:{line}: this file is not in UTF-8") from None


def _replace(path: Path, text: str) -> None:
    """Writes in one step: whoever reads meanwhile finds the old text or the new."""
    target = path.resolve()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8"))
        Path(name).chmod(target.stat().st_mode & 0o7777)
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


# --- The form ---------------------------------------------------------------------------------------------------------


class _Writer:
    """Writes one document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.above: dict[Subject, list[str]] = defaultdict(list)
        self.above_predicate: dict[tuple[Subject, URIRef], list[str]] = defaultdict(list)
        self.beside: dict[Triple, str] = {}
        self._take_comments()
        self.said: dict[Subject, dict[URIRef, list[Term]]] = {}
        triples = {triple for triple, _ in document.triples}
        self._index(triples)
        self.labels: dict[BNode, str] = {}
        self.users = Counter(object for _, _, object in triples if isinstance(object, BNode))
        if self._shared_blanks():
            # Labels must follow from what is said of them, not from how this copy names them.
            triples = set(_canonical(document.graph()))
            self._index(triples)
            self.users = Counter(object for _, _, object in triples if isinstance(object, BNode))
            self.labels = {node: f"_:b{number}" for number, node in enumerate(sorted(self._shared_blanks()), start=1)}
        self.used: set[str] = set()
        self.own = self._own_namespace()
        self.files = {
            subject for subject, said in self.said.items() if any(t in _FILES for t in said.get(RDF.type, ()))
        }
        self.namespaces = self._namespaces(triples)
        self.names: dict[URIRef, str] = {}

    def _index(self, triples: Iterable[Triple]) -> None:
        self.said = {}
        for subject, predicate, object in triples:
            self.said.setdefault(subject, {}).setdefault(predicate, []).append(object)

    def _take_comments(self) -> None:
        for block in self.document.blocks:
            self.above[block.subject] += block.comments
            for predicate in block.predicates:
                self.above_predicate[block.subject, predicate.term] += predicate.comments
                for each in predicate.objects:
                    triple = block.subject, predicate.term, each.term
                    if each.comment and self.beside.setdefault(triple, each.comment) != each.comment:
                        raise TurtleFault(
                            "this is said twice with two comments, of which only one could stay",
                            source=self.document.source,
                            line=each.line,
                            column=each.place.column,
                        )

    def text(self) -> str:
        blocks = [self.block(subject) for subject in self.order()]
        if blocks:
            prefixes = {name: iri for iri, name in self.namespaces.items() if name in self.used}
        else:
            prefixes = self.document.prefixes
        width = max((len(name) for name in prefixes), default=0) + 1
        lines = [f"PREFIX {name + ':':<{width}} <{iri}>" for name, iri in sorted(prefixes.items())]
        parts = ["\n".join(self.document.head), "\n".join(lines), *blocks]
        return (
            "".join(f"{part}\n" for part in "\n\n".join(part for part in parts if part).split("\n"))
            if any(parts)
            else ""
        )

    # --- Names ---

    def _own_namespace(self) -> str:
        """The one that most of the file's things are named in, if it ends in # and is not shared."""
        shared = set(shared_prefixes().values())
        counted = Counter(_split(subject)[0] for subject in self.said if isinstance(subject, URIRef))
        own = [iri for iri in counted if iri.endswith("#") and iri not in shared]
        return min(own, key=lambda iri: (-counted[iri], natural(iri)), default="")

    def _namespaces(self, triples: Iterable[Triple]) -> dict[str, str]:
        """The name of each namespace that may be shortened."""
        terms = {term for triple in triples for term in triple}
        iris = {term for term in terms if isinstance(term, URIRef)}
        iris |= {term.datatype for term in terms if isinstance(term, Literal) and term.datatype}
        found = {_split(iri)[0] for iri in iris if iri not in self.files}
        names = {iri: name for name, iri in shared_prefixes().items() if iri in found}
        if self.own:
            names[self.own] = ""
        names |= _derived(iri for iri in found - set(names) if iri.startswith(_POLICIES))
        return names

    def name(self, iri: URIRef) -> str:
        known = self.names.get(iri)
        if known is None:
            known = self.names[iri] = self._name(iri)
        return known

    def _name(self, iri: URIRef) -> str:
        namespace, local = _split(iri)
        if iri not in self.files and f"{iri}#" != self.own and namespace in self.namespaces and _LOCAL.fullmatch(local):
            prefix = self.namespaces[namespace]
            self.used.add(prefix)
            return f"{prefix}:{local}"
        return "<" + re.sub(r'[\x00-\x20<>"{}|^`\\]', lambda found: f"\\u{ord(found.group()):04X}", iri) + ">"

    # --- Order ---

    def order(self) -> list[Subject]:
        """The subjects that begin a block, in the order in which they stand."""
        roots = [subject for subject in self.said if not isinstance(subject, BNode) or self._stands_alone(subject)]
        inside: dict[Subject, list[tuple[Key, Subject]]] = defaultdict(list)
        whole: dict[Subject, Subject] = {}
        users: dict[Subject, set[Subject]] = defaultdict(set)
        how: dict[Subject, int] = {}
        known = set(roots)
        for subject in roots:
            for rank, predicate in enumerate(PARTS):
                for part in self.said[subject].get(predicate, ()):
                    if part in known and part != subject and not isinstance(part, Literal):
                        users[part].add(subject)
                        how[part] = min(rank, how.get(part, rank))
            for predicate in WHOLES:
                for user in self.said[subject].get(predicate, ()):
                    if user in known and user != subject and not isinstance(user, Literal):
                        users[subject].add(user)
                        how.setdefault(subject, len(PARTS))
        for part, named_by in users.items():
            if len(named_by) == 1:
                (whole[part],) = named_by
                inside[whole[part]].append(((how[part], *self.subject_key(part)), part))
        ordered: dict[Subject, None] = {}

        def place(subject: Subject) -> None:
            stack = [subject]
            while stack:
                top = stack.pop()
                if top not in ordered:
                    ordered[top] = None
                    stack += [part for _, part in sorted(inside[top], key=lambda each: each[0], reverse=True)]

        ranked = sorted(roots, key=self.subject_key)
        for subject in ranked:
            if subject not in whole:
                place(subject)
        for subject in ranked:  # parts of each other, which no other thing names
            place(subject)
        return list(ordered)

    def subject_key(self, subject: Subject) -> Key:
        said = self.said[subject]
        kind = min((_rank(each) for each in said.get(RDF.type, ())), default=_NO_KIND)
        order = self.number(subject)
        if isinstance(subject, BNode):
            return (1, kind, order, 1, natural(self.labels.get(subject) or self.inline_contents(subject)))
        return (f"{subject}#" != self.own, kind, order, 0, self.key(subject))

    def key(self, term: Term) -> tuple[object, ...]:
        """Where a term stands among others: by its written form; codes as their books sort them."""
        text = self.inline(term)
        if isinstance(term, URIRef) and term.startswith(_CODES):
            return ((text.casefold(),), text)
        return natural(text)

    def predicates(self, subject: Subject) -> list[URIRef]:

        def key(predicate: URIRef) -> Key:
            rank = _RANK.get(predicate)
            return (len(FIRST), natural(self.name(predicate))) if rank is None else (rank,)

        return sorted(self.said[subject], key=key)

    def objects(self, subject: Subject, predicate: URIRef) -> list[Term]:
        objects = self.said[subject][predicate]
        if len(objects) == 1:
            return objects
        if predicate == RDF.type:
            return sorted(objects, key=lambda each: (_rank(each), self.key(each)))
        return sorted(objects, key=lambda each: (self.number(each), self.key(each)))

    def number(self, term: Term) -> int:
        """The sh:order of a rule, which says more than its name."""
        said = self.said.get(term, {}) if not isinstance(term, Literal) else {}
        values = (each.value for each in said.get(SH.order, ()) if isinstance(each, Literal))
        return min((value for value in values if isinstance(value, int)), default=0)

    # --- Blank nodes ---

    def _stands_alone(self, node: BNode) -> bool:
        return node in self.labels or not self.users[node]

    def _shared_blanks(self) -> set[BNode]:
        """Those that square brackets cannot hold: named more than once, or going round in a circle."""
        shared = {node for node, count in self.users.items() if count > 1}
        parent: dict[BNode, Subject] = {}
        for subject, said in self.said.items():
            for objects in said.values():
                parent.update({each: subject for each in objects if isinstance(each, BNode) and each not in shared})
        safe: set[Subject] = set(shared)
        for start in parent:
            path: dict[Subject, None] = {}
            node: Subject = start
            while isinstance(node, BNode) and node not in safe and node in parent and node not in path:
                path[node] = None
                node = parent[node]
            if node in path:
                around = list(path)
                shared.update(each for each in around[around.index(node) :] if isinstance(each, BNode))
            safe.update(path)
        return shared

    def _members(self, node: Term) -> list[Term] | None:
        """The members of a list that round brackets can hold."""
        members: list[Term] = []
        while node != RDF.nil:
            if not isinstance(node, BNode) or node in self.labels or node not in self.said:
                return None
            said = self.said[node]
            if set(said) != {RDF.first, RDF.rest} or len(said[RDF.first]) != 1 or len(said[RDF.rest]) != 1:
                return None
            members.append(said[RDF.first][0])
            node = said[RDF.rest][0]
        return members

    # --- Text ---

    def block(self, subject: Subject) -> str:
        lines = [*self.above[subject]]
        if isinstance(subject, BNode):
            lines.append(self.labels.get(subject, "[]"))
        else:
            lines.append(self.name(subject))
        predicates = self.predicates(subject)
        for predicate in predicates:
            lines += [f"    {comment}" for comment in self.above_predicate[subject, predicate]]
            lines += self.statement(subject, predicate, 4, " ." if predicate == predicates[-1] else " ;")
        return "\n".join(lines)

    def statement(self, subject: Subject, predicate: URIRef, indent: int, end: str) -> list[str]:
        """A predicate with its objects, wrapped."""
        verb = "a" if predicate == RDF.type else self.name(predicate)
        objects = self.objects(subject, predicate)
        lines = [" " * indent + verb]
        below = " " * (indent + 4)
        bracketed = len(objects) > 1 and any(self.inline(each).startswith("[") for each in objects)
        begun = False  # whether the line that is written holds an object
        for each in objects:
            sign = end if each is objects[-1] else " ,"
            if bracketed or (begun and len(lines[-1]) + 1 + len(self.inline(each)) + len(sign) > WIDTH):
                lines.append(below.rstrip() if bracketed else below[:-1])
                if bracketed:
                    lines[-1] = below[:-1]
            written = self.object(each, indent, len(lines[-1]) + 1) + sign
            comment = self.beside.get((subject, predicate, each))
            first, *more = f"{lines[-1]} {written}".split("\n")
            lines[-1:] = [first, *more]
            begun = True
            if comment:
                lines[-1] += f"   {comment}"
                if each is not objects[-1] and not bracketed:
                    lines.append(below[:-1])
                    begun = False
        return lines

    def object(self, term: Term, indent: int, column: int) -> str:
        """A term as it is written from this column on; over several lines where it is too long for one."""
        text = self.inline(term)
        if column + len(text) + 2 <= WIDTH or not isinstance(term, BNode) or term in self.labels:
            return text
        members = self._members(term)
        if members is not None:
            lines = [" " * column + "("]
            for member in members:
                if len(lines[-1]) + 1 + len(self.inline(member)) + 4 > WIDTH:
                    lines.append(" " * (indent + 3))
                lines += f"{lines.pop()} {self.object(member, indent + 4, indent + 4)}".split("\n")
            return "\n".join(lines)[column:] + " )"
        lines = ["["]
        predicates = self.predicates(term)
        for predicate in predicates:
            lines += self.statement(term, predicate, indent + 4, "" if predicate == predicates[-1] else " ;")
        return "\n".join([*lines, " " * indent + "]"])

    def inline(self, term: Term) -> str:
        """A term on one line."""
        if isinstance(term, URIRef):
            return self.name(term)
        if isinstance(term, Literal):
            return self.literal(term)
        if term in self.labels:
            return self.labels[term]
        members = self._members(term)
        if members is not None:
            return f"( {' '.join(self.inline(member) for member in members)} )"
        contents = self.inline_contents(term)
        return f"[ {contents} ]" if contents else "[]"

    def inline_contents(self, node: BNode) -> str:
        parts = []
        for predicate in self.predicates(node) if node in self.said else ():
            verb = "a" if predicate == RDF.type else self.name(predicate)
            parts.append(f"{verb} {' , '.join(self.inline(each) for each in self.objects(node, predicate))}")
        return " ; ".join(parts)

    def literal(self, term: Literal) -> str:
        text = str(term)
        if term.datatype in _BARE and _BARE[term.datatype].fullmatch(text):
            return text
        escaped = _STRANGE.sub(lambda found: _ESCAPES.get(found.group()) or f"\\u{ord(found.group()):04X}", text)
        if "\n" in text:
            # Three in a row would end the text, and so would one at its end.
            escaped = re.sub(r'"""|"\Z', lambda found: found.group().replace('"', r"\""), escaped)
            escaped = f'"""{escaped}"""'
        else:
            escaped = '"' + escaped.replace('"', '\\"') + '"'
        if term.language:
            return f"{escaped}@{term.language}"
        return f"{escaped}^^{self.name(term.datatype)}" if term.datatype else escaped


def _rank(kind: Term) -> int:
    return _KIND.get(kind, _NO_KIND) if isinstance(kind, URIRef) else _NO_KIND


def natural(text: str) -> tuple[object, ...]:
    """A key that sorts numbers within a text by their size (2 before 10), and letters whatever their case."""
    parts = re.split(r"([0-9]+)", text.casefold())
    return (tuple(int(part) if odd % 2 else part for odd, part in enumerate(parts)), text)


def _split(iri: str) -> tuple[str, str]:
    """Namespace and name: up to the last # or /, and what is behind it."""
    at = max(iri.rfind("#"), iri.rfind("/")) + 1
    return iri[:at], iri[at:]


def _derived(namespaces: Iterable[str]) -> dict[str, str]:
    """Names for namespaces under ``…/policy/``: the last part of the path that begins with a letter, and what follows.

    Where two would be the same, or one is the name of a shared prefix, more of the path goes in front.
    """
    paths = {iri: ["policy", *iri[len(_POLICIES) : -1].split("/")] for iri in namespaces}
    taken = set(shared_prefixes())
    size = dict.fromkeys(paths, 1)
    while True:
        names = {}
        for iri, path in paths.items():
            while size[iri] < len(path) and not path[-size[iri]][:1].isalpha():
                size[iri] += 1
            names[iri] = "-".join(path[-size[iri] :])
        counted = Counter(names.values())
        again = [iri for iri, name in names.items() if name in taken or counted[name] > 1]
        longer = [iri for iri in again if size[iri] < len(paths[iri])]
        for iri in longer:
            size[iri] += 1
        if not longer:
            return {iri: name for iri, name in names.items() if iri not in again and _PREFIX.fullmatch(name)}


def _canonical(graph: Graph) -> Iterator[Triple]:
    """The same with names for blank nodes that follow from what is said of them."""
    yield from cast(Iterable[Triple], to_canonical_graph(graph))

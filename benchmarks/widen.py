"""Policies of payers that nobody has heard of, to measure what a larger register costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from drafts import in_order, tail
from rdflib import RDF, RDFS, Graph, Node, URIRef
from rdflib import Literal as Value
from rdflib.namespace import SKOS

from chartulary.namespaces import POL, ROOT
from chartulary.register import data_folder


def widen(folder: Path, times: int, *, policies: Path | None = None) -> int:
    """Write policies of payers that nobody has heard of, for ``Register.load(policies=folder)``.

    Gives the number of provisions. They are those of the register that belong to one payer, copied until there are
    ``times`` as many as the register has, each copy with payer, lines of business, scopes, provisions and criteria
    of its own. Codes, findings and statements stay shared. ``policies`` is the folder to copy from, by default the
    register's own.
    """
    origin = policies or data_folder("policies")
    files = {path.relative_to(origin): Graph().parse(path, format="turtle") for path in sorted(origin.rglob("*.ttl"))}
    whole = Graph()
    for content in files.values():
        whole += content
    owned = {
        path.parent: payer
        for path, content in files.items()
        for payer in content.objects(None, POL.ofPayer)
        if path.name == "policy.ttl" and payer != URIRef(f"{ROOT}payer/any")
    }
    copied = {path: content for path, content in files.items() if path.parent in owned}
    wanted = times * sum(1 for _ in whole.subjects(RDF.type, POL.Provision))
    written = copy = 0
    while written < wanted:
        copy += 1
        written += _copy(folder, copy, copied, owned, whole, wanted - written)
    return written


def _copy(
    folder: Path, copy: int, files: Mapping[Path, Graph], owned: Mapping[Path, Node], whole: Graph, wanted: int
) -> int:
    """One more copy of each payer's policies, or of the first that will do, in ``folder/unrelated-01`` and so on."""
    stem = f"unrelated-{copy:02d}"
    roots = tuple(f"{ROOT}policy/{path.as_posix()}" for path in owned)
    terms = Graph()

    def renamed(node: Node) -> Node:
        text = str(node)
        if isinstance(node, URIRef) and text.startswith(roots):
            return URIRef(text.replace(f"{ROOT}policy/", f"{ROOT}policy/{stem}/", 1))
        return node

    def own(node: Node, kind: str) -> URIRef:
        return URIRef(f"{ROOT}{kind}/{stem}-{tail(node)}")

    for payer in in_order(set(owned.values())):
        terms.add((own(payer, "payer"), RDF.type, POL.Payer))
        terms.add((own(payer, "payer"), RDFS.label, Value(f"Unrelated payer {copy}, like {tail(payer)}", lang="en")))
        terms.add((own(payer, "payer"), SKOS.broader, URIRef(f"{ROOT}payer/any")))
    provisions = 0
    last = None
    for path, content in files.items():
        if provisions >= wanted and path.parent != last:
            break
        last = path.parent
        payer = owned[path.parent]
        result = Graph()
        # Findings and codes that a policy brings with it are everybody's, and stand in the register already.
        ours = {s for s in content.subjects() if str(s).startswith(roots)}
        for s, p, o in content:
            if s not in ours:
                continue
            if p == POL.scope:
                _copy_scope(o, payer, whole, terms, own)
                o = own(o, f"scope/{tail(payer)}")
            elif p == POL.ofPayer:
                o = own(payer, "payer")
            elif p == RDFS.label and isinstance(o, Value):
                o = Value(f"{o} ({stem})", lang=o.language)
            elif (o, RDF.type, POL.LineOfBusiness) in whole:
                _copy_business(o, payer, whole, terms, own)
                o = own(o, "line-of-business")
            result.add((renamed(s), p, renamed(o)))
        provisions += sum(1 for _ in result.subjects(RDF.type, POL.Provision))
        if len(result):
            target = folder / stem / path
            target.parent.mkdir(parents=True, exist_ok=True)
            result.serialize(target, format="turtle")
    terms.serialize(folder / stem / "terms.ttl", format="turtle")
    return provisions


_Naming: TypeAlias = Callable[[Node, str], URIRef]


def _copy_scope(scope: Node, payer: Node, whole: Graph, terms: Graph, own: _Naming) -> None:
    new = own(scope, f"scope/{tail(payer)}")
    if (new, RDF.type, POL.Scope) in terms:
        return
    for p, o in whole.predicate_objects(scope):
        if p == POL.lineOfBusiness:
            _copy_business(o, payer, whole, terms, own)
            o = own(o, "line-of-business")
        elif p == RDFS.label:
            o = Value(f"{o} ({tail(new)})", lang="en")
        if p != POL.payer:
            terms.add((new, p, o))
    terms.add((new, POL.payer, own(payer, "payer")))


def _copy_business(business: Node, payer: Node, whole: Graph, terms: Graph, own: _Naming) -> None:
    new = own(business, "line-of-business")
    # Without filing indicators nobody else's claim can be taken for one of this line of business.
    terms.add((new, RDF.type, POL.LineOfBusiness))
    terms.add((new, RDFS.label, Value(tail(new).replace("-", " "), lang="en")))
    terms.add((new, SKOS.broader, URIRef(f"{ROOT}line-of-business/any")))
    terms.add((new, POL.ofPayer, own(payer, "payer")))

"""Reads rules and shapes through rdflib's SPARQL algebra into the normal form of ``chartulary.compiler.rules``.

What is outside of the subset (``docs/decisions/0002-rules-in-a-sparql-subset.md``) is refused, by the rule's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rdflib import OWL, RDF, RDFS, XSD, BNode, Graph, Literal, Node, URIRef, Variable
from rdflib.namespace import SH
from rdflib.plugins.sparql.algebra import translateQuery
from rdflib.plugins.sparql.parser import parseQuery
from rdflib.plugins.sparql.parserutils import CompValue

from chartulary.compiler.rules import (
    THIS,
    Atom,
    Body,
    Call,
    Const,
    Expression,
    Rule,
    Term,
    Var,
    all_variables,
    variables,
)
from chartulary.errors import ChartularyError
from chartulary.facts import plain

_COMPARISONS = {"=", "!=", "<", "<=", ">", ">="}
_TARGETS = (SH.targetClass, SH.targetSubjectsOf, SH.targetObjectsOf, SH.targetNode)


_ANYTHING = Var(" anything")
"""What stands at the other end of a target's pattern; no query writes this name with a space before it."""


class OutsideSubsetError(ChartularyError):
    """A rule or shape holds a construct that cannot be compiled; the text names both."""


def read_rules(shapes: Graph) -> list[Rule]:
    """Every rule in its order, then every SPARQL constraint as a rule that derives ``item shape value``.

    A constraint's predicate is the IRI of its shape; where it gives no ``?value`` the value is True.

    Raises:
        OutsideSubsetError: a construct cannot be compiled.
    """
    rules = [_rule(shapes, node) for node in set(shapes.subjects(SH.construct))]
    rules.sort(key=lambda rule: (rule.order, rule.name))
    last = rules[-1].order if rules else 0
    found = [
        _constraint(shapes, shape, node, last + place)
        for place, (shape, node) in enumerate(sorted(shapes.subject_objects(SH.sparql), key=str), 1)
    ]
    return rules + found


def _rule(shapes: Graph, node: Node) -> Rule:
    name = str(node).partition("#")[2] or str(node)
    query = _algebra(shapes, node, SH.construct, name)
    targets = [body for shape in shapes.subjects(SH.rule, node) for body in _targets(shapes, shape)]
    heads = tuple(
        Atom(_term(s, name), _predicate(p, name), _term(o, name)) for s, p, o in sorted(query.template, key=str)
    )
    bodies = [body for body in _bodies(query.p, name) for body in (_merged(t, body) for t in targets or [Body()])]
    order = shapes.value(node, SH.order)
    return _checked(Rule(name, str(shapes.value(node, RDFS.label) or name), int(str(order or 0)), heads, tuple(bodies)))


def _constraint(shapes: Graph, shape: Node, node: Node, order: int) -> Rule:
    name = str(shape).partition("#")[2] or str(shape)
    query = _algebra(shapes, node, SH.select, name)
    if query.name != "SelectQuery":
        raise OutsideSubsetError(f"{name}: a constraint must be a SELECT")
    given = Var("value") in {Var(str(variable)) for variable in query.PV}
    head = Atom(THIS, str(shape), Var("value") if given else Const(True))
    bodies = [_merged(target, body) for body in _bodies(query.p, name) for target in _targets(shapes, shape)]
    message = shapes.value(node, SH.message) or shapes.value(shape, SH.message)
    label = str(shapes.value(shape, RDFS.label) or name)
    return _checked(Rule(name, label, order, (head,), tuple(bodies), str(message or "")))


def _checked(rule: Rule) -> Rule:
    rule = replace(rule, bodies=tuple(map(_plain_body, rule.bodies)))
    for body in rule.bodies:
        wanted = {term for head in rule.heads for term in (head.subject, head.value) if isinstance(term, Var)}
        if missing := wanted - body.variables():
            raise OutsideSubsetError(f"{rule.name}: ?{min(var.name for var in missing)} is nowhere bound")
        _check_scopes(rule.name, body, set())
    return rule


def _plain_body(body: Body) -> Body:
    """Without the target's own pattern where another says as much."""
    said = {(atom.subject, atom.predicate) for atom in body.atoms if atom.value != _ANYTHING}
    atoms = (a for a in body.atoms if a.value != _ANYTHING or (a.subject, a.predicate) not in said)
    return replace(body, atoms=tuple(atoms))


def _check_scopes(name: str, body: Body, outer: set[Var]) -> None:
    seen = outer | body.variables()
    for expression in (*body.conditions, *(value for _, value in body.binds)):
        if missing := variables(expression) - seen:
            raise OutsideSubsetError(f"{name}: ?{min(v.name for v in missing)} is used where nothing binds it")
    for inner in body.absent:
        if not all_variables(inner) & seen:
            raise OutsideSubsetError(f"{name}: a NOT EXISTS shares no variable with what is around it")
        _check_scopes(name, inner, seen)


def _targets(shapes: Graph, shape: Node) -> list[Body]:
    """The ways in which a shape finds its focus nodes."""
    found = []
    for kind in _TARGETS:
        for thing in shapes.objects(shape, kind):
            node = Const(str(thing))
            if kind == SH.targetClass:
                found.append(Body(atoms=(Atom(THIS, str(RDF.type), node),)))
            elif kind == SH.targetSubjectsOf:
                found.append(Body(atoms=(Atom(THIS, str(thing), _ANYTHING),)))
            elif kind == SH.targetObjectsOf:
                found.append(Body(atoms=(Atom(_ANYTHING, str(thing), THIS),)))
            else:
                found.append(Body(binds=((THIS, node),)))
    return found


def _merged(one: Body, other: Body) -> Body:
    atoms = tuple(dict.fromkeys((*other.atoms, *one.atoms)))
    return Body(atoms, (*one.binds, *other.binds), (*one.conditions, *other.conditions), (*one.absent, *other.absent))


# --- From rdflib's algebra --------------------------------------------------------------------------------------------


def _algebra(shapes: Graph, node: Node, kind: Node, name: str) -> CompValue:
    declared = ((shapes.value(d, SH.prefix), shapes.value(d, SH.namespace)) for d in _declarations(shapes, node))
    heading = "".join(f"PREFIX {prefix}: <{namespace}>\n" for prefix, namespace in declared)
    text = str(shapes.value(node, kind))
    try:
        query = translateQuery(parseQuery(heading + text)).algebra
    except Exception as fault:  # rdflib and pyparsing raise many kinds
        raise OutsideSubsetError(f"{name}: no SPARQL: {' '.join(str(fault).split())[:160]}") from None
    if query.get("datasetClause") or text.lstrip().upper().startswith(("ASK", "DESCRIBE")):
        raise OutsideSubsetError(f"{name}: only CONSTRUCT and SELECT over the one graph are in the subset")
    return query


def _declarations(shapes: Graph, node: Node) -> Iterator[Node]:
    for ontology in shapes.objects(node, SH.prefixes):
        for each in shapes.transitive_objects(ontology, OWL.imports):
            yield from shapes.objects(each, SH.declare)


def _bodies(part: CompValue, name: str, outer: frozenset[Var] = frozenset({THIS})) -> list[Body]:
    """``outer`` is what a group sees that it does not bind: ``$this``, and inside of NOT EXISTS what is around it."""
    if part.name == "BGP":
        atoms = tuple(Atom(_term(s, name), _predicate(p, name), _term(o, name)) for s, p, o in part.triples)
        return [Body(atoms=tuple(sorted(atoms, key=str)))]  # rdflib's own order changes from run to run
    if part.name == "Join":
        return [_merged(a, b) for a in _bodies(part.p1, name, outer) for b in _bodies(part.p2, name, outer)]
    if part.name == "Union":
        return _bodies(part.p1, name, outer) + _bodies(part.p2, name, outer)
    if part.name in ("Project", "Distinct"):  # results are sets
        return _bodies(part.p, name, outer)
    if part.name == "Filter":
        bodies = _bodies(part.p, name, outer)
        seen = outer.union(*(body.variables() for body in bodies))
        conditions, absent = [], []
        for conjunct in _conjuncts(part.expr):
            if isinstance(conjunct, CompValue) and conjunct.name == "Builtin_NOTEXISTS":
                absent += _bodies(conjunct.graph, name, seen)
            else:
                conditions.append(_expression(conjunct, name))
                if missing := variables(conditions[-1]) - seen:
                    one = min(var.name for var in missing)
                    raise OutsideSubsetError(f"{name}: ?{one} is used in a group that does not bind it")
        more = Body(conditions=tuple(conditions), absent=tuple(absent))
        return [_merged(body, more) for body in bodies]
    if part.name == "Extend":
        if Var(str(part.var)) == THIS:
            raise OutsideSubsetError(f"{name}: BIND to the focus node is not in SHACL")
        bind = (Var(str(part.var)), _expression(part.expr, name))
        return [_merged(body, Body(binds=(bind,))) for body in _bodies(part.p, name, outer)]
    raise OutsideSubsetError(f"{name}: {part.name} is not in the subset")


def _conjuncts(expression: Any) -> Iterator[Any]:
    if isinstance(expression, CompValue) and expression.name == "ConditionalAndExpression":
        for part in (expression.expr, *expression.other):
            yield from _conjuncts(part)
    else:
        yield expression


def _expression(part: Any, name: str) -> Expression:
    if isinstance(part, Node):
        return _term(part, name)
    kind = part.name if isinstance(part, CompValue) else type(part).__name__
    if kind == "RelationalExpression" and part.op in _COMPARISONS:
        return Call(part.op, (_expression(part.expr, name), _expression(part.other, name)))
    if kind in ("ConditionalAndExpression", "ConditionalOrExpression"):
        word = "and" if kind == "ConditionalAndExpression" else "or"
        return Call(word, tuple(_expression(each, name) for each in (part.expr, *part.other)))
    if kind == "UnaryNot":
        return Call("not", (_expression(part.expr, name),))
    if kind in ("AdditiveExpression", "MultiplicativeExpression"):
        found = _expression(part.expr, name)
        for operator, operand in zip(part.op, part.other, strict=True):
            if operator not in ("+", "-", "*"):
                raise OutsideSubsetError(f"{name}: the operator {operator} is not in the subset")
            found = Call(operator, (found, _expression(operand, name)))
        return found
    if kind == "Builtin_STR":
        return Call("str", (_expression(part.arg, name),))
    if kind == "Builtin_SUBSTR" and part.length is not None:
        return Call("substr", tuple(_expression(each, name) for each in (part.arg, part.start, part.length)))
    if kind == "Function" and part.iri == XSD.integer:
        text = _expression(part.expr[0], name)
        # Of other text it may fail, and what fails is neither true nor false in SPARQL: no two engines have that alike.
        if not (isinstance(text, Call) and text.name == "substr"):
            raise OutsideSubsetError(f"{name}: xsd:integer is in the subset only of SUBSTR, for the parts of a date")
        return Call("integer", (text,))
    what = {"Function": f"the function {part.iri}", "RelationalExpression": part.op}.get(kind, kind)
    raise OutsideSubsetError(f"{name}: {what} is not in the subset")


def _term(node: Node, name: str) -> Term:
    if isinstance(node, Variable):
        return Var(str(node))
    if isinstance(node, BNode):
        raise OutsideSubsetError(f"{name}: a blank node is not in the subset")
    return Const(plain(node) if isinstance(node, Literal) else str(node))


def _predicate(node: Node, name: str) -> str:
    if not isinstance(node, URIRef):
        what = f"the variable predicate ?{node}" if isinstance(node, Variable) else "a property path"
        raise OutsideSubsetError(f"{name}: {what} is not in the subset")
    return str(node)

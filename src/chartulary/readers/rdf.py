"""Claims as Turtle or JSON-LD in the claim vocabulary (``ontology/claim.ttl``), read and written.

The graph is turned into claim JSON and read as such, so one schema holds for every form of a claim. The parser is
pyoxigraph's: it keeps literals as written, loads nothing, and takes any depth of ``[`` and ``(``.
"""

from __future__ import annotations

import difflib
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import unquote

from pyoxigraph import BlankNode, Literal, NamedNode, RdfFormat, parse

from chartulary.claim import Claim
from chartulary.errors import Problem
from chartulary.graph import iri_for
from chartulary.namespaces import CLM, ROOT
from chartulary.readers.claim_json import MAX_PROBLEMS, JsonFault, claim_to_json, load_json, read_claim

CONTEXT_IRI = ROOT + "schema/claim.jsonld"
"""The published JSON-LD context; ``claim.context.jsonld`` stands in for it, so that it need not be fetched."""


class Term(NamedTuple):
    """What one property means: the field it fills, and the kind of its values.

    Kinds: ``text``, ``day``, ``amount``, ``count``, ``value`` (true, false or text); ``code`` and ``name``: an IRI of
    the register, or the same as text (``words``: its hyphens are spaces); ``so``, ``not so``, ``none``: the name of a
    finding; or a class of node.
    """

    field: str
    kind: str = "text"
    schemes: str = ""
    """Prefixes that its IRIs have; a second one is for codes that begin with a letter."""
    many: bool = False


_DATED = {"date": Term("date", "day")}
_SYSTEM = {"codeAsSent": Term("code"), "system": Term("system")}

# Each property of each class and the claim field it fills. Where two fill one field, the first takes an IRI or a
# node, the last a literal. The first of a class is what a bare value in place of its node means (_BARE).
TERMS: dict[str, dict[str, Term]] = {
    "Claim": {
        "id": Term("id"),
        "request": Term("request", "code", "request"),
        "form": Term("form", "code", "form"),
        "payer": Term("payer", "Payer"),
        "payerName": Term("payer", "Payer"),
        "otherPayer": Term("other_payers", "Payer", many=True),
        "lineOfBusiness": Term("line_of_business", "name", "lob"),
        "lineOfBusinessName": Term("line_of_business"),
        "setting": Term("setting", "code", "setting"),
        "billType": Term("bill_type"),
        "placeOfService": Term("place_of_service", "code", "pos"),
        "frequency": Term("frequency"),
        "patient": Term("patient", "Patient"),
        "dateOfService": Term("date_of_service", "day"),
        "statementFrom": Term("statement_from", "day"),
        "statementThrough": Term("statement_through", "day"),
        "admission": Term("admission", "day"),
        "discharge": Term("discharge", "day"),
        "submitted": Term("submitted", "day"),
        "totalCharge": Term("total_charge", "amount"),
        "drg": Term("drg", "code", "drg"),
        "diagnosis": Term("diagnoses", "Diagnosis", many=True),
        "procedure": Term("procedures", "Procedure", many=True),
        "conditionCode": Term("condition_codes", "code", "condition", many=True),
        "valueCode": Term("value_codes", "ValueCode", many=True),
        "occurrenceCode": Term("occurrence_codes", "OccurrenceCode", many=True),
        "note": Term("notes", "Note", many=True),
        "priorAuthorization": Term("prior_authorization"),
        "attachment": Term("attachments", "Attachment", many=True),
        "product": Term("product", "name", "product"),
        "statedProduct": Term("product", "name", "product"),
        "productName": Term("product"),
        "donorType": Term("donor_type"),
        "finding": Term("findings", "so", "finding", many=True),
        "noFinding": Term("findings", "not so", "finding", many=True),
        "noneFound": Term("findings", "none", "finding", many=True),  # known that there is none
        "document": Term("documents", "Document", many=True),
        "event": Term("history", "Event", many=True),
        "line": Term("lines", "Line", many=True),
    },
    "Line": {
        "number": Term("number", "count"),
        "procedureCode": Term("code", "code", "cpt hcpcs"),
        "codeAsSent": Term("code"),
        "codeSystem": Term("code_system"),
        "modifier": Term("modifiers", "code", "modifier", many=True),
        "revenueCode": Term("revenue_code", "code", "revenue"),
        "description": Term("description"),
        "dateOfService": Term("date_of_service", "day"),
        "firstDay": Term("first_day", "day"),
        "lastDay": Term("last_day", "day"),
        "units": Term("units", "amount"),
        "unit": Term("unit"),
        "charge": Term("charge", "amount"),
        "placeOfService": Term("place_of_service", "code", "pos"),
        "ndc": Term("ndc"),
        "ndcUnits": Term("ndc_units", "amount"),
        "diagnosisPointer": Term("diagnosis_pointers", "count", many=True),
        "note": Term("notes", "Note", many=True),
        "attachment": Term("attachments", "Attachment", many=True),
    },
    "Payer": {
        "name": Term("name", "name", "payer"),
        "id": Term("id"),
        "filingIndicator": Term("filing_indicator"),
        "responsibility": Term("responsibility"),
        "memberId": Term("member_id"),
        "groupNumber": Term("group_number"),
        "paid": Term("paid", "amount"),
    },
    "Patient": {
        "birthDate": Term("birth_date", "day"),
        "age": Term("age", "count"),
        "sex": Term("sex"),
        "relationship": Term("relationship"),
    },
    "Diagnosis": {
        "code": Term("code", "code", "icd10"),
        **_SYSTEM,
        "kind": Term("kind"),
        "presentOnAdmission": Term("present_on_admission"),
    },
    "Procedure": {"code": Term("code", "code", "pcs"), **_SYSTEM, **_DATED, "kind": Term("kind")},
    "ValueCode": {"code": Term("code", "code"), "codeAsSent": Term("code"), "amount": Term("amount", "amount")},
    "OccurrenceCode": {
        "code": Term("code", "code"),
        "codeAsSent": Term("code"),
        "firstDay": Term("first_day", "day"),
        "lastDay": Term("last_day", "day"),
    },
    "Note": {"text": Term("text", "words", "note"), "location": Term("location"), "qualifier": Term("qualifier")},
    "Attachment": {
        "kind": Term("kind"),
        "transmission": Term("transmission"),
        "controlNumber": Term("control_number"),
        **_DATED,
    },
    "Document": {"kind": Term("kind", "name", "document"), **_DATED, "result": Term("result")},
    "Event": {
        "event": Term("kind", "name", "event"),
        "kind": Term("kind", "name", "event"),
        **_DATED,
        "reason": Term("reason"),
    },
    "Finding": {
        "name": Term("name", "name", "finding"),
        "value": Term("value", "value"),
        "only": Term("only", "text", many=True),
    },
}
_BARE = frozenset(TERMS) - {"Claim", "Line", "Patient", "Attachment", "Finding"}

# Where the register keeps what each prefix stands for (ontology/prefixes.ttl).
_PATHS = {
    "condition": "code/condition/",
    "cpt": "code/cpt/",
    "document": "document/",
    "drg": "code/ms-drg/",
    "event": "event/",
    "finding": "finding/",
    "form": "form/",
    "hcpcs": "code/hcpcs/",
    "icd10": "code/icd-10-cm/",
    "lob": "line-of-business/",
    "modifier": "code/modifier/",
    "note": "note/",
    "payer": "payer/",
    "pcs": "code/icd-10-pcs/",
    "pos": "code/place-of-service/",
    "product": "product/",
    "request": "request/",
    "revenue": "code/revenue/",
    "setting": "setting/",
}
_PREFIX_OF = {path: prefix for prefix, path in _PATHS.items()}
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XSD = "http://www.w3.org/2001/XMLSchema#"
# Relative IRIs resolve against this, so they can be told from all others.
_BASE = "claims:/"
_CLAIM = NamedNode(CLM.Claim)
_FINDING = {"so": True, "not so": False, "none": None}
# pyoxigraph ends the process on deeply nested triple terms; no claim needs any.
_MOST_TRIPLE_TERMS = 100
# Each use of a context costs its size again.
_MOST_CONTEXTS, _MOST_SCOPED_TERMS = 1000, 200
# A payer, a diagnosis and the like may be shared by many claims, so each must be small.
_MOST_IN_NODE = 100

_Object: TypeAlias = Any  # a term of pyoxigraph: NamedNode, BlankNode, Literal or Triple


class _Fault(Exception):
    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(message)
        self.message, self.where = message, where


class _Node(dict[str, Any]):
    """An object of claim JSON that knows its class and what to call it in a problem."""

    def __init__(self, kind: str, label: str) -> None:
        super().__init__()
        self.kind, self.label = kind, label


def read_rdf(text: str, *, source: str, media_type: str) -> Iterator[Claim | Problem]:
    """Read each ``clm:Claim`` of a graph (``text/turtle`` or ``application/ld+json``); nothing is ever fetched."""
    try:
        reader = _Reader(_json_ld(text) if media_type == "application/ld+json" else _turtle(text))
    except (_Fault, JsonFault) as fault:
        yield Problem(source, fault.where, fault.message)
        return
    except RecursionError:
        yield Problem(source, "", "nested too deeply")
        return
    if not reader.claims:
        yield Problem(source, "", f"no claim in this graph: nothing is a clm:Claim (<{CLM.Claim}>)")
    for number, node in enumerate(reader.claims, 1):
        yield from reader.read(node, number, source)


# --- Syntax -----------------------------------------------------------------------------------------------------------


def _turtle(text: str) -> Iterator[Any]:
    if text.count("<<") > _MOST_TRIPLE_TERMS:
        raise _Fault(f"more than {_MOST_TRIPLE_TERMS} triple terms (<<); a claim needs none")
    return _parsed(text.encode("utf-8", "replace"), RdfFormat.TURTLE)


def _json_ld(text: str) -> Iterator[Any]:
    document = load_json(text)
    if isinstance(document, list) and document and all(_has_only_our_context(item) for item in document):
        bare = [{name: value for name, value in item.items() if name != "@context"} for item in document]
        document = {"@context": CONTEXT_IRI, "@graph": bare}
    prepared = json.dumps(_Preparation().value(document, 0))
    # Lenient, because a name in place of an IRI ("Medicare Part B") would else vanish without a word.
    return _parsed(prepared.encode(), RdfFormat.JSON_LD, lenient=True)


def _parsed(data: bytes, form: RdfFormat, lenient: bool = False) -> Iterator[Any]:
    try:
        yield from parse(data, format=form, base_iri=_BASE, lenient=lenient)
    except SyntaxError as error:
        where = f"line {error.lineno}, column {error.offset}" if error.lineno and form == RdfFormat.TURTLE else ""
        raise _Fault(_plain_syntax_error(error.msg), where) from None
    except (ValueError, OSError):
        raise _Fault("neither Turtle nor JSON-LD that can be read") from None
    except MemoryError:  # how pyoxigraph refuses a single text or word of more than 16 MB
        raise _Fault("a text or word that is too long") from None


def _plain_syntax_error(message: str) -> str:
    """Take the parser's words, but not what it quotes of the text."""
    message = re.sub(r"^Parser error .*?: ", "", message, flags=re.DOTALL)
    if message.startswith("Unexpected end"):
        return "the text ends too early"
    if wrong := re.search(r"is not a valid .*?(subject|predicate|object)", message, re.DOTALL):
        return f"what stands here cannot be {_a(wrong[1])}; is something missing before it?"
    if prefix := re.fullmatch(r"The prefix ([\w.-]{0,40}:) has not been declared", message):
        return f"the prefix {prefix[1]} is not declared"
    plain = re.fullmatch(r"[\w @^.,;:<>()*+#\\-]{1,80}", message.split(", found")[0], re.ASCII)
    return f"not well-formed: {plain[0]}" if plain else "not well-formed from here on"


def _has_only_our_context(item: object) -> bool:
    return isinstance(item, dict) and item.get("@context") == CONTEXT_IRI


@cache
def _our_context() -> dict[str, object]:
    text = files("chartulary").joinpath("claim.context.jsonld").read_text("utf-8")
    context: dict[str, object] = json.loads(text)["@context"]
    return context


class _Preparation:
    """Makes JSON-LD safe to parse: no remote context, our own in place, and amounts as text, which stays exact."""

    def __init__(self) -> None:
        self._ours = 0

    def value(self, value: object, contexts: int) -> object:
        if isinstance(value, dict):
            return {name: self._member(name, item, contexts) for name, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, contexts) for item in value]
        return f"{value:f}" if isinstance(value, Decimal) else value

    def _member(self, name: str, value: object, contexts: int) -> object:
        if name == "@context":
            return self._context(value, contexts)
        if name == "@import":
            raise _Fault("@import in a context is not followed; write out what it holds")
        return float(value) if name == "@version" and isinstance(value, Decimal) else self.value(value, contexts)

    def _context(self, value: object, contexts: int) -> object:
        if isinstance(value, list):
            return [self._context(item, contexts) for item in value]
        if isinstance(value, str):
            if value != CONTEXT_IRI:
                raise _Fault(f"a remote @context is not fetched; use {CONTEXT_IRI}, or write the context out")
            self._ours += 1
            if self._ours > _MOST_CONTEXTS:
                raise _Fault(f"@context more than {_MOST_CONTEXTS} times; give it once, above a @graph")
            return _our_context()
        if value is not None and not isinstance(value, dict):
            raise _Fault("a context must be an object")
        if contexts and value and len(value) > _MOST_SCOPED_TERMS:
            raise _Fault(f"a context with more than {_MOST_SCOPED_TERMS} terms inside another")
        return self.value(value, contexts + 1)


# --- Graph to claim JSON ----------------------------------------------------------------------------------------------


class _Reader:
    def __init__(self, quads: Iterator[Any]) -> None:
        self.claims: dict[_Object, None] = {}
        self._triples: dict[_Object, dict[tuple[str, _Object], None]] = defaultdict(dict)
        self._plain: dict[_Object, _Object] = {}
        self._numbers: dict[_Object, int] = {}
        self._lines: set[_Object] = set()
        self._faults: dict[tuple[str, str], None] = {}
        for quad in quads:
            predicate = quad.predicate.value
            # Not only clm:, because a misspelt name within a code of JSON-LD falls into the namespace of that code.
            if predicate.startswith(CLM) or (predicate.startswith(ROOT) and not predicate.startswith(ROOT + "def/")):
                self._triples[quad.subject][re.split("[/#]", predicate)[-1], quad.object] = None
                if predicate == str(CLM.number) and re.fullmatch("[0-9]{1,9}", getattr(quad.object, "value", "")):
                    self._numbers[quad.subject] = int(quad.object.value)
            elif predicate == _RDF + "value":
                self._plain[quad.subject] = quad.object
            elif predicate == _RDF + "type" and quad.object == _CLAIM:
                self.claims[quad.subject] = None

    def read(self, node: _Object, number: int, source: str) -> Iterator[Claim | Problem]:
        """Read one claim: the claim, or else what is wrong with it."""
        label = _label(node) or f"claim {number}"
        self._faults = {}
        document = self._node(node, "Claim", label)
        if self._faults:
            yield from (Problem(source, *fault) for fault in self._faults)
            return
        name = unquote(re.split("[/#:]", node.value)[-1]) if isinstance(node, NamedNode) else ""
        if name and name.isprintable():
            document.setdefault("id", name)
        for item in read_claim(document, source=source, number=number):
            if isinstance(item, Claim):
                yield replace(item, where=label)
            else:
                yield replace(item, where=_place(document, item.where), message=_in_our_terms(item.message))

    def _fault(self, message: str, *where: str) -> None:
        if len(self._faults) < MAX_PROBLEMS:
            self._faults[", ".join(where), message] = None

    def _node(self, node: _Object, kind: str, label: str) -> _Node:
        document, triples = _Node(kind, label), self._triples.get(node, {})
        if kind not in ("Claim", "Line") and len(triples) > _MOST_IN_NODE:
            self._fault(f"more than {_MOST_IN_NODE} values on {_a(kind)}", label)
            return document
        by_field: dict[str, list[tuple[str, _Object]]] = defaultdict(list)
        for name, value in triples:
            if name in TERMS[kind]:
                by_field[TERMS[kind][name].field].append((name, value))
            elif name != "number" or kind == "Claim":  # elsewhere it gives the order
                self._fault(_unknown(name, kind), label)
        for field, pairs in by_field.items():
            term = TERMS[kind][pairs[0][0]]
            if term.kind in TERMS and len(pairs) > 1:
                pairs.sort(key=lambda pair: self._numbers.get(pair[1], 10**9))
            values = []
            for position, (name, value) in enumerate(pairs, 1):
                place = f"clm:{name} {position}" if term.many else f"clm:{name}"
                try:
                    values.append(self._value(TERMS[kind][name], value, label, place))
                except _Fault as fault:
                    self._fault(fault.message, label, f"clm:{name}")
                if len(self._faults) == MAX_PROBLEMS:
                    return document
            if field == "findings":
                document[field] = dict(values)
                if len(document[field]) < len(set(map(str, values))):
                    self._fault("a finding is said to be two different things", label)
            elif term.many:
                document[field] = values
            elif values:
                document[field] = values[0]
                if any(value != values[0] for value in values):
                    self._fault("has more than one value", label, f"clm:{pairs[0][0]}")
        return document

    def _value(self, term: Term, value: _Object, label: str, place: str) -> Any:
        described = value in self._triples
        if not described:
            value = self._plain.get(value, value)
        if term.kind in TERMS:
            if described or isinstance(value, BlankNode):
                if term.kind == "Line" and value in self._lines:
                    raise _Fault("this line stands in another claim already")
                if term.kind == "Line":
                    self._lines.add(value)
                return self._node(value, term.kind, _label(value) or f"{label}, {place}")
            if term.kind not in _BARE:
                raise _Fault(f"gives no node with the properties of {_a(term.kind)}")
            inner = next(iter(TERMS[term.kind].values()))
            return {inner.field: _scalar(inner, value)}
        if term.kind in _FINDING:
            if not described:
                return _scalar(term, value), _FINDING[term.kind]
            finding = self._node(value, "Finding", label)
            if term.kind != "so" or finding.keys() not in ({"name", "value"}, {"name", "only"}):
                raise _Fault(
                    "must be the name of a finding, or for clm:finding a node with clm:name and clm:value (or clm:only)"
                )
            return finding["name"], finding.get("value", finding.get("only"))
        return _scalar(term, value)


def _scalar(term: Term, value: _Object) -> Any:
    if isinstance(value, Literal):
        datatype = value.datatype.value.removeprefix(_XSD)
        found = value.value
    elif isinstance(value, NamedNode):
        datatype = ""
        found = _notation(term, value.value)
    else:
        raise _Fault("must be one value, not a node")
    if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", found):
        raise _Fault("a control character in text")
    if term.kind == "value" and datatype == "boolean":
        return found in ("true", "1")
    if term.kind == "day":
        return re.sub(r"(?<=-[0-9]{2})(Z|[+-][0-9]{2}:[0-9]{2})$", "", found)  # xsd:date allows a time zone
    if term.kind == "count" and re.fullmatch("[+-]?[0-9]{1,9}", found, re.ASCII):
        return int(found)
    if term.kind == "amount":
        if datatype in ("double", "float"):
            raise _Fault("a binary float is not exact; write a decimal such as 475000.00")
        if len(found) <= 50 and re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", found):
            return Decimal(found)
    return found


def _notation(term: Term, iri: str) -> str:
    """Take a code or name out of its IRI."""
    if term.kind not in ("code", "name", "words", *_FINDING):
        raise _Fault("must be a literal, not an IRI")
    if iri.startswith(_BASE):  # JSON-LD: plain text where the context expects an IRI
        if iri.startswith(_BASE + "#"):
            raise _Fault("refers to something that is not described here")
        return unquote(iri.removeprefix(_BASE))
    if iri.startswith(CLM):  # JSON-LD likewise
        return unquote(iri.removeprefix(CLM))
    prefix, _, rest = iri.partition(":")
    if prefix in _PATHS:  # JSON-LD: a prefix that is a property in our context
        iri = ROOT + _PATHS[prefix] + rest
    if not iri.startswith(ROOT):
        raise _Fault("an IRI outside the register; give the code or name as text")
    path, slash, last = iri.removeprefix(ROOT).rpartition("/")
    prefix = _PREFIX_OF.get(path + slash, "")
    if prefix and term.schemes and prefix not in term.schemes.split():
        raise _Fault(f"must be a {': or '.join(term.schemes.split())}: IRI, not {prefix}:")
    return unquote(last).replace("-", " ") if term.kind == "words" else unquote(last)


# --- Wording ----------------------------------------------------------------------------------------------------------


def _label(node: _Object) -> str:
    label = node.value.removeprefix(_BASE)[:100] if isinstance(node, NamedNode) else ""
    return label if label.isprintable() else ""


def _a(kind: str) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower()
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


@cache
def _near(name: str, kind: str) -> str:
    if name not in TERMS[kind]:
        owners = [owner for owner in TERMS if name in TERMS[owner]]
        if owners:
            return f" but of {_a(owners[0])}"
    near = difflib.get_close_matches(name, TERMS[kind], 1)
    return f"; did you mean clm:{near[0]}?" if near else ""


def _unknown(name: str, kind: str) -> str:
    if not re.fullmatch(r"\w{1,40}", name, re.ASCII):
        return f"a property in the namespace of clm: that no {kind.lower()} has"
    return f"clm:{name} is not a property of {_a(kind)}{_near(name, kind)}"


def _place(document: _Node, path: str) -> str:
    """Say a place in claim JSON (``lines[0].charge``) in terms of the graph (``#c1-1, clm:charge``)."""
    node: Any = document
    last, name = document, ""
    for field, index in re.findall(r"([^.\[\]]+)|\[([0-9]+)\]", path):
        try:
            node = node[int(index)] if index else node[field]
        except (LookupError, TypeError):
            node = None
        if isinstance(node, _Node):
            last, name = node, ""
        elif field:
            name = next((known for known, term in TERMS[last.kind].items() if term.field == field), name)
    return f"{last.label}, clm:{name}" if name else last.label


def _in_our_terms(message: str) -> str:
    message = re.sub(r"field '(\w+)'", r"clm:\1", message)
    return re.sub(r"\b[a-z]+(?:_[a-z]+)+\b", lambda field: f"clm:{_camel(field[0])}", message)


def _camel(field: str) -> str:
    first, *others = field.split("_")
    return first + "".join(word.capitalize() for word in others)


# --- Writing ----------------------------------------------------------------------------------------------------------


def claim_to_turtle(claim: Claim) -> str:
    """Write a claim in the claim vocabulary, in the order of the table above; :func:`read_rdf` gives it back."""
    pairs = [f"    {pair}" for pair in _pairs(claim_to_json(claim), "Claim", "    ")]
    body = " ;\n".join([f"<{iri_for(claim.id)}>\n    a clm:Claim", *pairs]) + " ."
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", body)
    known = {"clm": str(CLM), "rdf": _RDF, "xsd": _XSD, **{prefix: ROOT + path for prefix, path in _PATHS.items()}}
    used = set(re.findall(r"\b(\w+):", outside))
    prefixes = [f"PREFIX {prefix}: <{iri}>" for prefix, iri in sorted(known.items()) if prefix in used]
    return "\n".join(prefixes) + f"\n\n{body}\n"


def _pairs(document: dict[str, Any], kind: str, pad: str) -> Iterator[str]:
    """Write the properties of one node with their values."""
    document = dict(document)
    if kind == "Line" and "first_day" in document and document["first_day"] == document.get("last_day"):
        document["date_of_service"] = document.pop("first_day")
        del document["last_day"]
    for name, value in document.pop("findings", {}).items():
        yield _written_finding(name, value)
    names: dict[str, list[str]] = defaultdict(list)
    for name, term in TERMS[kind].items():
        names[term.field].append(name)
    for field, known in names.items():
        if field not in document:
            continue
        value, term = document[field], TERMS[kind][known[0]]
        items = value if term.many else [value]
        if term.kind in TERMS:
            # Lines point to diagnoses by their place; elsewhere the order says nothing.
            numbered = term.kind == "Diagnosis" and len(items) > 1
            for position, item in enumerate(items, 1):
                yield f"clm:{known[0]} {_block(item, term.kind, pad, position if numbered else 0)}"
            continue
        as_sent = field == "code" and not {"system", "code_system"}.isdisjoint(document)
        written: list[str] = []
        for item in items:
            one = _written(item, term, as_sent)
            # RDF knows no repeated value, so the second one gets a node.
            written.append(f"[ rdf:value {one} ]" if one in written else one)
        literal = written[0].startswith('"')
        yield f"clm:{known[-1 if literal else 0]} {' , '.join(written)}"


def _block(document: dict[str, Any], kind: str, pad: str, position: int) -> str:
    inner = pad + "    "
    pairs = list(_pairs(document, kind, inner))
    if kind == "Line":
        pairs.insert(0, "a clm:Line")
    elif position:
        pairs.insert(0, f"clm:number {position}")
    if kind != "Line" and len(" ; ".join(pairs)) < 100:
        return f"[ {' ; '.join(pairs)} ]" if pairs else "[]"
    return "[\n" + " ;\n".join(inner + pair for pair in pairs) + f"\n{pad}]"


def _written_finding(name: str, value: bool | str | list[str] | None) -> str:
    if isinstance(value, list):
        return f"clm:finding [ clm:name {_text(name)} ; clm:only {' , '.join(map(_text, value))} ]"
    if isinstance(value, str):
        return f"clm:finding [ clm:name {_text(name)} ; clm:value {_text(value)} ]"
    known = next(known for known, term in TERMS["Claim"].items() if _FINDING.get(term.kind, "") is value)
    return f"clm:{known} {_written(name, TERMS['Claim'][known])}"


def _written(value: Any, term: Term, as_sent: bool = False) -> str:
    if term.kind == "count":
        return str(value)
    if term.kind == "amount":
        return value if "." in value else f"{value}.0"
    if term.kind == "day":
        return f"{_text(value)}^^xsd:date"
    if term.kind in ("code", *_FINDING) and term.schemes and not as_sent:
        schemes = term.schemes.split()
        if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", value):
            return f"{schemes[-1 if value[0].isalpha() else 0]}:{value}"
    return _text(value)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)

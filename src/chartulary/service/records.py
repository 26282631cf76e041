"""``/v1/policies``, ``/v1/provisions`` and ``/v1/statements``: what the register holds, as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from chartulary import formats
from chartulary.book import COMMENT, POLICY, Contents
from chartulary.service.api import JSON, KnownOn, Serving, acceptable, decision_id, made_by
from chartulary.terms import IS_PART_OF, POL, ROOT, SKOS, TYPE

if TYPE_CHECKING:
    from chartulary.service.app import Service

router = APIRouter(prefix="/v1", tags=["register"])

_DCTERMS = "http://purl.org/dc/terms/"
_STATEMENT = f"{ROOT}statement/"
_KINDS = (POL.Provision, POL.Amendment)
_OBJECT = {"content": {JSON: {"schema": {"type": "object"}}}}
_NOT_OFFERED = {"description": "The answer is not offered in a form that the caller takes"}


@router.get(
    "/policies",
    summary="Every policy, with its versions and what it leaves out",
    response_class=Response,
    responses={
        200: {"description": "Policies by label, versions in the order of publication", **_OBJECT},
        406: _NOT_OFFERED,
    },
)
def policies(request: Request, service: Serving, as_known_on: KnownOn = None) -> Response:
    """Lists every policy with its publisher, its published versions, and the provisions and amendments of each."""
    contents = service.contents(as_known_on)
    told = {"policies": [_policy(contents, policy) for policy in contents.policies]}
    return _answer(request, service, as_known_on, "policies", told)


@router.get(
    "/provisions/{name:path}",
    summary="A provision or an amendment, with what it asks for and rests on",
    response_class=Response,
    responses={
        200: {"description": "The provision as known on the day", **_OBJECT},
        404: {"description": "There is none of that name, or none was known on that day"},
        406: _NOT_OFFERED,
    },
)
def provision(
    request: Request,
    service: Serving,
    name: Annotated[
        str,
        Path(description="Policy, version and name, as its IRI has them; `%23` may part the name."),
    ],
    as_known_on: KnownOn = None,
) -> Response:
    """Tells a provision's scope, days (in their bounds), criteria, sources, and what changed it."""
    version, _, last = name.replace("#", "/").rpartition("/")
    iri = f"{POLICY}{version}#{last}"
    contents = _known(service, as_known_on, iri, _KINDS, f"provision '{name}'")
    return _answer(request, service, as_known_on, f"provisions/{iri}", _provision(contents, iri))


@router.get(
    "/statements/{name:path}",
    summary="A sentence of a source, and what rests on it",
    response_class=Response,
    responses={
        200: {"description": "The statement", **_OBJECT},
        404: {"description": "There is none of that name, or none was known on that day"},
        406: _NOT_OFFERED,
    },
)
def statement(
    request: Request,
    service: Serving,
    name: Annotated[str, Path(description="The last part of the statement's IRI.")],
    as_known_on: KnownOn = None,
) -> Response:
    """Tells a statement's document, section and quote, how it is read, and what cites it or why nothing does."""
    iri = _STATEMENT + name
    contents = _known(service, as_known_on, iri, (POL.Statement,), f"statement '{name}'")
    return _answer(request, service, as_known_on, f"statements/{iri}", _statement(contents, iri))


def _known(service: Service, as_known_on: date | None, iri: str, kinds: Iterable[str], what: str) -> Contents:
    """What was known on the day, if the thing was.

    Raises:
        HTTPException: there is no such thing, or it was not known on the day.
    """
    contents = service.contents(as_known_on)
    if any(contents.facts.has(iri, TYPE, kind) for kind in kinds):
        return contents
    later = service.snapshot(None).facts
    if any(later.has(iri, TYPE, kind) for kind in kinds):
        raise HTTPException(404, f"{what} was not known on that day")
    raise HTTPException(404, f"there is no {what}")


def _answer(request: Request, service: Service, as_known_on: date | None, what: str, told: dict[str, Any]) -> Response:
    acceptable(request, [JSON])
    decision = decision_id(service, as_known_on, what, b"")
    whole = {
        "decision": decision,
        "register_revision": service.register.revision,
        "as_known_on": as_known_on,
        **told,
    }
    return Response(formats.encoded(whole), media_type=JSON, headers=made_by(service, as_known_on, decision))


# --- Records ----------------------------------------------------------------------------------------------------------


def _named(contents: Contents, nodes: Iterable[str]) -> list[dict[str, Any]]:
    """Things by their labels, with their codes where they have one."""
    told = []
    for node in contents.by_label(nodes):
        code = contents.facts.value(node, SKOS.notation)
        told.append({"iri": node, "label": contents.reader.label(node), **({"code": str(code)} if code else {})})
    return told


def _text(contents: Contents, node: str, predicate: str) -> str | None:
    return contents.text(node, predicate) or None


def _bounds(contents: Contents, node: str, name: str) -> dict[str, date | None]:
    earliest, latest = contents.bounds(node, name)
    return {"earliest": earliest, "latest": latest}


def _policy(contents: Contents, policy: str) -> dict[str, Any]:
    facts = contents.facts
    return {
        "policy": policy,
        "label": contents.reader.label(policy),
        "title": _text(contents, policy, f"{_DCTERMS}title"),
        "publisher": _text(contents, policy, f"{_DCTERMS}publisher"),
        "payers": _named(contents, facts.objects(policy, POL.ofPayer)),
        "incomplete": sorted(map(str, facts.objects(policy, POL.incomplete))),
        "versions": [
            {
                "version": version,
                "label": contents.reader.label(version),
                "published": _bounds(contents, version, "published"),
                "implemented_on": facts.value(version, POL.implementedOn),
                "sources": _named(contents, facts.objects(version, POL.source)),
                "amendments": contents.inside(version, POL.Amendment),
                "provisions": contents.inside(version, POL.Provision),
            }
            for version in contents.versions(policy)
        ],
    }


def _provision(contents: Contents, node: str) -> dict[str, Any]:
    facts, label = contents.facts, contents.reader.label
    version = node.partition("#")[0]
    policy = facts.value(version, POL.versionOf) or version
    own = contents.bounds(node, "published")
    told: dict[str, Any] = {
        "provision": node,
        "label": label(node),
        "comment": _text(contents, node, COMMENT),
        "policy": policy,
        "policy_label": label(policy),
        "version": version,
        "version_label": label(version),
        "published": _bounds(contents, node if any(own) else version, "published"),
        "implemented_on": facts.value(node, POL.implementedOn) or facts.value(version, POL.implementedOn),
        "cites": contents.reader.cites(node),
    }
    if facts.has(node, TYPE, POL.Amendment):
        starts = contents.starts(node)
        effective = {"earliest": starts[0], "latest": starts[1]}
        return {
            **told,
            "kind": "amendment",
            "effective_from": effective,
            "ends": _named(contents, facts.objects(node, POL.ends)),
        }
    period = contents.period(node)
    scope = facts.value(node, POL.scope)
    return {
        **told,
        "kind": "provision",
        "effective": {
            "possible_from": period.possible_from,
            "certain_from": period.certain_from,
            "certain_until": period.certain_until,
            "possible_until": period.possible_until,
            "in_words": period.words,
        },
        "severity": contents.severity(node),
        "scope": {
            "iri": scope,
            "label": label(scope),
            "payers": _named(contents, facts.objects(scope, POL.payer)),
            "lines_of_business": _named(contents, facts.objects(scope, POL.lineOfBusiness)),
            "settings": _named(contents, facts.objects(scope, POL.setting)),
            "requests": _named(contents, facts.objects(scope, POL.request)),
        },
        "about": _named(contents, facts.objects(node, POL.about)),
        "held_against": contents.checked(node),
        "requires": _criteria(contents, facts.objects(node, POL.requires)),
        "prohibits": _criteria(contents, facts.objects(node, POL.prohibits)),
        "when": _criteria(contents, facts.objects(node, POL.when)),
        "unless": _criteria(contents, facts.objects(node, POL.unless)),
        "overrides": _named(contents, facts.objects(node, POL.overrides)),
        "overridden_by": _named(contents, facts.subjects(POL.overrides, node)),
        "sets_aside": _named(contents, facts.objects(node, POL.suspends)),
        "changed_by": contents.reader.changes(node),
    }


def _criteria(contents: Contents, criteria: Iterable[str]) -> list[dict[str, Any]]:
    facts = contents.facts
    told = []
    for criterion in contents.by_label(criteria):
        kinds = sorted(kind.rpartition("#")[2] for kind in facts.objects(criterion, TYPE))
        told.append(
            {
                "criterion": criterion,
                "label": contents.reader.label(criterion),
                "kind": ", ".join(kinds),
                "expects": _named(contents, facts.objects(criterion, POL.expects)),
                "members": _criteria(contents, facts.objects(criterion, POL.member)),
            }
        )
    return told


def _statement(contents: Contents, node: str) -> dict[str, Any]:
    facts = contents.facts
    source = str(facts.value(node, IS_PART_OF))
    status = facts.value(node, POL.verificationStatus) or facts.value(source, POL.verificationStatus)
    return {
        "statement": node,
        "source": source,
        "document": contents.reader.label(source),
        "title": _text(contents, source, f"{_DCTERMS}title"),
        "published": _bounds(contents, source, "published"),
        "section": _text(contents, node, POL.section),
        "quote": _text(contents, node, POL.quote),
        "says": _text(contents, node, POL.says),
        "ambiguity": _text(contents, node, POL.ambiguity),
        "not_encoded": _text(contents, node, POL.notEncoded),
        "verified": status != POL.Unverified,
        "cited_by": _named(contents, facts.subjects(POL.cites, node)),
    }

"""The policies: a list, a page for each, for each published version, and for each source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import Response

from chartulary.book import COMMENT, Contents, Period
from chartulary.formats import published
from chartulary.report import Citation
from chartulary.service.api import Serving
from chartulary.service.asking import Quote, change_of, quotes
from chartulary.service.drawing import draw
from chartulary.service.pages import page
from chartulary.service.things import Said, Value
from chartulary.terms import IS_PART_OF, POL, TYPE
from chartulary.timeline import Row

if TYPE_CHECKING:
    from chartulary.service.app import Service

router = APIRouter(include_in_schema=False)

_DCTERMS = "http://purl.org/dc/terms/"
_SEPARATE_RULES = 8
"""So many rules of the same days have a line each on the timeline; more share one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A provision or an amendment in words."""

    iri: str
    kind: str
    label: str
    comment: str
    days: str
    said: tuple[Said, ...]
    quotes: tuple[Quote, ...]

    @property
    def spot(self) -> str:
        return self.iri.partition("#")[2]


@dataclass(frozen=True, slots=True)
class Version:
    """A published version, and what stands in it."""

    iri: str
    label: str
    comment: str
    published: str
    said: tuple[Said, ...]
    changes: tuple[Entry, ...]
    rules: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A statement of a source, and what became of it."""

    quote: Quote
    cited_by: tuple[Value, ...]
    not_encoded: str


# --- Routes -----------------------------------------------------------------------------------------------------------


@router.get("/policies")
def policies(request: Request, service: Serving) -> Response:
    """Every policy: who published it, its versions, and what it leaves out."""
    contents = service.contents()
    told = []
    for policy in contents.policies:
        versions = [(v, contents.reader.label(v), _published(contents, v)) for v in contents.versions(policy)]
        rules = sum(len(contents.inside(version, POL.Provision)) for version, *_ in versions)
        told.append(
            {
                "iri": policy,
                "label": contents.reader.label(policy),
                "title": contents.text(policy, f"{_DCTERMS}title"),
                "publisher": contents.text(policy, f"{_DCTERMS}publisher"),
                "payers": ", ".join(contents.labels(contents.facts.objects(policy, POL.ofPayer))),
                "versions": versions,
                "rules": rules,
                "incomplete": sorted(map(str, contents.facts.objects(policy, POL.incomplete))),
            }
        )
    statements = len(contents.facts.subjects(TYPE, POL.Statement))
    return page(request, "policies.html", view="Policies", policies=told, statements=statements)


def policy_page(request: Request, service: Service, policy: str) -> Response:
    """Versions in time, what each says and changed, what its sources say, and what of that is not encoded."""
    contents = service.contents()
    versions = [_version(contents, version) for version in contents.versions(policy)]
    nodes = (policy, *(version.iri for version in versions))
    sources = contents.by_label({source for node in nodes for source in contents.facts.objects(node, POL.source)})
    proposals = [
        row for row in contents.snapshot.ask("proposals").results if str(row["proposal"]).startswith(f"{policy}/")
    ]
    sentences = {source: _sentences(contents, source) for source in sources}
    return page(
        request,
        "policies_policy.html",
        view="Policies",
        policy=policy,
        title=contents.reader.label(policy),
        comment=contents.text(policy, COMMENT),
        incomplete=sorted(map(str, contents.facts.objects(policy, POL.incomplete))),
        said=_about(contents, policy, sources),
        versions=versions,
        drawing=draw(list(_rows(contents, versions)), None),
        proposals=[(row, quotes(contents.facts, row["cites"], row["label"])) for row in proposals],
        sources=[(source, contents.reader.label(source), sentences[source]) for source in sources],
        ambiguous=[each for of in sentences.values() for each in of if each.quote.ambiguity],
        not_encoded=[each for of in sentences.values() for each in of if each.not_encoded],
    )


def version_page(request: Request, service: Service, version: str) -> Response:
    """All that a published version says, each part under its own name."""
    contents = service.contents()
    told = _version(contents, version)
    policy = contents.facts.value(version, POL.versionOf)
    shown = [version, *(entry.iri for entry in (*told.changes, *told.rules))]
    return page(
        request,
        "policies_version.html",
        view="Policies",
        version=told,
        quotes=_quotes(contents, version),
        policy=policy,
        policy_label=contents.reader.label(policy),
        inside=service.things.inside(version, but=shown),
    )


def source_page(request: Request, service: Service, source: str) -> Response:
    """A document, and every sentence of it that the register knows."""
    contents, thing = service.contents(), service.things.thing(source)
    uses = [each for each in service.things.uses(source) if each.href != IS_PART_OF]
    return page(
        request,
        "policies_source.html",
        view="Policies",
        thing=thing,
        uses=uses,
        sentences=_sentences(contents, source),
    )


# --- Parts ------------------------------------------------------------------------------------------------------------


def _published(contents: Contents, version: str) -> str:
    return published(contents.text(version, POL.publishedText))


def _facts(entries: Iterable[tuple[str, str | tuple[Value, ...]]]) -> tuple[Said, ...]:
    """Entries that say something."""
    return tuple(Said(name, "", (Value(told),) if isinstance(told, str) else told) for name, told in entries if told)


def _links(contents: Contents, nodes: Iterable[str]) -> tuple[Value, ...]:
    return tuple(Value(contents.reader.label(node), node) for node in contents.by_label(nodes))


def _quotes(contents: Contents, node: str) -> tuple[Quote, ...]:
    cites = contents.reader.cites(node)
    return quotes(contents.facts, [_plain(cite) for cite in cites], contents.reader.label(node))


def _plain(cite: Citation) -> dict[str, str]:
    return {
        "statement": cite.statement,
        "document": cite.document,
        "section": cite.section,
        "quote": cite.quote,
        "ambiguity": cite.ambiguity or "",
    }


def _about(contents: Contents, policy: str, sources: list[str]) -> tuple[Said, ...]:
    facts = contents.facts
    return _facts(
        (
            ("Title", contents.text(policy, f"{_DCTERMS}title")),
            ("Published by", contents.text(policy, f"{_DCTERMS}publisher")),
            ("Payer", _links(contents, facts.objects(policy, POL.ofPayer))),
            ("Sources", _links(contents, sources)),
        )
    )


def _version(contents: Contents, version: str) -> Version:
    facts = contents.facts
    implemented = facts.value(version, POL.implementedOn)
    entries = (
        ("Published", _published(contents, version)),
        ("In the payer’s systems from", str(implemented or "")),
        ("Reviewed", contents.day(version, "reviewed")),
        ("Approved", contents.day(version, "approved")),
        ("Next review", contents.day(version, "nextReview")),
        ("Sources", _links(contents, facts.objects(version, POL.source))),
        ("Refers to", _links(contents, facts.objects(version, POL.refersTo))),
    )
    return Version(
        iri=version,
        label=contents.reader.label(version),
        comment=contents.text(version, COMMENT),
        published=_published(contents, version),
        said=_facts(entries),
        changes=tuple(_amendment(contents, change) for change in contents.inside(version, POL.Amendment)),
        rules=tuple(_provision(contents, rule) for rule in contents.inside(version, POL.Provision)),
    )


def _amendment(contents: Contents, change: str) -> Entry:
    ended = contents.by_label(contents.facts.objects(change, POL.ends))
    before = tuple(
        Value(contents.reader.label(rule), rule, after=f" ({contents.period(rule).words})") for rule in ended
    )
    asked = change_of(contents, change)
    compared: tuple[Value, ...] = ()
    if asked and asked.known:
        compared = (Value("what was answered before it came out, and after", f"/changes?{asked.known}"),)
    entries = (
        ("Services", f"from {contents.since(change)}"),
        ("In the payer’s systems from", str(contents.facts.value(change, POL.implementedOn) or "")),
        ("Published", contents.known(change)),
        ("Ends", before),
        ("Side by side", compared),
    )
    days = f"for services from {contents.since(change)}"
    return _entry(contents, change, "change", days, _facts(entries))


def _provision(contents: Contents, rule: str) -> Entry:
    facts, label = contents.facts, contents.reader.label
    scope = facts.value(rule, POL.scope)
    asks = contents.asks(rule)
    severity = contents.severity(rule)
    if asks:
        gives = {"violation": "a violation", "review": "a review"}.get(severity, "information") + " where it is broken"
    else:
        gives = "a notice: it only tells" if severity == "info" else "it asks nothing of the claim: a person decides"
    ended = tuple(
        Value(change.label, change.amendment, after=f", for services from {contents.since(change.amendment)}")
        for change in contents.reader.changes(rule)
    )
    under = facts.subjects(POL.overrides, rule)
    days = contents.period(rule).words
    entries = (
        ("Binds", (Value(label(scope), scope), Value(contents.scope(scope)))),
        ("About", _links(contents, facts.objects(rule, POL.about))),
        ("Held against", contents.checked(rule)),
        ("Services", days),
        ("Published", contents.known(rule)),
        ("Needs", _criteria(contents, rule, POL.requires)),
        ("Must not", _criteria(contents, rule, POL.prohibits)),
        ("When", _criteria(contents, rule, POL.when)),
        ("Unless", _criteria(contents, rule, POL.unless)),
        ("Recommends", contents.recommends(rule)),
        ("Gives", gives),
        ("Ended by", ended),
        ("Overrides", _links(contents, facts.objects(rule, POL.overrides))),
        ("Gives way to", _links(contents, under)),
        ("Sets aside", _links(contents, facts.objects(rule, POL.suspends))),
    )
    kind = "prohibition" if facts.objects(rule, POL.prohibits) and not facts.objects(rule, POL.requires) else ""
    return _entry(contents, rule, kind or ("requirement" if asks else "notice"), days, _facts(entries))


def _entry(contents: Contents, node: str, kind: str, days: str, said: tuple[Said, ...]) -> Entry:
    return Entry(
        node, kind, contents.reader.label(node), contents.text(node, COMMENT), days, said, _quotes(contents, node)
    )


def _criteria(contents: Contents, rule: str, place: str) -> tuple[Value, ...]:
    """The criteria in a place, each with what it comes down to where its label does not say."""
    found = []
    for criterion in contents.by_label(contents.facts.objects(rule, place)):
        word, sought = contents.sought(criterion)
        inner = f" {word} ".join(sought) if word != "looks for" else f"looks for {', '.join(sought)}"
        found.append(Value(contents.reader.label(criterion), criterion, after=f" ({inner})" if sought else ""))
    return tuple(found)


def _sentences(contents: Contents, source: str) -> tuple[Sentence, ...]:
    """Every sentence of a document, in the order of its names."""
    facts = contents.facts
    document = contents.reader.label(source)
    found = []
    for statement in sorted(facts.subjects(IS_PART_OF, source)):
        cite = {
            "statement": statement,
            "document": document,
            "section": contents.text(statement, POL.section),
            "quote": contents.text(statement, POL.quote),
            "ambiguity": contents.text(statement, POL.ambiguity),
        }
        (quote,) = quotes(facts, [cite], "")
        cited = _links(contents, facts.subjects(POL.cites, statement))
        found.append(Sentence(quote, cited, contents.text(statement, POL.notEncoded)))
    return tuple(found)


# --- Timeline ---------------------------------------------------------------------------------------------------------


def _rows(contents: Contents, versions: list[Version]) -> Iterator[Row]:
    """Each version with its changes, and its rules: those of the same days together where they are many."""
    for version in versions:
        implemented = contents.facts.value(version.iri, POL.implementedOn)
        told = f"published {version.published}"
        yield Row(
            kind="version",
            label=version.label,
            told=f"{told}, in the payer’s systems from {implemented}" if implemented else told,
            target=version.iri,
            published=contents.bounds(version.iri, "published"),
            implemented=implemented,
        )
        for change in version.changes:
            yield Row(
                kind="change",
                label=change.label,
                told=change.days,
                target=change.iri,
                starts=contents.starts(change.iri),
            )
        yield from _rules(contents, version.rules)


def _rules(contents: Contents, rules: tuple[Entry, ...]) -> Iterator[Row]:
    alike: dict[Period, list[Entry]] = {}
    for rule in rules:
        alike.setdefault(contents.period(rule.iri), []).append(rule)
    for period in sorted(alike, key=lambda each: each.order):
        group = alike[period]
        if len(group) > _SEPARATE_RULES:
            label, kind = f"{len(group)} provisions", "rule"
            target = group[0].iri
            yield Row(kind=kind, label=label, told=period.words, target=target, period=period)
            continue
        for rule in group:
            yield Row(kind=rule.kind, label=rule.label, told=period.words, target=rule.iri, period=period)

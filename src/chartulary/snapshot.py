"""Folds the register into what was known on a day: amendments applied, periods as bounds, every default written out.

The register is append-only and speaks in four dates; rules and questions should not have to. A snapshot is one plain
graph in which each provision has ``pol:possibleFrom <= pol:certainFrom`` and ``pol:certainUntil <= pol:possibleUntil``
(days of service, inclusive), each scope names a payer, line of business, setting and request, and each thing lists what
it is within.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Literal as Choice

from rdflib import RDF, Graph, Literal, Node, URIRef
from rdflib.namespace import DCTERMS, SKOS

from chartulary.namespaces import COD, POL, ROOT
from chartulary.terms import PERIOD, PUBLISHED

FIRST_DAY, LAST_DAY = date.min, date.max
Unknown = Choice["review", "info"]

_DEFAULTS = (
    (POL.payer, URIRef(ROOT + "payer/any")),
    (POL.lineOfBusiness, URIRef(ROOT + "line-of-business/any")),
    (POL.setting, URIRef(ROOT + "setting/any")),
)
_PERIOD = ("possibleFrom", "certainFrom", "certainUntil", "possibleUntil")
_LEAST, _MOST = Literal(-(10**17)), Literal(10**17)
# Criteria that look for something among a claim's records, and where they name it.
_RECORD_KINDS = (
    POL.EventBefore,
    POL.EventByService,
    POL.EventOnService,
    POL.DocumentWithin,
    POL.DocumentAfterService,
    POL.DocumentResult,
    POL.NumberWithin,
    POL.SameProduct,
)
_SOUGHT = (POL.event, POL.document, POL.measure, POL.finding)
_KINDS = (POL.Shows, POL.CodeValid, POL.OnAnotherDay, POL.AgeUnder, POL.AllOf, POL.AnyOf, *_RECORD_KINDS)
_OBLIGATIONS = (POL.requires, POL.prohibits)
_CONDITIONS = (POL.when, POL.unless)


def fold(files: Mapping[URIRef, Graph], *, as_known_on: date | None, unknown: Unknown = "review") -> Graph:
    """The register as known on a day.

    ``files`` maps each file's IRI to its graph. ``as_known_on`` None takes in everything. ``unknown`` is what an
    unknown obligation gives where its criterion does not say. A fact published after the day never shows; one that may
    have been published by then (its publication is known within bounds only) shows, but nothing in it is certain.
    """
    knowledge = _knowledge(files, as_known_on)
    graph = Graph(store="SimpleMemory")  # half as slow as rdflib's default, which keeps contexts
    hidden = {node for node, state in knowledge.items() if state == "unknown"}
    for content in files.values():
        for s, p, o in content:
            if not hidden or (s not in hidden and o not in hidden):
                graph.add((s, p, o))
    doubtful = {node for node, state in knowledge.items() if state == "maybe"}
    _inherit_days(graph)
    _write_periods(graph, doubtful)
    _write_scopes(graph)
    _write_hierarchies(graph)
    members: dict[Node, set[Node]] = defaultdict(set)
    for group, member in graph.subject_objects(POL.member):
        members[group].add(member)
    _write_criteria(graph, unknown, members)
    _write_provisions(graph, members)
    _write_deferrals(graph)
    return graph


def published(files: Mapping[URIRef, Graph], *, as_known_on: date | None) -> Iterator[tuple[URIRef, Graph]]:
    """Each file as it is written, without what was published later; not those of which nothing is left."""
    hidden = {node for node, state in _knowledge(files, as_known_on).items() if state == "unknown"}
    for iri, content in files.items():
        graph = Graph(store="SimpleMemory")
        for s, p, o in content:
            if s not in hidden and o not in hidden:
                graph.add((s, p, o))
        if len(graph):
            yield iri, graph


def _knowledge(files: Mapping[URIRef, Graph], as_known_on: date | None) -> dict[Node, str]:
    """``unknown`` or ``maybe`` for each node that was not surely published by the day."""
    if as_known_on is None:
        return {}
    states: dict[Node, str] = {}

    def judge(graph: Graph, node: Node) -> str | None:
        earliest, latest = bounds(graph, node, "published")
        if latest is None and earliest is None:
            return None
        if as_known_on >= (latest or LAST_DAY):
            return "known"
        return "maybe" if as_known_on >= (earliest or FIRST_DAY) else "unknown"

    sources: dict[Node, str] = {}
    for content in files.values():
        versions = list(content.subjects(RDF.type, POL.PolicyVersion))
        default = next((state for v in versions if (state := judge(content, v))), None)
        dated = {subject for name in PUBLISHED for subject in content.subjects(POL[name])}
        for subject in set(content.subjects()):
            state = (judge(content, subject) if subject in dated else None) or default
            if state and state != "known":
                states[subject] = state
            if state and (subject, RDF.type, POL.Source) in content:
                sources[subject] = state
    for content in files.values():
        # A statement was known when its source was, a validity when any statement behind it was.
        for statement, source in content.subject_objects(DCTERMS.isPartOf):
            if (state := sources.get(source)) and state != "known":
                states.setdefault(statement, state)
    for content in files.values():
        for validity in content.subjects(RDF.type, COD.Validity):
            cited = [states.get(statement, "known") for statement in content.objects(validity, POL.cites)]
            if cited and "known" not in cited:
                states.setdefault(validity, "maybe" if "maybe" in cited else "unknown")
    return states


def version_of(node: Node) -> URIRef:
    """The policy version whose file a provision or amendment stands in."""
    return URIRef(str(node).partition("#")[0])


def bounds(graph: Graph, node: Node, name: str) -> tuple[date | None, date | None]:
    """Earliest and latest value of a date that may be exact (``nameOn``/``nameFrom``…) or known within bounds."""
    exact = _day(graph, node, name + "On")
    return exact or _day(graph, node, name + "Earliest"), exact or _day(graph, node, name + "Latest")


def _day(graph: Graph, node: Node, name: str) -> date | None:
    value = graph.value(node, POL[name])
    day = value.toPython() if isinstance(value, Literal) else None
    return day if isinstance(day, date) else None


def _inherit_days(graph: Graph) -> None:
    """A provision that gives no day of its own holds on those of its version."""
    for provision in list(graph.subjects(RDF.type, POL.Provision)):
        if not any((provision, POL[name], None) in graph for name in PERIOD):
            version = version_of(provision)
            for name in PERIOD:
                for day in graph.objects(version, POL[name]):
                    graph.add((provision, POL[name], day))


def _write_periods(graph: Graph, doubtful: set[Node]) -> None:
    periods: dict[Node, list[date]] = {}
    for kind in (POL.Provision, COD.Validity):
        for node in graph.subjects(RDF.type, kind):
            begins = _day(graph, node, "effectiveFrom")
            ends = _day(graph, node, "effectiveUntil")
            possible_from = begins or _day(graph, node, "effectiveEarliest") or FIRST_DAY
            certain_from = begins or _day(graph, node, "effectiveLatest") or possible_from
            certain_until = ends or _day(graph, node, "endsEarliest") or LAST_DAY
            possible_until = ends or _day(graph, node, "endsLatest") or LAST_DAY
            periods[node] = [possible_from, certain_from, certain_until, possible_until]
    for amendment, ended in list(graph.subject_objects(POL.ends)):
        if ended not in periods:
            continue
        starts = _day(graph, amendment, "effectiveFrom")
        period = periods[ended]
        period[2] = min(period[2], _day_before(starts or _day(graph, amendment, "effectiveEarliest") or FIRST_DAY))
        if amendment not in doubtful:
            period[3] = min(period[3], _day_before(starts or _day(graph, amendment, "effectiveLatest") or LAST_DAY))
        graph.add((ended, POL.endedBy, amendment))
    for node, period in periods.items():
        if node in doubtful:
            period[1:3] = LAST_DAY, FIRST_DAY
        for name, day in zip(_PERIOD, period, strict=True):
            graph.add((node, POL[name], Literal(day)))
    for node in doubtful:
        graph.add((node, POL.knowledge, POL.Maybe))
    for version in list(graph.subjects(RDF.type, POL.PolicyVersion)):
        earliest, latest = bounds(graph, version, "published")
        graph.add((version, POL.publishedText, Literal(span(earliest, latest))))


def span(earliest: date | None, latest: date | None) -> str:
    """A publication as an ISO 8601 day or interval; ``..`` is an end that no source gives."""
    if earliest == latest and earliest:
        return earliest.isoformat()
    return f"{earliest or '..'}/{latest or '..'}"


def _day_before(day: date) -> date:
    return day - timedelta(days=1) if day > FIRST_DAY else day


def _write_scopes(graph: Graph) -> None:
    requests = list(graph.subjects(RDF.type, POL.Request))
    for scope in list(graph.subjects(RDF.type, POL.Scope)):
        for name, any_of_it in _DEFAULTS:
            if graph.value(scope, name) is None:
                graph.add((scope, name, any_of_it))
        if graph.value(scope, POL.request) is None:
            for request in requests:
                graph.add((scope, POL.request, request))


def _write_hierarchies(graph: Graph) -> None:
    """``pol:within`` closes skos:broader, a code's scheme on top; ``pol:excludes`` holds under exclusive heads."""
    within: dict[Node, set[Node]] = {}
    kinds = (COD.Code, POL.Payer, POL.LineOfBusiness, POL.Setting)
    for kind in kinds:
        for node in graph.subjects(RDF.type, kind):
            within[node] = {node, *_ancestors(graph, node), *graph.objects(node, SKOS.inScheme)}
    for node, groups in within.items():
        for group in groups:
            graph.add((node, POL.within, group))
    for validity in list(graph.subjects(RDF.type, COD.Validity)):
        if graph.value(validity, COD.inSetting) is None:
            graph.add((validity, COD.inSetting, _DEFAULTS[2][1]))
    for head in list(graph.subjects(COD.exclusive, Literal(True))):
        members = [node for node, groups in within.items() if head in groups and node != head]
        for one in members:
            for other in members:
                if not any({one, other} <= within[third] for third in members):
                    graph.add((one, POL.excludes, other))


def _ancestors(graph: Graph, node: Node) -> Iterator[Node]:
    seen: set[Node] = {node}
    waiting = [node]
    while waiting:
        for broader in graph.objects(waiting.pop(), SKOS.broader):
            if broader not in seen:
                seen.add(broader)
                waiting.append(broader)
                yield broader


def _write_criteria(graph: Graph, unknown: Unknown, members: Mapping[Node, set[Node]]) -> None:
    default = {"review": POL.Review, "info": POL.Info}[unknown]
    systems = list(graph.subjects(RDF.type, COD.CodeSystem))
    for kind in _KINDS:
        for criterion in list(graph.subjects(RDF.type, kind)):
            stated = graph.value(criterion, POL.ifUnknown)
            graph.add((criterion, POL.asObligation, stated or default))
            graph.add((criterion, POL.asCondition, stated or POL.Info))
            if kind == POL.Shows and graph.value(criterion, POL.looksAt) is None:
                graph.add((criterion, POL.looksAt, POL.ThisItem))
            if kind == POL.CodeValid and graph.value(criterion, POL.expects) is None:
                for system in systems:
                    graph.add((criterion, POL.expects, system))
            if kind in (POL.Shows, POL.OnAnotherDay) and all(
                _on_every_claim(graph, thing) for thing in graph.objects(criterion, POL.expects)
            ):
                graph.add((criterion, POL.absentIsNotMet, Literal(True)))
            if kind in _RECORD_KINDS:
                _write_record(graph, criterion, kind)
            if criterion in members:
                graph.add((criterion, POL.depth, Literal(_depth(members, criterion))))


def _write_record(graph: Graph, criterion: Node, kind: URIRef) -> None:
    for name in _SOUGHT:
        for sought in graph.objects(criterion, name):
            graph.add((criterion, POL.recordKind, sought))
    if kind == POL.NumberWithin:
        for name, bound in ((POL.atLeast, _LEAST), (POL.atMost, _MOST), (POL.moreThan, _LEAST), (POL.lessThan, _MOST)):
            if graph.value(criterion, name) is None:
                graph.add((criterion, name, bound))
    # Days are counted in the rules as 1200 a year and 100 a month; so "less than three months" is one short of 300.
    for name, short in ((POL.atMostMonths, 0), (POL.lessThanMonths, 1)):
        for months in graph.objects(criterion, name):
            graph.add((criterion, POL.monthSpan, Literal(int(str(months)) * 100 - short)))


def _on_every_claim(graph: Graph, thing: Node) -> bool:
    scheme = graph.value(thing, SKOS.inScheme) or thing
    return (scheme, COD.onEveryClaim, Literal(True)) in graph


def _depth(members: Mapping[Node, set[Node]], group: Node) -> int:
    return 1 + max((_depth(members, member) for member in members[group] if member in members), default=0)


def _write_provisions(graph: Graph, members: Mapping[Node, set[Node]]) -> None:
    for provision in list(graph.subjects(RDF.type, POL.Provision)):
        obliged = [c for place in _OBLIGATIONS for c in graph.objects(provision, place)]
        conditions = [c for place in _CONDITIONS for c in graph.objects(provision, place)]
        for criterion in _closure(members, [*obliged, *conditions]):
            graph.add((provision, POL.tests, criterion))
        for criterion in conditions:
            graph.add((provision, POL.condition, criterion))
        if graph.value(provision, POL.severity) is None:
            graph.add((provision, POL.severity, POL.Violation if obliged else POL.Info))
        severity = graph.value(provision, POL.severity)
        # What overrides and asks a person to look does so where it overrides something, and nowhere else.
        if not obliged and not (severity == POL.Review and (provision, POL.overrides, None) in graph):
            graph.add((provision, POL.notice, Literal(True)))
        graph.add((provision, POL.ifUncertain, POL.Info if severity == POL.Info else POL.Review))


def _write_deferrals(graph: Graph) -> None:
    """``pol:outranks`` leads from a deferral or gate to each provision that it can set aside.

    A deferral (a notice) leaves the other deferrals of the policy standing, a gate also other gates.
    """
    policy_of = dict(graph.subject_objects(POL.versionOf))
    belonging: dict[Node, list[Node]] = defaultdict(list)
    for provision in graph.subjects(RDF.type, POL.Provision):
        belonging[policy_of.get(version_of(provision), provision)].append(provision)
    suspending = set(graph.subjects(POL.suspends, None))
    notices = set(graph.subjects(POL.notice, Literal(True)))
    for deferral, policy in list(graph.subject_objects(POL.suspends)):
        is_notice = deferral in notices
        graph.add((deferral, POL.background, Literal(True)) if is_notice else (deferral, POL.gate, Literal(True)))
        for provision in belonging[policy]:
            if provision in suspending and (not is_notice or provision in notices):
                continue
            graph.add((deferral, POL.outranks, provision))
            for criterion in list(graph.objects(deferral, POL.condition)) if is_notice else ():
                graph.add((provision, POL.condition, criterion))


def _closure(members: Mapping[Node, set[Node]], criteria: Iterable[Node]) -> set[Node]:
    reached: set[Node] = set()
    waiting = list(criteria)
    while waiting:
        criterion = waiting.pop()
        if criterion not in reached:
            reached.add(criterion)
            waiting.extend(members.get(criterion, ()))
    return reached

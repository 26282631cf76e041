"""A provision binds on exactly the days that its data gives; a day of knowledge shows nothing of what came later."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdflib import RDF, Graph, Literal, Node, URIRef
from rdflib.namespace import DCTERMS

from chartulary import Claim, Register
from chartulary.claim import Line, Payer
from chartulary.facts import from_graph
from chartulary.namespaces import CLM, COD, POL, ROOT
from chartulary.snapshot import FIRST_DAY, LAST_DAY, fold, version_of

ALL = Register.load()
FILES = ALL.files
WHOLE = ALL.snapshot().graph
ONE = timedelta(days=1)


def day(graph: Graph, node: Node, *names: str) -> date | None:
    """The first of these dates that the node has."""
    for name in names:
        if isinstance(value := graph.value(node, POL[name]), Literal):
            return value.toPython()  # type: ignore[no-any-return]
    return None


def typed(kind: URIRef) -> list[URIRef]:
    return sorted(node for graph in FILES.values() for node in graph.subjects(RDF.type, kind))  # type: ignore[misc]


def short(node: Node) -> str:
    return str(node).removeprefix(f"{ROOT}policy/")


# --- Days of service --------------------------------------------------------------------------------------------------

PROVISIONS = typed(POL.Provision)


def possible(provision: Node) -> tuple[date, date]:
    """The days on which a provision may bind, read off what authors wrote."""
    written = ALL.whole
    own = any(str(name).startswith((str(POL.effective), str(POL.ends))) for name in written.predicates(provision))
    dated = provision if own else version_of(provision)
    first = day(written, dated, "effectiveFrom", "effectiveEarliest") or FIRST_DAY
    ends = [day(written, dated, "effectiveUntil", "endsLatest")]
    for amendment in written.subjects(POL.ends, provision):
        begins = day(written, amendment, "effectiveFrom", "effectiveLatest")
        ends.append(begins - ONE if begins else None)
    return first, min(filter(None, ends), default=LAST_DAY)


def bare_claim(number: int, provision: Node, first: date, last: date) -> Iterator[tuple[Node, URIRef, Node]]:
    """A claim of two items that show what the provision is about, in its scope."""
    scope = min(WHOLE.objects(provision, POL.scope))
    thing = min(code for group in WHOLE.objects(provision, POL.about) for code in WHOLE.subjects(POL.within, group))
    claim, line = URIRef(f"urn:claim:{number}"), URIRef(f"urn:claim:{number}:line")
    for item, level in ((claim, CLM.Claim), (line, CLM.Line)):
        yield item, RDF.type, CLM.Item
        yield item, RDF.type, level
        yield item, CLM.level, level
        yield item, CLM.claim, claim
        yield claim, CLM.part, item
        yield item, CLM.service, thing
        yield item, CLM.firstDay, Literal(first)
        yield item, CLM.lastDay, Literal(last)
    for name in ("request", "payer", "lineOfBusiness", "setting"):
        yield claim, CLM[name], min(WHOLE.objects(scope, POL[name]))


def bound(provision: Node, periods: list[tuple[date, date]]) -> list[bool]:
    """Whether the provision is a candidate for a claim of each period."""
    graph = Graph()
    for number, period in enumerate(periods):
        for triple in bare_claim(number, provision, *period):
            graph.add(triple)
    derived = ALL.snapshot().engine().run(from_graph(graph))
    found = {item.split(":")[2] for item in derived.subjects(str(POL.candidate), str(provision))}
    return [str(number) in found for number in range(len(periods))]


@pytest.mark.parametrize("provision", PROVISIONS, ids=short)
def test_a_provision_binds_from_its_first_day_to_its_last(provision: URIRef) -> None:
    first, last = possible(provision)
    days = {FIRST_DAY, LAST_DAY, date(2025, 6, 25), first, last}
    days |= {first - ONE} if first > FIRST_DAY else set()
    days |= {last + ONE} if last < LAST_DAY else set()
    expected = {one: first <= one <= last for one in sorted(days)}
    assert dict(zip(expected, bound(provision, [(one, one) for one in expected]), strict=True)) == expected


near = st.sampled_from(sorted({end for provision in PROVISIONS for end in possible(provision)})).flatmap(
    lambda end: st.integers(-2, 2).map(
        lambda n: end + n * ONE if (end > FIRST_DAY or n >= 0) and (end < LAST_DAY or n <= 0) else end
    )
)


@settings(max_examples=40, deadline=None)
@given(provision=st.sampled_from(PROVISIONS), days=st.lists(near | st.dates(), min_size=2, max_size=20))
def test_a_period_of_service_is_bound_where_it_meets_the_provision(provision: URIRef, days: list[date]) -> None:
    first, last = possible(provision)
    periods = [(min(pair), max(pair)) for pair in pairwise(days)]
    assert bound(provision, periods) == [end >= first and begin <= last for begin, end in periods]


BOUNDS = """
PREFIX : <https://w3id.org/chartulary/policy/x/2025-01-01#>
PREFIX pol: <https://w3id.org/chartulary/def/policy#>
PREFIX xsd: <http://www.w3.org/2001/XMLSchema#>
<https://w3id.org/chartulary/policy/x/2025-01-01> a pol:PolicyVersion ; pol:publishedOn "2025-01-01"^^xsd:date .
:plain a pol:Provision .
:exact a pol:Provision ; pol:effectiveFrom "2020-01-01"^^xsd:date ; pol:effectiveUntil "2020-12-31"^^xsd:date .
:between a pol:Provision ; pol:effectiveEarliest "2020-01-01"^^xsd:date ; pol:effectiveLatest "2020-02-01"^^xsd:date ;
    pol:endsEarliest "2021-01-01"^^xsd:date ; pol:endsLatest "2021-02-01"^^xsd:date .
:by-latest a pol:Provision ; pol:effectiveLatest "2020-02-01"^^xsd:date .
:ended a pol:Provision . :may-end a pol:Provision .
:ended-twice a pol:Provision ; pol:effectiveUntil "2030-12-31"^^xsd:date .
:ends a pol:Amendment ; pol:ends :ended , :ended-twice ; pol:effectiveFrom "2024-07-01"^^xsd:date .
:ends-later a pol:Amendment ; pol:ends :ended-twice ; pol:effectiveFrom "2025-07-01"^^xsd:date .
:ends-between a pol:Amendment ; pol:ends :may-end ;
    pol:effectiveEarliest "2024-07-01"^^xsd:date ; pol:effectiveLatest "2024-09-01"^^xsd:date .
"""


@pytest.mark.parametrize(
    ("name", "period"),
    [
        ("plain", "0001-01-01 0001-01-01 9999-12-31 9999-12-31"),
        ("exact", "2020-01-01 2020-01-01 2020-12-31 2020-12-31"),
        ("between", "2020-01-01 2020-02-01 2021-01-01 2021-02-01"),
        ("by-latest", "0001-01-01 2020-02-01 9999-12-31 9999-12-31"),
        ("ended", "0001-01-01 0001-01-01 2024-06-30 2024-06-30"),
        ("may-end", "0001-01-01 0001-01-01 2024-06-30 2024-08-31"),
        ("ended-twice", "0001-01-01 0001-01-01 2024-06-30 2024-06-30"),
    ],
)
def test_bounds_of_a_period(name: str, period: str) -> None:
    file = URIRef(f"{ROOT}policy/x/2025-01-01")
    graph = fold({file: Graph().parse(data=BOUNDS, format="turtle")}, as_known_on=None)
    names = ("possibleFrom", "certainFrom", "certainUntil", "possibleUntil")
    assert [str(day(graph, URIRef(f"{file}#{name}"), bound)) for bound in names] == period.split()


# --- Days of knowledge ------------------------------------------------------------------------------------------------


def publications() -> dict[Node, date]:
    """The earliest day on which anyone could know each node, where there is one."""
    earliest: dict[Node, date] = {}
    sources = {s: day(ALL.whole, s, "publishedOn", "publishedEarliest") for s in typed(POL.Source)}
    for graph in FILES.values():
        version = next(graph.subjects(RDF.type, POL.PolicyVersion), None)
        default = day(graph, version, "publishedOn", "publishedEarliest") if version else None
        for node in set(graph.subjects()):
            own = day(graph, node, "publishedOn", "publishedEarliest") or sources.get(
                graph.value(node, DCTERMS.isPartOf)
            )
            if known := own or default:
                earliest[node] = known
    return earliest


EARLIEST = publications()
LATEST = {
    latest
    for graph in FILES.values()
    for name in ("publishedOn", "publishedLatest")
    for latest in (value.toPython() for value in graph.objects(None, POL[name]) if isinstance(value, Literal))
}
published = sorted({*EARLIEST.values(), *LATEST})
knowing = st.sampled_from([one + n * ONE for one in published for n in (-1, 0, 1)]) | st.dates(
    published[0] - 100 * ONE, published[-1] + 100 * ONE
)


def surely(graph: Graph) -> set[Node]:
    return set(graph.subjects()) - set(graph.subjects(POL.knowledge, POL.Maybe))


@settings(max_examples=40 if os.environ.get("CI") else 10, deadline=None)
@given(on=knowing)
def test_nothing_published_later_shows(on: date) -> None:
    graph = fold(FILES, as_known_on=on)
    later = {node for node, known in EARLIEST.items() if known > on}
    for subject, _, value in graph:
        assert subject not in later
        assert value not in later
    ended = set(graph.subjects(POL.endedBy))
    for provision in graph.subjects(RDF.type, POL.Provision):
        unknown_end = (None, POL.ends, provision) not in graph
        assert (provision not in ended) == unknown_end
        if unknown_end:
            written = day(ALL.whole, provision, "effectiveUntil", "endsLatest")
            assert day(graph, provision, "possibleUntil") == (written or LAST_DAY)
    assert set(graph.objects(None, DCTERMS.isPartOf)) <= set(graph.subjects(RDF.type, POL.Source))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(days=st.tuples(knowing, knowing).map(sorted))
def test_a_later_day_forgets_nothing(days: list[date]) -> None:
    before, after = (fold(FILES, as_known_on=one) for one in days)
    assert set(before.subjects()) <= set(after.subjects()) <= set(WHOLE.subjects())
    assert surely(before) <= surely(after)
    written = ALL.whole
    assert {t for t in before if t in written} <= {t for t in after if t in written}


@settings(max_examples=20, deadline=None)
@given(on=st.none() | knowing)
def test_what_may_be_known_binds_for_certain_on_no_day(on: date | None) -> None:
    graph = fold(FILES, as_known_on=on)
    for kind in (POL.Provision, COD.Validity):
        for node in graph.subjects(RDF.type, kind):
            certain = day(graph, node, "certainFrom") <= day(graph, node, "certainUntil")  # type: ignore[operator]
            if (node, POL.knowledge, POL.Maybe) in graph:
                assert not certain
            elif (node, POL.endedBy, None) not in graph:
                assert certain


def test_all_that_is_published_is_the_whole() -> None:
    assert set(fold(FILES, as_known_on=LAST_DAY)) == set(WHOLE)


def test_folding_changes_no_file() -> None:
    before = {name: set(graph) for name, graph in FILES.items()}
    assert set(fold(FILES, as_known_on=date(2025, 12, 10))) == set(fold(FILES, as_known_on=date(2025, 12, 10)))
    assert {name: set(graph) for name, graph in FILES.items()} == before


# --- MM14204: in force since June, known since December ---------------------------------------------------------------

KX = f"{ROOT}policy/medicare/ncd-110.24/2021-07-20#kx-on-administration"


def administration(dos: date, *modifiers: str) -> Claim:
    line = Line(number=1, code="38228", revenue_code="0874", modifiers=modifiers, first_day=dos, last_day=dos)
    return Claim(
        id="c", source="c", payer=Payer(name="Medicare"), setting="outpatient", product="Kymriah", lines=(line,)
    )


@pytest.mark.parametrize(
    ("dos", "known", "outcome"),
    [
        ("2025-07-10", "2025-09-01", "violation"),
        ("2025-07-10", "2025-12-08", "violation"),
        ("2025-07-10", "2025-12-09", "needs-review"),
        ("2025-07-10", "2025-12-10", "needs-review"),
        ("2025-07-10", "2025-12-11", "needs-review"),
        ("2025-07-10", "2025-12-12", "conformant"),
        ("2025-07-10", None, "conformant"),
        ("2025-06-26", "2025-12-08", "violation"),
        ("2025-06-26", "2025-12-10", "needs-review"),
        ("2025-06-26", "2025-12-12", "conformant"),
        ("2025-06-25", "2025-12-08", "violation"),
        ("2025-06-25", "2025-12-10", "violation"),
        ("2025-06-25", "2025-12-12", "violation"),
        ("2025-06-25", None, "violation"),
    ],
)
def test_mm14204(dos: str, known: str | None, outcome: str) -> None:
    claim, on = administration(date.fromisoformat(dos)), date.fromisoformat(known) if known else None
    report = ALL.validate(claim, as_known_on=on, unknown="info")
    assert report.outcome == outcome
    found = {finding.provision: finding for finding in report.findings}
    assert (KX in found) == (outcome != "conformant")
    if KX in found:
        changed = [change.amendment.rpartition("#")[2] for change in found[KX].changed_by]
        assert changed == ([] if on and on < date(2025, 12, 9) else ["kx-ends"])
        cited = {citation.statement.rpartition("/")[2] for citation in found[KX].cites}
        assert "astct.kx.required" in cited
        assert ("mm14204.kx.historic" in cited) == (on is None or on >= date(2025, 12, 9))
        later = {citation.statement.rpartition("/")[2] for citation in found[KX].later_cites}
        assert later.isdisjoint(cited)
        assert ("mm14204.kx.historic" in later) == (on is not None and on < date(2025, 12, 9))


@pytest.mark.parametrize("known", ["2025-12-08", "2025-12-10", "2025-12-12"])
def test_kx_is_never_a_fault(known: str) -> None:
    report = ALL.validate(
        administration(date(2025, 7, 10), "KX"), as_known_on=date.fromisoformat(known), unknown="info"
    )
    assert report.outcome == "conformant"


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(dos=st.dates(date(2019, 8, 1), date(2026, 6, 1)), on=knowing)
def test_no_report_speaks_of_what_came_later(dos: date, on: date) -> None:
    report = ALL.validate(administration(dos), as_known_on=on)
    later = {str(node) for node, known in EARLIEST.items() if known > on}
    for finding in report.findings:
        cited = {citation.statement for citation in finding.cites}
        cited |= {citation.statement for change in finding.changed_by for citation in change.cites}
        assert later.isdisjoint({finding.provision, *cited, *(change.amendment for change in finding.changed_by)})
        assert later >= {citation.statement for citation in finding.later_cites} - maybe_later(on)
    assert later.isdisjoint(held.provision for held in report.governed_by)


def maybe_later(on: date) -> set[str]:
    """Statements of sources that may have been published by the day."""
    return {str(node) for node, known in EARLIEST.items() if known <= on}


def test_days_between_publications_are_alike(register: Register) -> None:
    days = register.days_of_change
    assert date(2025, 12, 9) in days and date(2025, 12, 12) in days
    assert register.day_like(None) is None
    assert register.day_like(days[-1]) is None
    assert register.day_like(date(2025, 12, 11)) == date(2025, 12, 9)
    assert register.day_like(date(1900, 1, 1)) == date.min
    for day in (date(2025, 9, 1), date(2025, 12, 11), days[0] - timedelta(days=1), days[-1] + timedelta(days=9)):
        like = register.day_like(day)
        folded = [set(fold(register.files, as_known_on=each)) for each in (day, like)]
        assert folded[0] == folded[1]

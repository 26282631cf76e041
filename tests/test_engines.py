"""One logic: both engines give the same reports, and the question gives what the rules hold a claim against."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pyoxigraph
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdflib import RDF, RDFS, Graph, Literal, Node, URIRef
from rdflib.namespace import SH, SKOS

from chartulary import Claim, Register, Snapshot
from chartulary.claim import Diagnosis, Event, Line, Note, Patient, Payer, Procedure
from chartulary.graph import claim_graph, iri_for
from chartulary.namespaces import CLM, COD, POL, ROOT
from chartulary.report import Report

ALL = Register.load()
SNAPSHOT = ALL.snapshot()
GRAPH = SNAPSHOT.graph
DATE = "http://www.w3.org/2001/XMLSchema#date"
KNOWN = (None, date(2025, 9, 1), date(2025, 12, 10))


def field_of(code: Node) -> str:
    """The field of a claim that a code stands in."""
    return str(GRAPH.value(GRAPH.value(code, SKOS.inScheme), COD.field)).rpartition("#")[2]


def named(field: str) -> list[str]:
    """Codes of a field as claims write them; names, where they have no notation."""
    codes = sorted(code for code in GRAPH.subjects(RDF.type, COD.Code) if field_of(code) == field)
    return [str(GRAPH.value(code, SKOS.notation) or code.rpartition("/")[2]) for code in codes]  # type: ignore[attr-defined]


def spoken(field: str) -> list[str]:
    """The words by which descriptions and notes are recognised."""
    return sorted(str(text) for code, text in GRAPH.subject_objects(COD.text) if field_of(code) == field)


def day_bounds(*nodes: Node) -> list[date]:
    """Each day on which one of the nodes begins or ends, the day before and the day after."""
    bounds = {
        bound.toPython()
        for node in nodes
        for name in ("possibleFrom", "certainFrom", "certainUntil", "possibleUntil")
        if isinstance(bound := GRAPH.value(node, POL[name]), Literal)
    } - {date.min, date.max}
    return sorted({bound + timedelta(days) for bound in bounds for days in (-1, 0, 1)})


# --- Made-up claims ---------------------------------------------------------------------------------------------------

DAYS = day_bounds(*GRAPH.subjects(RDF.type, POL.Provision), *GRAPH.subjects(RDF.type, COD.Validity))
DATED = day_bounds(*GRAPH.subjects(POL.endedBy))
days = st.sampled_from(DAYS) | st.sampled_from(DATED)
sent_days = st.sampled_from([date(2025, 7, 1), date(2026, 2, 5), date(2026, 2, 6), date(2026, 3, 1)])


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


def some(values: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=most, unique=True).map(tuple)


@st.composite
def lines(draw: st.DrawFn) -> Line:
    first = draw(maybe(days))
    return Line(
        number=draw(st.integers(1, 3)),
        code=draw(maybe(st.sampled_from([*named("procedureCode"), "99213", "J9999"]))),
        modifiers=draw(some(st.sampled_from([*named("modifier"), "Q0"]))),
        revenue_code=draw(maybe(st.sampled_from([*named("revenueCode"), "0636"]))),
        description=draw(maybe(st.sampled_from([*spoken("service"), "room and board"]))),
        first_day=first,
        last_day=first and draw(st.just(first) | st.sampled_from([day for day in DAYS if day >= first])),
        charge=Decimal("1.00"),
        notes=draw(some(notes, 1)),
    )


notes = st.builds(Note, text=st.sampled_from([*spoken("note"), *spoken("service"), "nothing to say"]))
payers = st.builds(
    Payer,
    name=maybe(st.sampled_from(["Medicare", "CMS", "Aetna", "any payer"])),
    filing_indicator=maybe(st.sampled_from(["MA", "MB", "16", "MC", "CI", "ZZ"])),
)
events = st.builds(Event, kind=st.sampled_from(["submission", "denial"]), date=maybe(sent_days))
findings = st.dictionaries(
    st.sampled_from([*named("finding"), "vein"]),
    st.none() | st.booleans() | st.sampled_from(["peripheral vein", "central vein"]),
    max_size=3,
).map(lambda found: tuple(found.items()))


@st.composite
def claims(draw: st.DrawFn) -> Claim:
    """A claim as CAR-T claims may look, right and wrong, on the days where rules begin and end."""
    stay = sorted(draw(st.lists(days, min_size=2, max_size=2)))
    where = draw(st.sampled_from(["setting", "bill_type", "form"]))
    place = {
        "setting": st.sampled_from(["inpatient", "outpatient", "professional", "moon"]),
        "bill_type": st.sampled_from(["0111", "0121", "0131", "0999"]),
        "form": st.sampled_from(["837P", "837I", "CMS-1500"]),
    }
    more: dict[str, Any] = {where: draw(maybe(place[where]))}
    if draw(st.booleans()):
        more |= {"admission": stay[0], "discharge": stay[1]}
    return Claim(
        id=draw(st.sampled_from(["1", "a b/ü#?"])),
        source="made up",
        payer=draw(payers),
        line_of_business=draw(maybe(st.sampled_from(["Medicare Part A", "Medicare Part B", "Commercial", "Medicaid"]))),
        date_of_service=draw(maybe(days)),
        submitted=draw(maybe(sent_days)),
        patient=Patient(age=draw(maybe(st.integers(0, 90)))),
        drg=draw(maybe(st.sampled_from([*named("drg"), "016"]))),
        diagnoses=draw(some(st.builds(Diagnosis, code=st.sampled_from([*named("diagnosis"), "C83.31"])))),
        procedures=draw(some(st.builds(Procedure, code=st.sampled_from([*named("procedure"), "30233N1"])))),
        condition_codes=draw(some(st.sampled_from([*named("conditionCode"), "30"]))),
        notes=draw(some(notes)),
        product=draw(maybe(st.sampled_from([*named("product"), "unheard of"]))),
        donor_type=draw(maybe(st.sampled_from(["autologous", "allogeneic"]))),
        findings=draw(findings),
        history=draw(some(events)),
        lines=tuple(draw(st.lists(lines(), max_size=3))),
        **more,
    )


def judged(claim: Claim, known: date | None, unknown: Any, engine: Any) -> Report:
    report = ALL.validate(claim, as_known_on=known, unknown=unknown, engine=engine)
    assert report.engine == engine
    return replace(report, engine="either")


# pySHACL takes a second a claim; benchmarks/engines.py holds thousands against each other.
@settings(max_examples=40 if os.environ.get("CI") else 4, deadline=None, suppress_health_check=list(HealthCheck))
@given(claim=claims(), known=st.sampled_from(KNOWN), unknown=st.sampled_from(["review", "info"]))
def test_engines_agree(claim: Claim, known: date | None, unknown: str) -> None:
    expected = judged(claim, known, unknown, "pyshacl")
    for engine in ("python", "sql", "shifty"):
        assert judged(claim, known, unknown, engine) == expected


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(claim=claims(), known=st.sampled_from(KNOWN))
def test_reports_are_in_order(claim: Claim, known: date | None) -> None:
    """What holds for every report, whatever the rules."""
    report = ALL.validate(claim, as_known_on=known)
    found = {finding.outcome for finding in report.findings}
    assert (report.outcome == "violation") == ("violation" in found)
    assert (report.outcome == "needs-review") == ("review" in found and "violation" not in found)
    held = [(finding.provision, finding.position) for finding in report.findings]
    assert len(held) == len(set(held)), "a provision speaks once about an item"
    policies = set(report.considered)
    for finding in report.findings:
        assert finding.cites or known, "every finding cites, if only what was published later than the day"
        assert finding.policy in policies
        assert finding.position is None or report.outcome and finding.position <= len(claim.lines)
    if report.outcome == "not-applicable":
        assert "violation" not in found
    assert ALL.validate(claim, as_known_on=known) == report, "asked again, told the same"


# --- Question and rules -----------------------------------------------------------------------------------------------

ON_A_CLAIM: dict[str, Callable[[str], dict[str, Any]]] = {
    "procedureCode": lambda code: {"lines": (Line(number=1, code=code),)},
    "revenueCode": lambda code: {"lines": (Line(number=1, revenue_code=code),)},
    "modifier": lambda code: {"lines": (Line(number=1, modifiers=(code,)),)},
    "placeOfService": lambda code: {"lines": (Line(number=1, place_of_service=code),)},
    "procedure": lambda code: {"procedures": (Procedure(code=code),)},
    "diagnosis": lambda code: {"diagnoses": (Diagnosis(code=code),)},
    "conditionCode": lambda code: {"condition_codes": (code,)},
    "drg": lambda code: {"drg": code},
    "note": lambda code: {"notes": (Note(text=code),)},
}
PAYERS = (("medicare", "any"), ("any", "commercial"), ("wellcare-nc", "nc-medicaid"), ("excellus", "commercial"))
SETTINGS = ("inpatient", "inpatient-part-b", "outpatient", "professional")


@dataclass(frozen=True)
class Asked:
    """A question, and the claim with nothing on it but what is asked about."""

    code: URIRef
    payer: str
    business: str
    setting: str
    day: date

    def claim(self, number: int) -> Claim:
        return Claim(
            id=str(number),
            source="asked",
            payer=Payer(name=str(GRAPH.value(URIRef(f"{ROOT}payer/{self.payer}"), RDFS.label))),
            line_of_business=None if self.business == "any" else self.business.replace("-", " "),
            setting=self.setting,
            date_of_service=self.day,
            **ON_A_CLAIM[field_of(self.code)](str(GRAPH.value(self.code, SKOS.notation))),
        )

    def values(self) -> str:
        parts = (("payer", self.payer), ("setting", self.setting), ("line-of-business", self.business))
        things = " ".join(f"<{ROOT}{kind}/{name}>" for kind, name in parts)
        return f'(<{self.code}> {things} <{ROOT}request/claim> "{self.day}"^^<{DATE}>)'


def questions() -> Iterator[Asked]:
    """Every code of the register on every day around which a rule about it changes."""
    provisions = sorted(GRAPH.subjects(RDF.type, POL.Provision))
    for code in sorted(GRAPH.subjects(RDF.type, COD.Code)):
        if GRAPH.value(code, SKOS.notation) is None or field_of(code) == "form":
            continue
        shown = {code, *GRAPH.objects(code, COD.describes)}
        groups = {group for thing in shown for group in GRAPH.objects(thing, POL.within)}
        about = [provision for provision in provisions if groups & set(GRAPH.objects(provision, POL.about))]
        for day in day_bounds(*about) or [date(2025, 6, 26)]:
            for payer, business in PAYERS:
                for setting in SETTINGS:
                    yield Asked(URIRef(code), payer, business, setting, day)


def candidates(snapshot: Snapshot, asked: list[Asked]) -> dict[int, set[str]]:
    """What the rules up to the candidates give, all claims at once."""
    graph = Graph()
    for number, question in enumerate(asked):
        graph += claim_graph(question.claim(number), snapshot.coding)
    store = pyoxigraph.Store()
    for part in (snapshot.graph, graph):
        store.load(part.serialize(format="nt").encode(), format=pyoxigraph.RdfFormat.N_TRIPLES)
    prefixes = "".join(f"PREFIX {p}: <{n}>\n" for p, n in (("clm", CLM), ("cod", COD), ("pol", POL), ("rdfs", RDFS)))
    shapes = ALL.shapes
    rules = sorted((int(str(shapes.value(rule, SH.order))), rule) for rule in shapes.subjects(RDF.type, SH.SPARQLRule))
    for order, rule in rules:
        if order <= 41:
            derived = store.query(prefixes + str(shapes.value(rule, SH.construct)))
            for triple in list(derived):  # type: ignore[arg-type]
                store.add(pyoxigraph.Quad(triple.subject, triple.predicate, triple.object))  # type: ignore[union-attr]
    numbers = {str(iri_for(str(number), line)): number for number in range(len(asked)) for line in (None, 1)}
    found: dict[int, set[str]] = defaultdict(set)
    for quad in store.quads_for_pattern(None, pyoxigraph.NamedNode(str(POL.candidate)), None):
        found[numbers[quad.subject.value]].add(quad.object.value)
    return found


def answers(snapshot: Snapshot, asked: list[Asked]) -> dict[int, set[str]]:
    """What the question's own WHERE gives, many parameters at once."""
    text = ALL.queries["requirements"].text
    head = "SELECT DISTINCT ?code ?payer ?setting ?lob ?request ?dos ?provision ?kind WHERE"
    text, heads = re.subn(r"SELECT DISTINCT.*?WHERE", head, text, count=1, flags=re.DOTALL)
    numbers = {question.values(): number for number, question in enumerate(asked)}
    by_code: dict[URIRef, list[Asked]] = defaultdict(list)
    for question in asked:
        by_code[question.code].append(question)
    found: dict[int, set[str]] = defaultdict(set)
    for some in by_code.values():
        rows = " ".join(question.values() for question in some)
        values = f"VALUES (?code ?payer ?setting ?lob ?request ?dos) {{ {rows} }}"
        query, blocks = re.subn(r"VALUES\s*\([^)]*\)\s*\{[^}]*\}", lambda _, v=values: v, text, count=1)  # type: ignore[misc]
        assert heads == blocks == 1
        for row in snapshot.store.query(query):  # type: ignore[union-attr]
            if row["kind"].value != "change":  # type: ignore[index]
                things = " ".join(f"<{row[name].value}>" for name in ("code", "payer", "setting", "lob", "request"))  # type: ignore[index]
                key = f'({things} "{row["dos"].value}"^^<{DATE}>)'  # type: ignore[index]
                found[numbers[key]].add(row["provision"].value)  # type: ignore[index]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("known", KNOWN)
def test_the_question_lists_what_the_rules_hold_a_claim_against(known: date | None) -> None:
    snapshot = ALL.snapshot(as_known_on=known)
    asked = list(questions())[:: 137 if known else 41]  # no common factor with payers or settings
    held, told = candidates(snapshot, asked), answers(snapshot, asked)
    asks, claims = URIRef(f"{ROOT}request/question"), URIRef(f"{ROOT}request/claim")
    only_told = {
        str(provision)
        for provision, scope in snapshot.graph.subject_objects(POL.scope)
        if (scope, POL.request, asks) in snapshot.graph and (scope, POL.request, claims) not in snapshot.graph
    }
    differences = {
        question: told[number] - only_told ^ held[number]
        for number, question in enumerate(asked)
        if told[number] - only_told != held[number]
    }
    assert not differences
    assert len(held) > 100, "there is something to compare"


def test_the_bulk_question_is_the_question() -> None:
    """The shortcut above gives what ``ask`` gives."""
    some = list(questions())[::397]
    told = answers(SNAPSHOT, some)
    for number, question in enumerate(some):
        answer = SNAPSHOT.ask(
            "requirements",
            code=str(GRAPH.value(question.code, SKOS.notation)),
            payer=question.payer,
            lob=f"{ROOT}line-of-business/{question.business}",
            setting=question.setting,
            dos=question.day,
        )
        assert {row["provision"] for row in answer if row["kind"] != "change"} == told[number]


def test_a_misspelt_name_does_not_pass_in_silence(register: Register) -> None:
    claim = Claim(
        id="c",
        source="c",
        payer=Payer(name="Medicare"),
        setting="outpatient",
        product="Kymria",
        findings=(("facility-rems-enroled", True),),
        diagnoses=(Diagnosis(code="4019", system="BK"),),  # another code system: nobody's mistake
        lines=(Line(number=7, code="3822", modifiers=("KXX",), first_day=date(2025, 8, 1)),),
    )
    assert register.validate(claim).notes == (
        "finding “facility-rems-enroled” is not in the register: not used",
        "product “Kymria” is not in the register: not used",
        "Line 7: “3822” is written like no procedure code: not used",
        "Line 7: “KXX” is written like no modifier: not used",
    )


def test_a_misspelt_setting_is_said(register: Register) -> None:
    claim = Claim(id="c", source="c", payer=Payer(name="Medicare"), setting="inpatinet", lines=(Line(number=1),))
    assert "The setting is not known: rules for one setting were not applied" in register.validate(claim).notes

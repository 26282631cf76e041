"""Each kind of criterion on both sides of its bounds; deferral, gates and overriding. Both engines derive the same."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdflib import RDF, RDFS, Graph, Literal, URIRef

from chartulary import Claim, Register
from chartulary.claim import Attachment, Diagnosis, Document, Event, Line, Patient
from chartulary.engines import EngineName
from chartulary.facts import Facts
from chartulary.graph import claim_facts, iri_for
from chartulary.namespaces import POL, ROOT
from chartulary.register import data_folder
from chartulary.report import Report

HEAD = """
PREFIX : <https://w3id.org/chartulary/policy/test/2025#>
PREFIX clm: <https://w3id.org/chartulary/def/claim#>
PREFIX cod: <https://w3id.org/chartulary/def/coding#>
PREFIX document: <https://w3id.org/chartulary/document/>
PREFIX event: <https://w3id.org/chartulary/event/>
PREFIX attachment: <https://w3id.org/chartulary/attachment/>
PREFIX finding: <https://w3id.org/chartulary/finding/>
PREFIX measure: <https://w3id.org/chartulary/measure/>
PREFIX payer: <https://w3id.org/chartulary/payer/>
PREFIX lob: <https://w3id.org/chartulary/line-of-business/>
PREFIX pol: <https://w3id.org/chartulary/def/policy#>
PREFIX product: <https://w3id.org/chartulary/product/>
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
PREFIX request: <https://w3id.org/chartulary/request/>
PREFIX result: <https://w3id.org/chartulary/result/>
PREFIX scheme: <https://w3id.org/chartulary/scheme/>
PREFIX setting: <https://w3id.org/chartulary/setting/>
PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
PREFIX xsd: <http://www.w3.org/2001/XMLSchema#>
"""

TERMS = """
payer:any a pol:Payer ; rdfs:label "any payer" .
payer:unrecognised a pol:Payer ; rdfs:label "unknown payer" ; skos:broader payer:any .
lob:any a pol:LineOfBusiness ; rdfs:label "any line of business" .
lob:unrecognised a pol:LineOfBusiness ; rdfs:label "unknown" ; skos:broader lob:any .
setting:any a pol:Setting ; rdfs:label "any setting" .
setting:outpatient a pol:Setting ; rdfs:label "outpatient" ; skos:broader setting:any .
setting:inpatient a pol:Setting ; rdfs:label "inpatient" ; skos:broader setting:any ; pol:stay true .
setting:unrecognised a pol:Setting ; rdfs:label "unknown" ; skos:broader setting:any .
request:claim a pol:Request ; rdfs:label "claim" .
request:prior-authorization a pol:Request ; rdfs:label "request" .
:everyone a pol:Scope ; rdfs:label "everyone" ; pol:request request:claim , request:prior-authorization .

event:submission a cod:Code ; rdfs:label "sent" ; skos:inScheme scheme:event .
event:prior-approval a cod:Code ; rdfs:label "prior approval" ; skos:inScheme scheme:event .
event:check a cod:Code ; rdfs:label "check" ; skos:inScheme scheme:event .
event:quick-check a cod:Code ; rdfs:label "quick check" ; skos:inScheme scheme:event ; skos:broader event:check .

document:test a cod:Code ; rdfs:label "test" ; skos:inScheme scheme:document .
document:blood-test a cod:Code ; rdfs:label "blood test" ; skos:inScheme scheme:document ; skos:broader document:test .
document:letter a cod:Code ; rdfs:label "letter" ; skos:inScheme scheme:document .
attachment:invoice a cod:Code ; rdfs:label "invoice" ; skos:inScheme scheme:attachment .
result:positive a cod:Code ; rdfs:label "positive" ; skos:inScheme scheme:result .
result:negative a cod:Code ; rdfs:label "negative" ; skos:inScheme scheme:result .

measure:units a cod:Code ; rdfs:label "units" ; skos:inScheme scheme:measure .
measure:charge a cod:Code ; rdfs:label "charge" ; skos:inScheme scheme:measure .

finding:score a cod:Code ; rdfs:label "score" ; skos:inScheme scheme:finding .
finding:earlier a cod:Code ; rdfs:label "earlier treatment" ; skos:altLabel "earlier" ; skos:inScheme scheme:finding .
finding:labs a cod:Code ; rdfs:label "labs" ; skos:inScheme scheme:finding .
finding:labs-cbc a cod:Code ; rdfs:label "blood count" ; skos:altLabel "CBC" ; skos:inScheme scheme:finding ;
    skos:broader finding:labs .
finding:labs-hiv a cod:Code ; rdfs:label "HIV test" ; skos:altLabel "HIV" ; skos:inScheme scheme:finding ;
    skos:broader finding:labs .
finding:labs-hiv-rna a cod:Code ; rdfs:label "HIV RNA" ; skos:inScheme scheme:finding ;
    skos:broader finding:labs-hiv .
finding:stage a cod:Code ; rdfs:label "stage" ; skos:inScheme scheme:finding ; cod:exclusive true .
finding:stage-i a cod:Code ; rdfs:label "early" ; skos:inScheme scheme:finding ; skos:broader finding:stage .
finding:stage-ii a cod:Code ; rdfs:label "late" ; skos:inScheme scheme:finding ; skos:broader finding:stage .
finding:sure a cod:Code ; rdfs:label "sure" ; skos:inScheme scheme:finding .
finding:other a cod:Code ; rdfs:label "other" ; skos:inScheme scheme:finding .
finding:third a cod:Code ; rdfs:label "third" ; skos:inScheme scheme:finding .

product:any a cod:Code ; rdfs:label "any product" ; skos:inScheme scheme:product ; cod:exclusive true .
product:alpha a cod:Code ; rdfs:label "alphacel" ; skos:altLabel "Alpha" ; skos:inScheme scheme:product ;
    skos:broader product:any .
product:beta a cod:Code ; rdfs:label "betacel" ; skos:inScheme scheme:product ; skos:broader product:any .
"""


def coded(*codes: str) -> str:
    return "".join(
        f"<{ROOT}code/cpt/{c}> a cod:Code ; rdfs:label '{c}' ; skos:notation '{c}' ; skos:inScheme scheme:cpt .\n"
        for c in codes
    )


KINDS: dict[str, tuple[str, dict[str, str]]] = {
    # what the claim's line must be coded with, and the criteria that are then worked out
    "documents": (
        "00001",
        {
            "under-3": "a pol:DocumentWithin ; pol:document document:test ; pol:lessThanMonths 3",
            "most-6": "a pol:DocumentWithin ; pol:document document:test ; pol:atMostMonths 6",
            "most-30-days": "a pol:DocumentWithin ; pol:document document:test ; pol:atMostDays 30",
            "positive": "a pol:DocumentResult ; pol:document document:test ; pol:result result:positive",
            "shown": "a pol:Shows ; pol:looksAt pol:ClaimItself ; pol:expects document:test",
        },
    ),
    "after": (
        "00002",
        {
            "letter-30": "a pol:DocumentAfterService ; pol:document document:letter ; pol:atLeastDays 30",
            "invoice-1": "a pol:DocumentAfterService ; pol:document attachment:invoice ; pol:atLeastDays 1",
            "invoiced": "a pol:Shows ; pol:looksAt pol:WholeClaim ; pol:expects attachment:invoice",
        },
    ),
    "events": (
        "00003",
        {
            "approved": "a pol:EventByService ; pol:event event:prior-approval",
            "checked": "a pol:EventOnService ; pol:event event:check",
            "sent": 'a pol:EventBefore ; pol:event event:submission ; pol:before "2025-07-01"^^xsd:date',
        },
    ),
    "numbers": (
        "00004",
        {
            "score-in": "a pol:NumberWithin ; pol:measure finding:score ; pol:atLeast 0 ; pol:atMost 12",
            "score-between": "a pol:NumberWithin ; pol:measure finding:score ; pol:moreThan 0 ; pol:lessThan 12.5",
            "one-unit": "a pol:NumberWithin ; pol:measure measure:units ; pol:atMost 1",
            "dear": "a pol:NumberWithin ; pol:measure measure:charge ; pol:moreThan 1000.10",
        },
    ),
    "ages": ("00005", {"under-21": "a pol:AgeUnder ; pol:years 21"}),
    "products": (
        "00006",
        {
            "same": "a pol:SameProduct ; pol:finding finding:earlier",
            "had-any": "a pol:Shows ; pol:looksAt pol:ClaimItself ; pol:expects finding:earlier",
        },
    ),
    "days": (
        "00007",
        {
            "twice": f"a pol:OnAnotherDay ; pol:expects <{ROOT}code/cpt/00007>",
            "twice-sure": "a pol:OnAnotherDay ; pol:expects finding:sure",
        },
    ),
    "findings": (
        "00008",
        {
            name: f"a pol:Shows ; pol:looksAt pol:ClaimItself ; pol:expects finding:{name}"
            for name in ("labs", "labs-cbc", "labs-hiv", "labs-hiv-rna", "stage", "stage-i", "stage-ii", "sure")
        },
    ),
    "presumed": (
        "00009",
        {
            "fit": "a pol:Shows ; pol:looksAt pol:ClaimItself ; pol:expects finding:sure ; pol:presumed true",
            "fresh": "a pol:DocumentWithin ; pol:document document:test ; pol:atMostMonths 6 ; pol:presumed true",
            "other": "a pol:Shows ; pol:looksAt pol:ClaimItself ; pol:expects finding:other",
            "third": "a pol:Shows ; pol:looksAt pol:ClaimItself ; pol:expects finding:third",
            "both": "a pol:AllOf ; pol:member :other , :third ; pol:presumed true",
            "either": "a pol:AnyOf ; pol:member :other , :third ; pol:presumed true",
            "fit-and-both": "a pol:AllOf ; pol:member :fit , :both",
            "outer": "a pol:AllOf ; pol:member :third , :either ; pol:presumed true",
        },
    ),
}
CRITERIA = "".join(
    f':{name} {text} ; rdfs:label "{name}" .\n' for _, criteria in KINDS.values() for name, text in criteria.items()
) + "".join(
    f":p-{code} a pol:Provision ; rdfs:label '{code}' ; pol:scope :everyone ; pol:about <{ROOT}code/cpt/{code}> ;\n"
    f"    pol:checks clm:Line ; pol:requires {' , '.join(f':{name}' for name in criteria)} .\n"
    for code, criteria in KINDS.values()
)


@cache
def shapes() -> Graph:
    graph = Graph()
    for name in ("rules.ttl", "outcomes.ttl", "claim.ttl"):
        graph.parse(data_folder("shapes") / name)
    return graph


DEFERRING = """
n:elsewhere a pol:Shows ; rdfs:label "it is told elsewhere" ; pol:looksAt pol:ClaimItself ;
    pol:expects finding:sure .
n:third a pol:Shows ; rdfs:label "third" ; pol:looksAt pol:ClaimItself ; pol:expects finding:third ;
    pol:ifUnknown pol:Review .
n:other a pol:Shows ; rdfs:label "other" ; pol:looksAt pol:ClaimItself ; pol:expects finding:other .
n:tested a pol:Shows ; rdfs:label "tested" ; pol:looksAt pol:ClaimItself ; pol:expects finding:labs .
n:defers a pol:Provision ; pol:suspends n:policy ; pol:checks clm:Line ; pol:about cpt:00010 ; pol:when n:elsewhere .
n:defers-too a pol:Provision ; pol:suspends n:policy ; pol:checks clm:Line ; pol:about cpt:00010 ; pol:when n:third .
n:rule a pol:Provision ; pol:checks clm:Line ; pol:about cpt:00010 , cpt:00011 ; pol:requires n:other .
n:asks a pol:Provision ; pol:checks clm:Line ; pol:about cpt:00010 ; pol:requires n:tested .
n:told a pol:Provision ; pol:checks clm:Line ; pol:about cpt:00010 .
n:on-claim a pol:Provision ; pol:checks clm:Claim ; pol:about finding:stage ; pol:requires n:other .
n:dated a pol:Provision ; pol:suspends n:policy ; pol:checks clm:Line ; pol:about cpt:00012 ;
    pol:effectiveEarliest "2025-01-01"^^xsd:date ; pol:effectiveLatest "2025-12-31"^^xsd:date .
n:dated-rule a pol:Provision ; pol:checks clm:Line ; pol:about cpt:00012 ; pol:requires n:other .
"""
GATED = """
g:sure a pol:Shows ; rdfs:label "sure" ; pol:looksAt pol:ClaimItself ; pol:expects finding:sure .
g:third a pol:Shows ; rdfs:label "third" ; pol:looksAt pol:ClaimItself ; pol:expects finding:third .
g:other a pol:Shows ; rdfs:label "other" ; pol:looksAt pol:ClaimItself ; pol:expects finding:other .
g:gate a pol:Provision ; pol:suspends g:policy ; pol:checks clm:Line ; pol:about cpt:00020 ; pol:requires g:sure .
g:gate-too a pol:Provision ; pol:suspends g:policy ; pol:checks clm:Line ; pol:about cpt:00020 ; pol:requires g:third .
g:rule a pol:Provision ; pol:checks clm:Line ; pol:about cpt:00020 , cpt:00021 ; pol:requires g:other .
g:told a pol:Provision ; pol:checks clm:Line ; pol:about cpt:00020 .
"""
OVERRIDING = """
o:sure a pol:Shows ; rdfs:label "sure" ; pol:looksAt pol:ClaimItself ; pol:expects finding:sure .
o:third a pol:Shows ; rdfs:label "third" ; pol:looksAt pol:ClaimItself ; pol:expects finding:third .
o:other a pol:Shows ; rdfs:label "other" ; pol:looksAt pol:ClaimItself ; pol:expects finding:other .
o:rule a pol:Provision ; pol:checks clm:Line ; pol:about cpt:00030 , cpt:00031 ; pol:requires o:other .
o:exception a pol:Provision ; pol:checks clm:Line ; pol:about cpt:00030 ; pol:when o:sure ; pol:overrides o:rule ;
    pol:severity pol:Review .
o:strict a pol:Provision ; pol:checks clm:Line ; pol:about cpt:00032 ; pol:requires o:other .
o:kinder a pol:Provision ; pol:checks clm:Line ; pol:about cpt:00032 ; pol:requires o:third ; pol:overrides o:strict ;
    pol:severity pol:Review .
o:background a pol:Provision ; pol:checks clm:Line ; pol:about cpt:00033 ; pol:background true ;
    pol:recommends pol:For ; pol:severity pol:Info .
o:foreground a pol:Provision ; pol:checks clm:Line ; pol:about cpt:00034 .
"""
CODES = """
c:from-october a cod:Validity ; rdfs:label "A00.0 from October" ; pol:effectiveFrom "2025-10-01"^^xsd:date .
c:until-may a cod:Validity ; rdfs:label "018 until May" ; pol:effectiveUntil "2025-05-31"^^xsd:date .
icd10:A00 a cod:Code ; rdfs:label "A00" ; skos:notation "A00" ; skos:inScheme scheme:icd-10-cm ; cod:heading true .
icd10:A00.0 a cod:Code ; rdfs:label "A00.0" ; skos:notation "A00.0" ; skos:inScheme scheme:icd-10-cm ;
    skos:broader icd10:A00 ; cod:validity c:from-october .
icd10:A00.1 a cod:Code ; rdfs:label "A00.1" ; skos:notation "A00.1" ; skos:inScheme scheme:icd-10-cm .
drg:018 a cod:Code ; rdfs:label "018" ; skos:notation "018" ; skos:inScheme scheme:ms-drg ; cod:validity c:until-may .
c:valid-diagnoses a pol:CodeValid ; rdfs:label "diagnoses are valid" ; pol:expects scheme:icd-10-cm .
c:valid-codes a pol:CodeValid ; rdfs:label "codes are valid" .
c:diagnoses a pol:Provision ; pol:checks clm:Claim ; pol:about scheme:icd-10-cm ; pol:requires c:valid-diagnoses .
c:codes a pol:Provision ; pol:checks clm:Claim ; pol:about scheme:icd-10-cm ; pol:requires c:valid-codes .
"""
POLICIES = {"n": DEFERRING, "g": GATED, "o": OVERRIDING, "c": CODES}
VERSIONS = {letter: URIRef(f"{ROOT}policy/{letter}/2025") for letter in POLICIES}


def policy(letter: str) -> Graph:
    """A policy of its own, with what every provision must have beside what is said above."""
    head = HEAD + f"PREFIX {letter}: <{VERSIONS[letter]}#>\nPREFIX cpt: <{ROOT}code/cpt/>\n"
    head += f"PREFIX icd10: <{ROOT}code/icd-10-cm/>\nPREFIX drg: <{ROOT}code/ms-drg/>\n"
    graph = Graph().parse(data=head + POLICIES[letter], format="turtle")
    name = URIRef(f"{VERSIONS[letter]}#policy")
    graph.add((name, RDF.type, POL.Policy))
    graph.add((VERSIONS[letter], RDF.type, POL.PolicyVersion))
    graph.add((VERSIONS[letter], POL.versionOf, name))
    for provision in list(graph.subjects(RDF.type, POL.Provision)):
        graph.add((provision, POL.scope, URIRef(f"{ROOT}policy/test/2025#everyone")))
        graph.add((provision, RDFS.label, Literal(str(provision).rpartition("#")[2])))
    return graph


def register() -> Register:
    """The shipped code systems and what stands above: nothing else that changes in the register can be felt here."""
    numbers = [code for code, _ in KINDS.values()] + re.findall(r"cpt:(\d{5})", "".join(POLICIES.values()))
    files = {
        URIRef(f"{ROOT}policy/schemes"): Graph().parse(data_folder("policies") / "codes" / "schemes.ttl"),
        URIRef(f"{ROOT}policy/terms"): Graph().parse(data=HEAD + TERMS + coded(*sorted(set(numbers))), format="turtle"),
        URIRef(f"{ROOT}policy/test/2025"): Graph().parse(data=HEAD + CRITERIA, format="turtle"),
        **{VERSIONS[letter]: policy(letter) for letter in POLICIES},
    }
    return Register(files, shapes(), {}, "test")


SMALL = register()
DAY = date(2025, 6, 30)


def day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def claim(kind: str, **values: Any) -> Claim:
    """A claim of one line with the code of the kind, on ``DAY`` unless said otherwise."""
    code = KINDS[kind][0]
    line = {"number": 1, "code": code, **values.pop("line", {})}
    return Claim(**{"id": "1", "source": "made up", "date_of_service": DAY, "lines": (Line(**line),), **values})


def derived(claim: Claim, engine: EngineName) -> Facts:
    snapshot = SMALL.snapshot()
    return snapshot.engine(engine).run(claim_facts(claim, snapshot.coding))


def states(claim: Claim, *, both: bool = True, position: int | None = 1) -> dict[str, str]:
    """Met, not met or unknown: each criterion that is worked out for a line, by all engines."""
    facts = derived(claim, "python")
    if both:
        for engine in ("shifty", "pyshacl"):
            assert set(facts) == set(derived(claim, engine))
    found: dict[str, str] = {}
    for state in ("met", "notMet", "unknown"):
        for criterion in facts.objects(iri_for(claim.id, position), str(POL[state])):
            name = criterion.rpartition("#")[2]
            assert name not in found, f"{name} is {state} as well as {found[name]}"
            found[name] = state
    return found


def seen(claim: Claim, *names: str, both: bool = True, position: int | None = 1) -> str:
    """The states of some criteria in short: + met, - not met, ? unknown."""
    found = states(claim, both=both, position=position)
    return "".join({"met": "+", "notMet": "-", "unknown": "?"}[found[name]] for name in names)


def test_each_kind_is_tried() -> None:
    written = SMALL.snapshot().graph
    kinds = {kind for _, kind in written.subject_objects(RDF.type) if str(kind).startswith(str(POL))}
    tried = (
        "Shows EventBefore EventByService EventOnService DocumentWithin DocumentAfterService DocumentResult "
        "NumberWithin AgeUnder SameProduct OnAnotherDay AllOf AnyOf CodeValid"
    )
    assert {POL[name] for name in tried.split()} <= kinds


# --- Documents --------------------------------------------------------------------------------------------------------


def documents(*made: str | None, result: str | None = None) -> tuple[Document, ...]:
    return tuple(Document(kind="test", date=day(one), result=result) for one in made)


@pytest.mark.parametrize(
    ("made", "asked", "expected"),
    [
        # under-3, most-6
        (("2025-06-30",), "2025-06-30", "++"),  # of the same day
        (("2025-07-15",), "2025-06-30", "++"),  # younger than the request: surely not too old
        (("2025-04-16",), "2025-07-15", "++"),  # under three months
        (("2025-04-15",), "2025-07-15", "-+"),  # exactly three
        (("2025-01-15",), "2025-07-15", "-+"),  # exactly six
        (("2025-01-14",), "2025-07-15", "--"),  # more
        (("2024-11-15",), "2025-02-14", "++"),  # over the year's end
        (("2024-11-15",), "2025-02-15", "-+"),
        (("2025-03-31",), "2025-09-30", "-+"),  # there is no 31 September
        (("2025-03-31",), "2025-10-01", "--"),
        (("2024-11-30",), "2025-02-28", "++"),  # there is no 30 February
        (("2024-11-30",), "2025-03-01", "-+"),
        (("2024-02-29",), "2024-08-29", "-+"),
        (("2024-02-29",), "2024-08-30", "--"),
        (("2023-11-29",), "2024-02-29", "-+"),  # a leap day is a day like others
        (("2023-11-30",), "2024-02-29", "++"),
        ((None,), "2025-07-15", "??"),  # not dated: nobody knows
        ((), "2025-07-15", "??"),
        (("2020-01-01", "2025-07-01"), "2025-07-15", "++"),  # one that fits is enough
        (("2020-01-01", "2021-01-01"), "2025-07-15", "--"),
        (("2020-01-01", None), "2025-07-15", "--"),
    ],
)
def test_document_within(made: tuple[str | None, ...], asked: str, expected: str) -> None:
    request = claim("documents", documents=documents(*made), submitted=day(asked), request="prior-authorization")
    assert seen(request, "under-3", "most-6") == expected


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (("2025-02-14",), "+"),  # thirty days before 16 March, in a year without 29 February
        (("2025-02-13",), "-"),
        ((None,), "?"),
        (("2024-01-01", "2025-03-16"), "+"),
    ],
)
def test_document_within_days(made: tuple[str | None, ...], expected: str) -> None:
    request = claim("documents", documents=documents(*made), submitted=day("2025-03-16"), request="prior-authorization")
    assert seen(request, "most-30-days") == expected


def test_the_reference_day_is_that_of_the_request_else_of_the_service() -> None:
    old = {"documents": documents("2025-01-01"), "date_of_service": day("2025-12-01")}
    assert seen(claim("documents", **old, submitted=day("2025-02-01")), "under-3", both=False) == "+"
    assert seen(claim("documents", **old), "under-3", both=False) == "-"
    lines = {**old, "date_of_service": None, "line": {"first_day": day("2025-02-01"), "last_day": day("2026-02-01")}}
    assert seen(claim("documents", **lines), "under-3") == "+", "the first day"


def test_without_a_reference_day_no_document_is_too_old() -> None:
    undated = claim("documents", documents=documents("2000-01-01"), date_of_service=None)
    assert seen(undated, "under-3", "most-6") == "??"


def months(made: date, asked: date) -> tuple[int, bool]:
    """Full calendar months between two days, and whether the last one ended on the very day."""
    full = (asked.year - made.year) * 12 + asked.month - made.month - (asked.day < made.day)
    return full, asked.day == made.day


@settings(max_examples=150, deadline=None)
@given(made=st.dates(date(2023, 1, 1), date(2025, 3, 1)), age=st.integers(0, 260))
def test_document_within_counts_full_months(made: date, age: int) -> None:
    asked = made + timedelta(age)
    request = claim("documents", documents=documents(made.isoformat()), submitted=asked)
    full, just = months(made, asked)
    under, most = full < 3, full < 6 or (full == 6 and just)
    expected = "".join("+" if met else "-" for met in (under, most))
    assert seen(request, "under-3", "most-6", both=False) == expected


def test_a_document_of_a_narrower_kind_counts() -> None:
    blood = (Document(kind="blood test", date=DAY, result="positive"),)
    assert seen(claim("documents", documents=blood), "under-3", "positive", "shown") == "+++"


@pytest.mark.parametrize(
    ("results", "expected"),
    [(["positive"], "+"), (["negative"], "-"), ([None], "?"), ([], "?"), (["negative", "positive"], "+")],
)
def test_document_result(results: list[str | None], expected: str) -> None:
    made = tuple(Document(kind="test", date=DAY, result=result) for result in results)
    assert seen(claim("documents", documents=made), "positive") == expected


@pytest.mark.parametrize("denied", [False, None])
def test_a_document_can_be_denied(denied: bool | None) -> None:
    none = claim("documents", findings=(("test", denied),))
    assert seen(none, "under-3", "most-6", "positive", "shown") == "----"
    narrower = claim("documents", findings=(("blood test", denied),))
    assert seen(narrower, "under-3", "positive", "shown") == "???", "there may be a test of another kind"


def test_a_finding_with_a_day_is_a_dated_document() -> None:
    dated = claim("documents", findings=(("test", "2025-06-01"),))
    assert seen(dated, "under-3", "positive", "shown") == "+?+"
    listed = claim("documents", findings=(("test", ("2020-01-01", "2025-06-01")),))
    assert seen(listed, "under-3", "shown") == "++"


@pytest.mark.parametrize(
    ("made", "expected"),
    [("2025-07-30", "+"), ("2025-07-29", "-"), ("2025-06-01", "-"), ("2025-12-31", "+"), (None, "?")],
)
def test_document_after_service(made: str | None, expected: str) -> None:
    letter = (Document(kind="letter", date=day(made)),)
    assert seen(claim("after", documents=letter), "letter-30") == expected


def test_document_after_the_last_day_of_the_line() -> None:
    letter, stay = (Document(kind="letter", date=day("2025-08-01")),), {"first_day": day("2025-06-01")}
    after = {"documents": letter, "date_of_service": None}
    assert seen(claim("after", **after, line=stay | {"last_day": day("2025-07-02")}), "letter-30", both=False) == "+"
    assert seen(claim("after", **after, line=stay | {"last_day": day("2025-07-03")}), "letter-30") == "-"
    assert seen(claim("after", **after), "letter-30") == "?", "no day of service"


def test_an_attachment_is_always_shown_where_there_is_one() -> None:
    assert seen(claim("after"), "invoice-1", "invoiced") == "?-"
    paper = (Attachment(kind="invoice", date=day("2025-07-01")),)
    assert seen(claim("after", attachments=paper), "invoice-1", "invoiced", both=False) == "++"
    assert seen(claim("after", line={"attachments": paper}), "invoice-1", "invoiced") == "++"
    early = (Attachment(kind="invoice", date=DAY),)
    assert seen(claim("after", attachments=early), "invoice-1", "invoiced") == "-+"
    assert seen(claim("after", attachments=(Attachment(kind="OZ"),)), "invoiced") == "-"


# --- Events -----------------------------------------------------------------------------------------------------------

STAY = {"line": {"first_day": day("2025-06-10"), "last_day": day("2025-06-20")}, "date_of_service": None}


@pytest.mark.parametrize(
    ("happened", "by", "on"),
    [
        ("2025-06-09", "+", "-"),
        ("2025-06-10", "+", "+"),
        ("2025-06-11", "?", "+"),
        ("2025-06-20", "?", "+"),
        ("2025-06-21", "-", "-"),
        (None, "?", "?"),
    ],
)
def test_events_by_and_on_the_days_of_a_stay(happened: str | None, by: str, on: str) -> None:
    history = (Event(kind="prior approval", date=day(happened)), Event(kind="quick check", date=day(happened)))
    assert seen(claim("events", history=history, **STAY), "approved", "checked") == by + on


def test_of_several_events_one_is_enough() -> None:
    history = tuple(
        Event(kind=k, date=day(d)) for k in ("prior approval", "check") for d in ("2025-06-10", "2025-08-01")
    )
    assert seen(claim("events", history=history, **STAY), "approved", "checked", both=False) == "++"


def test_without_a_day_of_service_nobody_knows() -> None:
    history = (Event(kind="prior approval", date=DAY), Event(kind="check", date=DAY))
    undated = claim("events", history=history, date_of_service=None)
    assert seen(undated, "approved", "checked") == "??"


def test_events_are_held_against_each_line_of_its_own() -> None:
    lines = tuple(Line(number=n, code="00003", first_day=DAY + timedelta(n)) for n in (1, 2, 3))
    history = tuple(Event(kind=kind, date=DAY + timedelta(2)) for kind in ("prior approval", "check"))
    several = claim("events", lines=lines, history=history, date_of_service=None)
    assert [seen(several, "approved", "checked", position=n, both=n == 1) for n in (1, 2, 3)] == ["--", "++", "+-"]


def test_an_approval_number_says_no_day() -> None:
    numbered = claim("events", prior_authorization="A1", findings=(("check", False),))
    assert seen(numbered, "approved", "checked", both=False) == "?-"
    assert seen(claim("events", findings=(("check", "2025-06-30"),)), "checked", both=False) == "+"


@pytest.mark.parametrize(("sent", "expected"), [("2025-06-30", "+"), ("2025-07-01", "-"), (None, "?")])
def test_event_before(sent: str | None, expected: str) -> None:
    assert seen(claim("events", submitted=day(sent)), "sent", both=False) == expected


# --- Numbers, ages, products, days ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("0", "+-"),
        ("-0.1", "--"),
        ("0.1", "++"),
        ("12", "++"),
        ("12.0", "++"),
        ("12.01", "-+"),
        ("12.5", "--"),
        ("+3", "++"),
        ("twelve", "??"),
        (True, "??"),
        (False, "--"),
        (None, "--"),
    ],
)
def test_number_within(said: Any, expected: str) -> None:
    assert seen(claim("numbers", findings=(("score", said),)), "score-in", "score-between") == expected


@settings(max_examples=100, deadline=None)
@given(said=st.decimals(-20, 20, places=6) | st.decimals(-(10**14), 10**14, places=15))
def test_any_number_is_within_or_not(said: Decimal) -> None:
    scored = claim("numbers", findings=(("score", f"{said:f}"),))
    expected = "".join("+" if met else "-" for met in (0 <= said <= 12, 0 < said < Decimal("12.5")))
    assert seen(scored, "score-in", "score-between", both=False) == expected


@pytest.mark.parametrize("said", ["1" * 16, "1." + "1" * 16, "-1." + "0" * 30, "1e3", "1,5"])
def test_a_number_that_engines_may_not_count_with_is_none(said: str) -> None:
    assert seen(claim("numbers", findings=(("score", said),)), "score-in", "score-between") == "??"


def test_numbers_of_lines() -> None:
    charged = {"units": Decimal("1"), "charge": Decimal("1000.11")}
    assert seen(claim("numbers", line=charged), "one-unit", "dear") == "++"
    assert (
        seen(claim("numbers", line={"units": Decimal("1.5"), "charge": Decimal("1000.10")}), "one-unit", "dear") == "--"
    )
    assert seen(claim("numbers", line={"units": Decimal("1E+2")}), "one-unit", "dear", both=False) == "-?"
    assert seen(claim("numbers", line={"charge": Decimal("999999999999999.99")}), "dear", both=False) == "+"
    two = (Line(number=1, code="00004", units=Decimal(1)), Line(number=2, code="00004", units=Decimal(2)))
    both_lines = claim("numbers", lines=two, findings=(("score", "5"),))
    assert [seen(both_lines, "one-unit", "score-in", position=n, both=n == 1) for n in (1, 2)] == ["++", "-+"]


@pytest.mark.parametrize(
    ("born", "on", "expected"),
    [
        ("2004-07-01", "2025-06-30", "+"),
        ("2004-06-30", "2025-06-30", "-"),  # the birthday itself
        ("2004-02-29", "2025-02-28", "+"),  # 29 February: a year older on 1 March
        ("2004-02-29", "2025-03-01", "-"),
        ("2025-06-30", "2025-06-30", "+"),
    ],
)
def test_age_by_birth_date(born: str, on: str, expected: str) -> None:
    patient = Patient(birth_date=day(born), age=99)
    assert seen(claim("ages", patient=patient, date_of_service=day(on)), "under-21") == expected


@settings(max_examples=60, deadline=None)
@given(born=st.dates(date(1995, 1, 1), date(2010, 1, 1)), on=st.dates(date(2020, 1, 1), date(2028, 1, 1)))
def test_age_is_in_full_years(born: date, on: date) -> None:
    full = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
    aged = claim("ages", patient=Patient(birth_date=born), date_of_service=on)
    assert seen(aged, "under-21", both=False) == ("+" if full < 21 else "-")


def test_age_otherwise() -> None:
    for age, expected in ((20, "+"), (21, "-"), (None, "?")):
        assert seen(claim("ages", patient=Patient(age=age)), "under-21", both=age == 21) == expected
    birthday = Patient(birth_date=day("2004-06-15"))
    assert seen(claim("ages", patient=birthday, **STAY), "under-21") == "?", "21 in the midst of the stay"
    assert seen(claim("ages", patient=birthday, date_of_service=None), "under-21", both=False) == "?"


@pytest.mark.parametrize(
    ("mine", "earlier", "expected"),
    [
        ("alphacel", "Alpha", "++"),
        ("Alpha", "betacel", "-+"),
        ("alphacel", "gammacel", "?+"),  # no product of the register
        ("gammacel", "alphacel", "?+"),
        (None, "alphacel", "?+"),
        ("alphacel", True, "?+"),
        ("alphacel", False, "--"),
        ("alphacel", None, "--"),
    ],
)
def test_same_product(mine: str | None, earlier: Any, expected: str) -> None:
    assert seen(claim("products", product=mine, findings=(("earlier", earlier),)), "same", "had-any") == expected


def test_on_another_day() -> None:
    def lines(*after: int) -> Claim:
        made = tuple(Line(number=n, code="00007", first_day=DAY + timedelta(d)) for n, d in enumerate(after, 1))
        return claim("days", lines=made, date_of_service=None)

    assert seen(lines(0), "twice", "twice-sure") == "-?", "what always shows on a claim is absent"
    assert seen(lines(0, 0), "twice", both=False) == "-"
    assert seen(lines(0, 1), "twice") == "+"
    mixed = (Line(number=1, code="00007", first_day=DAY), Line(number=2, code="00008", first_day=DAY + timedelta(1)))
    assert seen(claim("days", lines=mixed, date_of_service=None), "twice", both=False) == "-"


# --- Findings with values ---------------------------------------------------------------------------------------------

LABS, STAGES = ("labs", "labs-cbc", "labs-hiv", "labs-hiv-rna"), ("stage", "stage-i", "stage-ii")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (True, "+???"),
        (False, "----"),  # denying a head denies everything narrower
        (None, "----"),
        ((), "----"),
        (("CBC",), "++--"),
        (("HIV",), "+-+?"),  # of what is narrower than what is listed, nothing is said
        (("hiv rna",), "+-++"),
        (("CBC", "HIV test"), "+++?"),
        (("X-ray",), "+---"),
        ("CBC", "++??"),  # one value, of several that there may be
    ],
)
def test_a_list_is_closed(said: Any, expected: str) -> None:
    assert seen(claim("findings", findings=(("labs", said),)), *LABS) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("i", "++-"),
        ("late", "+-+"),
        ("Late ", "+-+"),
        ("iii", "+--"),  # another one: none of those that are known
        (True, "+??"),
        (False, "---"),
        (("i", "ii"), "+++"),
    ],
)
def test_an_exclusive_value(said: Any, expected: str) -> None:
    assert seen(claim("findings", findings=(("stage", said),)), *STAGES) == expected


def test_a_narrower_fact_speaks_for_itself() -> None:
    assert seen(claim("findings", findings=(("stage-i", True),)), *STAGES) == "++-"
    assert seen(claim("findings", findings=(("labs-hiv", False),)), *LABS) == "??--"


def test_a_value_that_is_not_known_is_told() -> None:
    said = (("stage", "iii"), ("labs", ("CBC", "X-ray")), ("nothing-known", "yes"))
    report = SMALL.validate(claim("findings", findings=said))
    assert [note for note in report.notes if "register" in note and "finding" in note] == [
        "finding “nothing-known” is not in the register: not used",
        "“X-ray” of finding “labs” is not in the register: not used",
        "“iii” of finding “stage” is not in the register: taken as none of those that are: not used",
    ]


# --- Presumptions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "fit", "expected"),
    [
        # other, third, both, either, fit-and-both, outer
        ({}, "+", "??++++"),
        ({"sure": False}, "-", "??++-+"),
        ({"sure": True, "other": False}, "+", "-?-+-+"),
        ({"other": False, "third": False}, "+", "------"),
        ({"other": True}, "+", "+?++++"),
        ({"other": True, "third": False}, "+", "+--+--"),
    ],
)
def test_a_presumption_holds_where_nothing_says_otherwise(found: dict[str, Any], fit: str, expected: str) -> None:
    names = ("other", "third", "both", "either", "fit-and-both", "outer")
    assert seen(claim("presumed", findings=tuple(found.items())), "fit", *names) == fit + expected


@pytest.mark.parametrize(("made", "expected"), [(None, "+"), ("2025-06-01", "+"), ("2024-01-01", "-")])
def test_a_presumed_document(made: str | None, expected: str) -> None:
    found = documents(made) if made else ()
    assert seen(claim("presumed", documents=found), "fresh", both=False) == expected


# --- Validity of codes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "drg", "on", "expected"),
    [
        # valid-diagnoses, valid-codes
        (["A00.0"], None, "2025-10-01", "++"),
        (["A00.0"], None, "2025-09-30", "--"),
        (["A00"], None, "2025-10-01", "--"),  # a heading
        (["A00.0", "A00"], None, "2025-10-01", "--"),
        (["A00.1"], None, "2025-10-01", "??"),  # listed without a validity
        (["A00.9"], None, "2025-10-01", "??"),  # not listed
        (["A00.0"], "018", "2025-10-01", "+-"),  # a DRG is no diagnosis
        (["A00.0"], None, None, "??"),
    ],
)
def test_code_valid(codes: list[str], drg: str | None, on: str | None, expected: str) -> None:
    diagnoses = tuple(Diagnosis(code=code) for code in codes)
    coded = Claim(id="1", source="made up", diagnoses=diagnoses, drg=drg, date_of_service=day(on))
    assert seen(coded, "valid-diagnoses", "valid-codes", position=None) == expected


def test_what_is_not_valid_is_named() -> None:
    found = judged(
        Claim(id="1", source="x", diagnoses=(Diagnosis(code="A00"),), drg="018", date_of_service=DAY)
    ).findings
    assert {finding.label: finding.found for finding in found} == {
        "diagnoses": "A00: a heading, which is not reported itself",
        "codes": "A00: a heading, which is not reported itself, 018 until May",
    }


# --- Deferral, gates, overriding --------------------------------------------------------------------------------------


def judged(claim: Claim, **options: Any) -> Report:
    """The report, which is the same by both engines."""
    reports = [replace(SMALL.validate(claim, engine=e, **options), engine="both") for e in ("shifty", "pyshacl")]
    assert reports[0] == reports[1]
    return reports[0]


def told(code: str, *more: str, on: date | None = DAY, **facts: Any) -> tuple[str, str]:
    """The outcome of a claim with lines of these codes, and its findings in short."""
    lines = tuple(Line(number=n, code=c) for n, c in enumerate((code, *more), 1))
    report = judged(Claim(id="1", source="x", date_of_service=on, lines=lines, findings=tuple(facts.items())))
    return report.outcome, " ".join(f"{finding.label}:{finding.outcome}" for finding in report.findings)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"sure": False, "third": False, "other": False}, ("violation", "rule:violation asks:review told:info")),
        ({"sure": False, "third": False, "other": True, "labs": True}, ("conformant", "told:info")),
        ({"sure": True, "third": False, "other": False}, ("not-applicable", "defers:info")),
        ({"sure": True, "other": False}, ("not-applicable", "defers:info")),  # one that is sure is enough
        ({"sure": True, "third": True, "other": False}, ("not-applicable", "defers:info defers-too:info")),
        ({"third": False, "other": False}, ("not-applicable", "rule:info")),  # whether it defers is unknown
        ({"sure": False, "other": False}, ("needs-review", "rule:review")),  # …and that criterion asks for a review
        ({"other": False}, ("needs-review", "rule:review")),
        ({"other": True}, ("not-applicable", "")),
    ],
)
def test_a_policy_defers(facts: dict[str, bool], expected: tuple[str, str]) -> None:
    assert told("00010", **facts) == expected


def test_a_deferral_on_one_line_holds_for_the_whole_claim() -> None:
    assert told("00011", other=False, stage="i") == ("violation", "on-claim:violation rule:violation")
    assert told("00011", "00010", sure=True, third=False, other=False, stage="i") == ("not-applicable", "defers:info")


def test_what_depends_on_a_deferral_says_so() -> None:
    claim = Claim(id="1", source="x", date_of_service=DAY, lines=(Line(number=1, code="00010"),))
    (finding,) = judged(replace(claim, findings=(("third", False), ("other", False)))).findings
    assert finding.message == "rule: depends on whether it is told elsewhere; the claim does not show it"


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ("2024-12-31", ("violation", "dated-rule:violation")),
        ("2025-06-30", ("needs-review", "dated-rule:review")),  # whether the policy deferred by then is not known
        ("2025-12-31", ("not-applicable", "dated:info")),
    ],
)
def test_a_deferral_has_days(on: str, expected: tuple[str, str]) -> None:
    assert told("00012", on=day(on), other=False) == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"sure": False, "third": True, "other": False}, ("violation", "gate:violation")),
        ({"sure": False, "third": False, "other": False}, ("violation", "gate:violation gate-too:violation")),
        ({"sure": False, "other": False}, ("violation", "gate:violation gate-too:review")),
        ({"sure": True, "third": True, "other": False}, ("violation", "rule:violation told:info")),
        ({"sure": True, "third": True, "other": True}, ("conformant", "told:info")),
        ({"third": True, "other": False}, ("violation", "rule:violation gate:review told:info")),  # open is not broken
    ],
)
def test_a_gate_lets_nothing_else_through(facts: dict[str, bool], expected: tuple[str, str]) -> None:
    assert told("00020", **facts) == expected


def test_a_gate_on_one_line_holds_for_the_whole_claim() -> None:
    assert told("00021", "00020", sure=False, third=True, other=False) == ("violation", "gate:violation")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"sure": True, "other": False}, ("needs-review", "exception:review rule:overridden")),  # broken
        ({"sure": True}, ("needs-review", "exception:review rule:overridden")),  # open
        ({"sure": True, "other": True}, ("conformant", "")),  # kept: there is nothing to override
        ({"sure": False, "other": False}, ("violation", "rule:violation")),
        ({"sure": False}, ("needs-review", "rule:review")),
        ({"other": False}, ("violation", "rule:violation")),  # an exception that only may apply overrides nothing
    ],
)
def test_overriding_speaks_where_something_gives_way(facts: dict[str, bool], expected: tuple[str, str]) -> None:
    assert told("00030", **facts) == expected


def test_overriding_reaches_other_lines() -> None:
    assert told("00031", other=False, sure=True) == ("violation", "rule:violation")
    several = told("00031", "00030", other=False, sure=True)
    assert several == ("needs-review", " ".join(["exception:review rule:overridden"] * 2))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"third": True, "other": False}, ("conformant", "strict:overridden")),  # what is kept asks for no review
        ({"third": False, "other": False}, ("needs-review", "kinder:review strict:overridden")),
        ({"third": True, "other": True}, ("conformant", "")),
    ],
)
def test_an_obligation_that_overrides_is_held_to_itself(facts: dict[str, bool], expected: tuple[str, str]) -> None:
    assert told("00032", **facts) == expected


def test_the_background_governs_nothing() -> None:
    assert told("00033") == ("not-applicable", "background:info")
    assert told("00034") == ("conformant", "foreground:info")
    assert told("00033", "00034") == ("conformant", "background:info foreground:info")

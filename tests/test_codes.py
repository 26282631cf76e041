"""Holds the register's code lists to the code systems they come from, and to what policies take for granted of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from rdflib import RDF, Graph, Literal, Node, URIRef
from rdflib.namespace import SKOS

from chartulary.namespaces import COD, POL, ROOT

BASE = Path(__file__).resolve().parents[1]
ICD, HCPCS, DISEASE, PRODUCT = (f"{ROOT}{path}" for path in ("code/icd-10-cm/", "code/hcpcs/", "disease/", "product/"))
WHOLE = ("C82", "C83.0", "C83.1", "C83.3", "C85.1", "C85.2", "C86.6", "C88.4", "C90.0", "C91.0", "C91.1", "Z92.85")
"""Headings under which the register lists every code."""


@cache
def codes() -> Graph:
    graph = Graph()
    for path in [*sorted((BASE / "policies" / "codes").glob("*.ttl")), *sorted((BASE / "policies").glob("*.ttl"))]:
        graph.parse(path)
    return graph


@pytest.fixture(scope="module")
def icd10() -> Any:
    """Today's edition, as CDC publishes it."""
    return pytest.importorskip("simple_icd_10_cm")


def listed(graph: Graph) -> dict[str, URIRef]:
    """Our ICD-10-CM codes, by notation."""
    found = {}
    for code in graph.subjects(SKOS.inScheme, URIRef(ROOT + "scheme/icd-10-cm")):
        assert isinstance(code, URIRef)
        found[str(graph.value(code, SKOS.notation))] = code
    return found


def day(graph: Graph, code: Node, name: str) -> date | None:
    """The one day of that name among a code's validities."""
    days = {graph.value(validity, POL[name]) for validity in graph.objects(code, COD.validity)} - {None}
    assert len(days) <= 1
    value = days.pop() if days else None
    return value.toPython() if isinstance(value, Literal) else None


def within(graph: Graph, code: Node) -> set[Node]:
    return {node for node in graph.transitive_objects(code, SKOS.broader) if node is not None}


# --- ICD-10-CM, against its own edition -------------------------------------------------------------------------------


def faults(graph: Graph, icd10: Any) -> Iterator[tuple[str, str]]:
    """What our list says otherwise than the edition, and of which code."""
    ours = listed(graph)
    for notation, code in ours.items():
        if not icd10.is_valid_item(notation):
            yield notation, "is in no edition"
            continue
        heading = (code, COD.heading, Literal(True)) in graph
        ended = day(graph, code, "effectiveUntil") is not None
        if heading and ended:
            yield notation, "is a heading and has a last day"
        if icd10.is_leaf(notation) == (heading or ended):
            yield notation, "can be reported today" if heading or ended else "is a heading today"
        successors = {str(graph.value(s, SKOS.notation)) for s in graph.subjects(COD.replaces, code)}
        if successors != (set(icd10.get_children(notation)) if ended else set()):
            yield notation, "has other successors"
        above = [
            a for a in icd10.get_ancestors(notation) if a in ours and (ours[a], COD.heading, Literal(True)) in graph
        ]
        broader = [str(b).removeprefix(ICD) for b in graph.objects(code, SKOS.broader) if str(b).startswith(ICD)]
        if broader != above[:1]:
            yield notation, "is under another heading"
    for head in WHOLE:
        today = {c for c in icd10.get_descendants(head) if icd10.is_leaf(c)}
        if missing := today - set(ours):
            yield head, f"lacks {sorted(missing)}"


def test_our_list_agrees_with_the_edition(icd10: Any) -> None:
    assert len(listed(codes())) > 150
    assert list(faults(codes(), icd10)) == []


CODE = "icd10:{0} a cod:Code ; skos:inScheme scheme:icd-10-cm ; skos:notation '{0}' "
BROKEN = (
    # a line that takes the place of what is said of a code, and the fault that it makes
    ("C83.3B", CODE.format("C83.3B") + "; skos:broader icd10:C83.3 .", "is in no edition"),
    ("C83.31", CODE.format("C83.31") + "; skos:broader icd10:C83.3 ; cod:heading true .", "can be reported today"),
    ("C83.31", CODE.format("C83.31") + "; skos:broader icd10:C83 .", "is under another heading"),
    ("C83.31", CODE.format("C83.31") + "; skos:broader icd10:C83.3 ; cod:validity :gone .", "can be reported today"),
    ("C83.39", CODE.format("C83.39") + "; skos:broader icd10:C83.3 .", "is a heading today"),
    ("C90.0", CODE.format("C90.0") + "; skos:broader icd10:C90 .", "is a heading today"),
    ("C90.0", CODE.format("C90.0") + "; skos:broader icd10:C90 ; cod:heading true ; cod:validity :gone .", "last day"),
    ("C83.390", CODE.format("C83.390") + "; skos:broader icd10:C83.3 .", "has other successors"),
    ("C83.32", "", "lacks ['C83.32']"),
)


@pytest.mark.parametrize(("notation", "said", "fault"), BROKEN, ids=[fault for _, _, fault in BROKEN])
def test_a_list_that_does_not_agree_is_told(notation: str, said: str, fault: str, icd10: Any) -> None:
    graph = Graph() + codes()
    graph.remove((URIRef(ICD + notation), None, None))
    prefixes = {
        "cod": str(COD),
        "pol": str(POL),
        "skos": str(SKOS),
        "icd10": ICD,
        "scheme": ROOT + "scheme/",
        "": "urn:",
    }
    graph.parse(
        data="".join(f"PREFIX {name}: <{iri}>\n" for name, iri in prefixes.items())
        + f":gone pol:effectiveUntil '2020-01-01'^^<http://www.w3.org/2001/XMLSchema#date> .\n{said}",
        format="turtle",
    )
    found = [what for _, what in faults(graph, icd10)]
    assert any(fault in what for what in found), found


def test_codes_of_remission_end_in_a(icd10: Any) -> None:
    """All lymphomas got their code of remission at once; a list that forgets a day would let it pass too early."""
    graph = codes()
    remission = {n for n, c in listed(graph).items() if n[:3] in ("C82", "C83", "C85") and n.endswith("A")}
    assert remission == {
        n for n in listed(graph) if n[:3] in ("C82", "C83", "C85") and "in remission" in icd10.get_description(n)
    }
    assert {day(graph, URIRef(ICD + n), "effectiveFrom") for n in remission} == {date(2024, 10, 1)}


@pytest.mark.parametrize(
    ("old", "new"),
    [("C83.39", ("C83.390", "C83.398")), ("C86.6", ("C86.60", "C86.61")), ("C88.4", ("C88.40", "C88.41"))],
)
def test_a_split_code_ends_the_day_before_its_successors(old: str, new: tuple[str, ...]) -> None:
    graph = codes()
    last = day(graph, URIRef(ICD + old), "effectiveUntil")
    assert last == date(2024, 9, 30)
    assert set(graph.subjects(COD.replaces, URIRef(ICD + old))) == {URIRef(ICD + n) for n in new}
    for notation in new:
        assert day(graph, URIRef(ICD + notation), "effectiveFrom") == last + timedelta(days=1)


# --- Diseases ---------------------------------------------------------------------------------------------------------


def test_primary_lymphoma_of_the_nervous_system_is_apart() -> None:
    graph = codes()
    apart, large = URIRef(ICD + "C83.390"), URIRef(DISEASE + "large-b-cell-lymphoma")
    dlbcl = {n for n, c in listed(graph).items() if URIRef(DISEASE + "dlbcl") in within(graph, c)}
    under = {n for n, c in listed(graph).items() if URIRef(ICD + "C83.3") in within(graph, c)}
    assert under - dlbcl == {"C83.3", "C83.390"}
    assert dlbcl <= under and {"C83.31", "C83.39", "C83.398", "C83.3A"} <= dlbcl
    assert large not in within(graph, apart)
    assert URIRef(DISEASE + "b-cell-lymphoma") in within(graph, apart)


@pytest.mark.parametrize(
    ("disease", "some"),
    [
        ("follicular-lymphoma", {"C82.11", "C82.4A", "C82.90"}),
        ("mantle-cell-lymphoma", {"C83.10", "C83.1A"}),
        ("large-b-cell-lymphoma", {"C83.31", "C85.21"}),
        ("b-cell-lymphoma", {"C82.11", "C83.07", "C83.11", "C83.31", "C85.10", "C85.21", "C88.40"}),
        ("acute-lymphoblastic-leukaemia", {"C91.00", "C91.01", "C91.02"}),
        ("cll", {"C91.10", "C91.12"}),
        ("multiple-myeloma", {"C90.00", "C90.02"}),
        ("history", {"Z80.6", "Z80.7", "Z85.72", "Z92.850", "Z92.858", "Z92.859", "Z92.86"}),
    ],
)
def test_a_disease_has_its_codes(disease: str, some: set[str]) -> None:
    graph = codes()
    assert some <= {n for n, c in listed(graph).items() if URIRef(DISEASE + disease) in within(graph, c)}


def test_each_disease_has_codes_and_each_code_of_a_neoplasm_a_disease() -> None:
    graph = codes()
    scheme = URIRef(ROOT + "scheme/disease")
    diseases = set(graph.subjects(SKOS.inScheme, scheme))
    shown = {d for code in listed(graph).values() for d in within(graph, code) & diseases}
    assert diseases - shown == set()
    leaves = {n for n, c in listed(graph).items() if (c, COD.heading, Literal(True)) not in graph}
    assert {n for n in leaves if n[0] == "C" and not within(graph, URIRef(ICD + n)) & diseases} == set()
    no_history = {n for n in leaves if n[0] == "C" and URIRef(DISEASE + "history") in within(graph, URIRef(ICD + n))}
    assert no_history == set()


# --- HCPCS ------------------------------------------------------------------------------------------------------------


def product_codes() -> dict[Node, list[URIRef]]:
    graph = codes()
    found: dict[Node, list[URIRef]] = {}
    for code, product in graph.subject_objects(COD.describes):
        if isinstance(code, URIRef) and code.startswith(HCPCS):
            found.setdefault(product, []).append(code)
    return found


def test_each_car_t_product_has_a_code_of_its_own() -> None:
    graph = codes()
    named = set(graph.subjects(SKOS.broader, URIRef(PRODUCT + "with-own-pcs")))
    car_t = {p for p in product_codes() if URIRef(PRODUCT + "car-t") in within(graph, p)}
    assert len(named) == 7 and car_t == named


def test_codes_of_one_product_follow_each_other() -> None:
    graph = codes()
    pairs = [(c, old) for c, old in graph.subject_objects(COD.replaces) if str(c).startswith(HCPCS)]
    assert len(pairs) == 6
    for code, old in pairs:
        assert graph.value(code, COD.describes) == graph.value(old, COD.describes)
        first, last = day(graph, code, "effectiveFrom"), day(graph, old, "effectiveUntil")
        assert first is not None
        # No copy of the table that was seen shows on which day C9301 ended.
        assert last == first - timedelta(days=1) or (last is None and old == URIRef(HCPCS + "C9301"))


def test_unclassified_and_other_gene_therapy_codes_are_no_car_t() -> None:
    graph = codes()
    car_t = URIRef(ROOT + "service/car-t-product")
    for notation in ("C9399", "J3490", "J3590", "J9999", "J3393", "J3394"):
        code = URIRef(HCPCS + notation)
        assert (code, RDF.type, COD.Code) in graph
        assert car_t not in within(graph, code)
        product = graph.value(code, COD.describes)
        assert product is None or URIRef(PRODUCT + "car-t") not in within(graph, product)
    for product, notations in product_codes().items():
        if URIRef(PRODUCT + "car-t") in within(graph, product):
            assert {code for code in notations if car_t not in within(graph, code)} == set()

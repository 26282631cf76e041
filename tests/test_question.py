"""What may bind a line is what the question about it lists: both match scopes in the same way (decision 0004)."""

from __future__ import annotations

from datetime import date
from itertools import product

import pytest
from rdflib import URIRef

from chartulary import Claim, Register
from chartulary.claim import Line, Payer
from chartulary.graph import claim_graph
from chartulary.namespaces import CLM, POL, ROOT

CODES = ("38225", "38228", "0540T", "38999", "99213")
SETTINGS = ("inpatient", "outpatient", "professional")
DAYS = (date(2019, 8, 6), date(2024, 12, 31), date(2025, 6, 25), date(2025, 6, 26))
KNOWN_ON = (None, date(2025, 3, 31), date(2025, 9, 1), date(2025, 12, 10))


@pytest.mark.parametrize("known_on", KNOWN_ON, ids=str)
@pytest.mark.parametrize("setting", SETTINGS)
def test_what_may_bind_a_line_is_what_the_question_lists(
    register: Register, setting: str, known_on: date | None
) -> None:
    snapshot = register.snapshot(as_known_on=known_on)
    graph = snapshot.graph
    on_claims = set(graph.subjects(POL.request, URIRef(ROOT + "request/claim")))
    on_lines = {p for p in graph.subjects(POL.checks, CLM.Line) if on_claims & set(graph.objects(p, POL.scope))}
    for code, day in product(CODES, DAYS):
        if not snapshot.coding.find_code(code):
            continue
        line = Line(number=1, code=code, first_day=day)
        claim = Claim(id="c", source="c", payer=Payer(name="Medicare"), setting=setting, lines=(line,))
        derived = claim_graph(claim, snapshot.coding)
        snapshot.engine("shifty").run(derived)
        bound = {p for item in derived.subjects(CLM.level, CLM.Line) for p in derived.objects(item, POL.candidate)}
        rows = snapshot.ask("requirements", code=code, payer="medicare", setting=setting, dos=day)
        listed = {URIRef(row["provision"]) for row in rows if row["kind"] != "change"}
        assert bound == listed & on_lines, (code, day)
        surely = {URIRef(row["provision"]) for row in rows if row["certainty"] == "certain"} & on_lines
        maybe = {p for item in derived.subjects(CLM.level, CLM.Line) for p in derived.objects(item, POL.dateUncertain)}
        assert bound - maybe == surely, (code, day)

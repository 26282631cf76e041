"""The page that checks claims: what it says beside their lines, and that nothing of them is kept."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from service import kept, written

from chartulary.readers import read_claims_from
from chartulary.service.app import TooMuch, create_app
from chartulary.service.settings import Settings

__all__ = ["kept", "written"]

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "demo"
X12 = (DEMO / "outpatient.837").read_bytes()
TABLE = b"""\
claim_id,claim_line_number,claim_type,payer,bill_type_code,claim_line_start_date,hcpcs_code,revenue_center_code
T-1,1,institutional,Medicare,131,2025-06-25,38228,0874
T-2,1,institutional,Medicare,131,2025-06-26,38228,0874
T-1,2,institutional,Medicare,131,2025-06-25,Q2042,0891
"""


@pytest.fixture(scope="module")
def client(kept: Settings) -> Iterator[TestClient]:
    app = create_app(replace(kept, body_limit=8_000_000, claims=120))
    app.state.service.warm()  # without the lifespan, so that no processes for queries are started
    yield TestClient(app, base_url="http://localhost")


def check(client: TestClient, data: bytes, name: str = "claim", **fields: str) -> Any:
    return client.post("/check", files={"file": (name, data)}, data=fields)


def words(page: str) -> str:
    """What a page says, without its marks."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


@pytest.mark.parametrize("path", sorted(DEMO.glob("*.*")), ids=lambda path: path.name)
def test_every_claim_is_shown_with_what_was_found(client: TestClient, path: Path) -> None:
    snapshot = client.app.state.service.snapshot(None)  # type: ignore[attr-defined]
    answer = check(client, path.read_bytes(), path.name)
    assert answer.status_code == 200
    said = words(answer.text)
    for claim in read_claims_from(path.read_bytes(), source=path.name):
        report = snapshot.validate(claim)
        assert f"{claim.id} {report.outcome.replace('-', ' ')}" in said  # type: ignore[union-attr]
        for finding in report.findings:
            assert " ".join(finding.message.split()) in said
            assert finding.repair is None or f"Mend: {finding.repair}" in said
            for cite in finding.cites:
                assert f'href="/statement/{cite.statement.rpartition("/")[2]}"' in answer.text
                assert " ".join(cite.quote.split()) in said


def test_findings_stand_beside_their_line(client: TestClient) -> None:
    page = check(client, X12).text
    row = page.split("<tbody>")[1].split("</tr>")[0]
    assert "38228" in row
    assert "The administration line carries KX" in row
    assert "Modifier: none → becomes KX" in words(row)
    assert "changed KX is no longer required on CAR-T claims , for dates of service from 2025-06-26, by" in words(row)
    second = page.split("<tbody>")[1].split("</tr>")[1]
    assert "Q2042" in second and "nothing" in second


def test_violations_come_first_and_are_counted(client: TestClient) -> None:
    claims = json.dumps([{"id": f"C{n}", "payer": "Nobody", "lines": [{"code": "38228"}]} for n in range(70)]).encode()
    page = check(client, claims + b"").text
    assert "70 claims" in page and "20 are not shown" in page
    mixed = json.loads(claims)[:60] + [json.loads((DEMO / "prior-authorization.json").read_text())]
    page = check(client, json.dumps(mixed).encode()).text
    assert words(page).index("Request PA-0910 violation") < words(page).index("Claim C0 ")
    assert "11 are not shown" in page


def test_lines_with_findings_come_before_others(client: TestClient) -> None:
    wrong = {"number": 150, "code": "38228", "revenue_code": "0874", "first_day": "2025-06-25"}
    right = {**wrong, "modifiers": ["KX"]}
    medicare = {"id": "long", "payer": "Medicare", "line_of_business": "Medicare Part B", "setting": "outpatient"}

    def shown(lines: list[dict[str, object]]) -> str:
        numbered = [{**line, "number": number} for number, line in enumerate(lines, 1)]
        return words(check(client, json.dumps({**medicare, "lines": numbered}).encode()).text)

    assert "Lines Line Code" in shown([wrong] * 3)
    one = shown([right] * 129 + [wrong])
    assert "(30 more are not shown)" in one and " 130 38228 0874 2025-06-25 violation " in one
    assert "(5 more are not shown, 5 of them with findings)" in shown([wrong] * 105)


def test_what_governs_and_what_stands_back(client: TestClient) -> None:
    folder = ROOT / "policies" / "excellus" / "7.02.11" / "claims"
    page = next(
        page
        for path in sorted(folder.iterdir())
        if "it stands back" in (page := check(client, path.read_bytes(), path.name).text)
    )
    said = words(page)
    assert re.search(r"Looked at, and does not govern .*7\.02\.11 \(Excellus BCBS\) : it stands back\. ", said)
    page = check(client, (ROOT / "policies/medicaid/epsdt/claims/non-compliance-at-15.json").read_bytes()).text
    assert "Gives way to Under 21, with documentation, EPSDT may lift the limit" in words(page)


def test_the_day_and_the_unknown_are_heeded(client: TestClient) -> None:
    assert "1 violation 2 conformant" in words(check(client, X12).text)
    answer = check(client, X12, **{"as-known-on": "2025-09-01"})
    assert "2 violations 1 conformant" in words(answer.text)
    assert "as known on 2025-09-01" in answer.text
    assert "Published only after the day asked about" in answer.text
    assert answer.headers["Chartulary-As-Known-On"] == "2025-09-01"
    request = json.loads((DEMO / "prior-authorization.json").read_text())
    request["documents"] = request["documents"][1:]
    sent = json.dumps(request).encode()
    assert "1 needs review" in words(check(client, sent).text)
    assert "1 conformant" in words(check(client, sent, unknown="info").text)


def test_the_decision_is_that_of_the_api(client: TestClient) -> None:
    headers = {"content-type": "application/edi-x12"}
    api = client.post("/v1/validate", content=X12, headers=headers).headers["Chartulary-Decision"]
    answer = check(client, X12)
    assert answer.headers["Chartulary-Decision"] == api and api in answer.text


def test_a_table_and_a_text_are_read(client: TestClient) -> None:
    said = words(check(client, TABLE, "claims.csv").text)
    assert "claims.csv: 2 claims" in said and "Claim T-1 violation" in said
    empty = "@prefix clm: <https://w3id.org/chartulary/def/claim#> .\r\n<urn:claim:A-1> a clm:Claim ."
    answer = client.post("/check", files={"text": (None, empty)})
    assert answer.status_code == 400 and "the text, urn:claim:A-1: nothing to check" in words(answer.text)
    answer = client.post("/check", files={"text": (None, X12.decode()), "file": ("", b"")})
    assert answer.status_code == 200 and "the text: 3 claims" in words(answer.text)


# --- What cannot be read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "fields", "reason"),
    [
        ({}, {"unknown": "review"}, "Choose a file, or paste a claim."),
        ({"file": ("", b"")}, {}, "Choose a file, or paste a claim."),
        ({"file": ("a", X12)}, {"as-known-on": "yesterday"}, "This is not a day (yyyy-mm-dd)."),
        ({"file": ("a", X12)}, {"as-known-on": "2025-02-30"}, "This is not a day (yyyy-mm-dd)."),
        ({"file": ("a", X12)}, {"unknown": "nothing"}, "An unknown requirement gives review or info."),
        ({"file": ("a", b"")}, {}, "a: the file is empty"),
        ({"file": ("a", b"\x1f\x8b\0")}, {}, "a: compressed (gzip); unpack it first"),
        ({"file": (r"C:\Patients\a.txt", b"Dear Sir")}, {}, "a.txt: not recognised as X12"),
    ],
)
def test_the_page_says_what_is_wrong(client: TestClient, files: Any, fields: dict[str, str], reason: str) -> None:
    parts = [(name, (None, value)) for name, value in fields.items()] + list(files.items())
    answer = client.post("/check", files=parts)
    assert answer.status_code == 400
    assert reason in words(answer.text)
    assert "<form" in answer.text and "Patients" not in answer.text


def test_forms_of_another_kind_are_refused(client: TestClient) -> None:
    assert client.post("/check", data={"text": "x"}).status_code == 400
    broken = client.post("/check", content=b"x", headers={"content-type": "multipart/form-data; boundary=b"})
    assert broken.status_code == 400 and "The form could not be read" in broken.text
    assert client.post("/check", headers={"content-type": "multipart/form-data"}).status_code == 400
    two = client.post("/check", files=[("file", ("a", X12)), ("file", ("b", X12))])
    assert two.status_code == 400


def test_problems_do_not_hide_claims(client: TestClient) -> None:
    lines = b'{"id": "A", "payer": "Nobody", "lines": [{"code": "38228"}]}\n{"id": \n'
    answer = check(client, lines, "some.jsonl")
    assert answer.status_code == 200
    assert "Claim A " in words(answer.text) and "some.jsonl, line 2" in words(answer.text)


def test_too_many_claims_are_refused(client: TestClient) -> None:
    claims = json.dumps([{"id": str(n), "lines": [{"code": "38228"}]} for n in range(121)]).encode()
    answer = check(client, claims)
    assert answer.status_code == 413 and "These are more than 120 claims" in answer.text
    assert check(client, b"x" * 8_000_001).status_code == 413


# --- What a claim holds stays harmless, and is not kept ---------------------------------------------------------------


def test_what_a_claim_says_is_never_markup(client: TestClient) -> None:
    evil = "<script>alert(1)</script>\"><img src=x onerror='alert(2)'>"
    claim = {
        "id": evil,
        "payer": evil,
        "setting": evil,
        "line_of_business": evil,
        "notes": [evil],
        "diagnoses": [evil],
        "findings": {evil: True},
        "documents": [{"kind": evil, "date": "2025-01-01"}],
        "lines": [{"number": 1, "code": evil, "modifiers": [evil], "revenue_code": evil, "description": evil}],
    }
    for data in (json.dumps(claim).encode(), X12.replace(b"OP-0625", b'<script>"><img src=x>'), evil.encode()):
        answer = check(client, data, evil, **{"as-known-on": "2025-09-01"})
        assert "alert" in answer.text or "&lt;script&gt;" in answer.text
        assert not re.search(r"<script(?! src=\"/static/(answer|check)\.js\")", answer.text)
        assert "<img src=x" not in answer.text
    answer = client.get("/check", params={"as-known-on": evil, "unknown": evil})
    assert "<script>" not in answer.text and "<img src=x" not in answer.text


def test_no_part_of_a_claim_touches_the_disk(client: TestClient, written: list[str]) -> None:
    large = b" " * 3_000_000 + (DEMO / "prior-authorization.json").read_bytes()
    assert "Request PA-0910" in words(check(client, large).text)
    assert "Request PA-0910" in words(client.post("/check", files={"text": (None, large.decode())}).text)
    check(client, X12)
    check(client, b"x" * 5_000_000)
    assert "2 claims" in words(check(client, TABLE).text)  # rows of T-1 are scattered, and sorted in memory
    assert written == []
    with open(Path("/dev/null"), "w"):  # noqa: PTH123
        assert written == ["/dev/null"]  # the watch sees what it should


def test_nothing_of_a_claim_is_logged(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        check(client, X12, "secret-name.837")
        check(client, b"secret nonsense", "secret-name.txt")
        for broken in (b"--b\r\nContent-Disposition secret: x\r\n\r\nsecret", b"secret"):
            client.post("/check", content=broken, headers={"content-type": "multipart/form-data; boundary=b"})
    assert not [record for record in caplog.records if record.name.startswith("python_multipart")]
    assert not [record for record in caplog.records if re.search(r"secret|OP-0625|38228", record.getMessage())]


def test_an_answer_is_not_to_be_stored(client: TestClient) -> None:
    answer = check(client, X12)
    assert answer.headers["Cache-Control"] == "no-store"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy
    assert not re.search(r"<script(?![^>]* src=)| style=| on\w+=", answer.text)


# --- What a repair would do -------------------------------------------------------------------------------------------


def test_a_repair_is_told_with_its_reasons_and_its_proof(client: TestClient) -> None:
    page = check(client, X12).text
    claims = page.split('<section class="claim')[1:]
    assert ["What a repair would do" in claim for claim in claims] == [True, False, False]
    said = words(claims[0])
    assert "mended Line 1: modifier KX added Because of The administration line carries KX" in said
    assert "KX states that the service was given in a facility that takes part in the FDA REMS: send it only" in said
    assert "was read again and judged: 1 finding gone, none new. violation → conformant" in said
    assert 'href="/statement/astct.kx.meaning"' in claims[0].split("What a repair would do")[1]


def test_what_is_left_to_a_person_is_told_with_the_reason(client: TestClient) -> None:
    page = check(client, (DEMO / "prior-authorization.json").read_bytes()).text
    said = words(page.split("What a repair would do")[1])
    assert said.startswith("left to a person Claim: HIV serology") and "Violation: " in said
    assert "read again" not in said.partition("What governs")[0]
    table = words(check(client, TABLE).text)
    assert "Nothing: only X12 837, FHIR JSON and claim JSON are written back" in table


def test_the_mended_file_is_an_attachment_of_the_same_bytes_but_for_the_mend(client: TestClient) -> None:
    answer = check(client, X12, r"C:\Patients\Übung 1.837", **{"as": "mended"})
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%C3%9Cbung%201.mended.837"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.content == X12.replace(b"HC:38228*", b"HC:38228:KX*", 1)
    again = check(client, answer.content, "a.837", **{"as": "mended"})
    assert again.content == answer.content
    api = client.post("/v1/repair", content=X12, headers={"content-type": "application/edi-x12"})
    assert api.headers["Chartulary-Decision"] == answer.headers["Chartulary-Decision"]
    broken = check(client, b"Dear Sir", "a.txt", **{"as": "mended"})
    assert broken.status_code == 400 and "a.txt: not recognised as X12" in words(broken.text)


def test_a_check_that_leaves_no_time_to_mend_still_answers(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    service = client.app.state.service  # type: ignore[attr-defined]
    asked = []

    def tick() -> None:
        asked.append(1)
        if len(asked) > 3:  # each claim is judged once, and there is no time for more
            raise TooMuch(503, "too long")

    monkeypatch.setattr(service, "clock", lambda: tick)
    said = words(check(client, X12).text)
    assert "1 violation 2 conformant" in said and "was not worked out" in said and "none new" not in said
    asked.clear()
    refused = check(client, X12, **{"as": "mended"})
    assert refused.status_code == 503 and "Too long." in words(refused.text)


def test_a_mended_file_touches_no_disk(client: TestClient, written: list[str]) -> None:
    assert check(client, X12, **{"as": "mended"}).content != X12
    assert client.post("/v1/repair", content=X12).status_code == 200
    assert written == []

"""What one would have answered on two days, in the service: a page, claims on two days, and the picture."""

from __future__ import annotations

import json
import re
import struct
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from service import kept

from chartulary.service.app import create_app
from chartulary.service.settings import Settings

__all__ = ["kept"]

BASE = Path(__file__).parents[1]
X12 = (BASE / "demo" / "outpatient.837").read_bytes()
DENIED = BASE / "policies" / "medicare" / "ncd-110.24" / "claims" / "denied-for-lack-of-kx.json"
QUESTION = "code=38228&payer=medicare&setting=outpatient"
KNOWN = "known=2025-09-01&known-later=2026-01-01"


@pytest.fixture(scope="module")
def client(kept: Settings) -> Iterator[TestClient]:
    """Not entered: nothing here needs the processes that answer SPARQL."""
    yield TestClient(create_app(kept), base_url="http://127.0.0.1")


def words(page: str) -> str:
    """What a page says, without its marks."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def read(client: TestClient, query: str, status: int = 200) -> str:
    answer = client.get(f"/changes?{query}")
    assert answer.status_code == status
    assert not re.search(r"<script(?![^>]* src=)| style=| on\w+=|<style", answer.text)
    return answer.text


# --- The page ---------------------------------------------------------------------------------------------------------


def test_the_first_line_says_what_differs(client: TestClient) -> None:
    page = read(client, f"{QUESTION}&dos=2025-07-01&{KNOWN}")
    heading = words(page.partition("<h1>")[2].partition("</h1>")[0])
    assert heading.startswith("On 1 September 2025 one would have answered that “")
    assert "“The administration line carries KX”" in heading and heading.endswith(
        "on 1 January 2026, that they are not."
    )


def test_answers_stand_side_by_side_in_words(client: TestClient) -> None:
    page = read(client, f"{QUESTION}&dos=2025-07-01&{KNOWN}")
    rows = [words(row) for row in page.partition('<table class="sides">')[2].partition("</table>")[0].split("<tr")]
    assert "Provision As known on 1 September 2025 As known on 1 January 2026" in rows[1]
    assert any(row.endswith("The administration line carries KX Needs: modifier KX required not asked") for row in rows)
    assert any(row.endswith("The administration line needs no KX not told told") for row in rows)


def test_what_makes_the_difference_is_told_with_each_of_its_days(client: TestClient) -> None:
    page = read(client, f"{QUESTION}&dos=2025-07-01&{KNOWN}")
    said = words(page.partition('id="difference"')[2])
    for text in (
        "CR 14204, MM14204",
        "9 December 2025 at the earliest: CR 14204.",
        "12 December 2025 at the latest: MM14204.",
        "answers for those days are a maybe",
        "apply it from 6 February 2026",
        "KX is no longer required on CAR-T claims , holds for dates of service from 26 June 2025",
        "“The KX modifier on Medicare Part B claims for CAR T-cell therapy”",
        "Also says Where the payer denied the claim: Denied claims: the contractor adjusts them on request",
    ):
        assert text in said
    assert 'href="/statement/mm14204.kx.removed"' in page


def test_on_the_day_before_it_says_that_nothing_changed(client: TestClient) -> None:
    said = words(read(client, f"{QUESTION}&dos=2025-06-25&{KNOWN}"))
    assert "Nothing changed: the answer on 1 September 2025 and on 1 January 2026 is the same." in said
    both = said.partition("What is answered on both days")[2]
    assert "required The administration line carries KX" in both
    assert "makes no difference to services on 25 June 2025. CR 14204, MM14204" in both


def test_between_the_publications_it_is_a_maybe(client: TestClient) -> None:
    said = words(read(client, f"{QUESTION}&dos=2025-07-01&known=2025-09-01&known-later=2025-12-10"))
    assert "are asked; on 10 December 2025, that they may be." in said
    assert "required maybe required" in said
    back = words(read(client, f"{QUESTION}&dos=2025-07-01&known=2025-12-10&known-later=2025-09-01"))
    assert "On 10 December 2025 one would have answered" in back and "on 1 September 2025, that they surely are" in back


def test_the_other_way_round_it_says_the_same(client: TestClient) -> None:
    def heading(known: str) -> str:
        page = read(client, f"{QUESTION}&dos=2025-07-01&{known}")
        return words(page.partition("<h1>")[2].partition("</h1>")[0])

    assert heading("known=2026-01-01&known-later=2025-09-01") == heading(KNOWN)


def test_what_is_found_through_several_codes_is_answered_once(client: TestClient) -> None:
    page = read(client, "code=axicabtagene-ciloleucel&payer=medicare&dos=2025-07-01&known=2025-09-01")
    rows = re.findall(r'<th scope="row">.*?<a href="([^"]+)"', page, re.S)
    assert len(rows) == len(set(rows)) > 1
    kx = words(read(client, "code=KX&payer=medicare&dos=2025-07-01&known=2025-09-01"))
    assert "with all that is known, that they are not" in kx and "The administration line carries KX" in kx


def test_the_page_agrees_with_the_api(client: TestClient) -> None:
    page = read(client, f"{QUESTION}&dos=2025-07-01&{KNOWN}")
    told = client.get(f"/v1/compare?{QUESTION}&dos=2025-07-01&{KNOWN}").json()
    shown = re.findall(r'<th scope="row">.*?<a href="([^"]+)"', page, re.S)
    assert sorted(shown) == sorted("/" + c["provision"].partition("/chartulary/")[2] for c in told["changes"])


def test_examples_come_from_the_register_and_show_a_difference(client: TestClient) -> None:
    page = read(client, "")
    examples = [unescape(link) for link in re.findall(r'href="/changes\?([^"]+)"', page)]
    assert len(examples) >= 4
    for query in examples:
        assert 'id="difference"' in read(client, query), query


@pytest.mark.parametrize(
    ("query", "field", "reason"),
    [
        (f"{QUESTION}&dos=2025-07-01", "known", "give a day"),
        (f"{QUESTION}&dos=2025-07-01&known=soon", "known", "“soon” is not a day"),
        (f"{QUESTION}&dos=2025-07-01&known=2025-09-01&known-later=9", "known-later", "“9” is not a day"),
        ("code=nothing&payer=medicare&known=2025-09-01", "code", "no code or product “nothing”"),
        ("code=38228&known=2025-09-01", "payer", "choose one"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(client: TestClient, query: str, field: str, reason: str) -> None:
    page = read(client, query, 400)
    told = re.search(rf'<p class="wrong" id="{field}-wrong">(.*?)</p>', page)
    assert told and reason in unescape(told[1])


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_the_ends_of_the_calendar_are_days(client: TestClient, day: str) -> None:
    assert "CPT 38228" in read(client, f"{QUESTION}&dos={day}&known={day}")


def test_an_answer_and_an_amendment_lead_there(client: TestClient) -> None:
    page = client.get(f"/ask?{QUESTION}&dos=2025-07-01").text
    link = unescape(re.findall(r'href="/changes\?([^"]+)"', page)[0])
    assert "known=2025-07-01" in link and 'id="difference"' in read(client, link)
    page = client.get("/policy/medicare/ncd-110.24/2025-12-09", headers={"accept": "text/html"}).text
    links = [unescape(link) for link in re.findall(r'href="/changes\?([^"]+)"', page)]
    assert links and all("known=2025-12-08&known-later=2025-12-12" in link for link in links)


# --- Claims -----------------------------------------------------------------------------------------------------------


def compared(client: TestClient, body: bytes, query: str = KNOWN, **headers: str) -> Any:
    return client.post(f"/v1/compare?{query}", content=body, headers=headers)


def test_claims_are_judged_on_both_days(client: TestClient) -> None:
    answer = compared(client, X12)
    told = answer.json()
    found = {claim["claim"]: (claim["direction"], claim["before"]["outcome"]) for claim in told["claims"]}
    assert found["OP-0626"] == ("now-conformant", "violation")
    assert found["OP-0625"] == ("as-before", "violation") and found["OP-0625-KX"] == ("as-before", "conformant")
    assert {cause["change"]["implemented_on"] for cause in told["causes"]} == {"2026-02-06"}
    assert told["decision"] == answer.headers["Chartulary-Decision"] and told["problems"] == []
    assert compared(client, X12).json() == told
    assert compared(client, X12, "known=2025-09-01").json()["decision"] != told["decision"]


def test_what_is_not_read_costs_no_other(client: TestClient) -> None:
    claims = [json.loads(DENIED.read_text()), {"lines": 3}]
    told = compared(client, json.dumps(claims).encode()).json()
    assert len(told["claims"]) == 1 and len(told["problems"]) == 1


@pytest.mark.parametrize(
    ("body", "query", "headers", "status"),
    [
        (b"Dear Sir", KNOWN, {}, 400),
        (X12, "known-later=2026-01-01", {}, 422),
        (X12, KNOWN, {"content-type": "image/png"}, 415),
        (X12, KNOWN, {"content-type": "application/x-ndjson"}, 415),
        (X12, KNOWN, {"accept": "text/csv"}, 406),
    ],
)
def test_it_refuses_what_validate_refuses(
    client: TestClient, body: bytes, query: str, headers: dict[str, str], status: int
) -> None:
    answer = compared(client, body, query, **headers)
    assert answer.status_code == status and answer.json()["error"]


def test_a_body_with_too_many_claims_is_refused(kept: Settings) -> None:
    small = TestClient(create_app(Settings(cache=kept.cache, claims=2)), base_url="http://127.0.0.1")
    assert compared(small, X12).status_code == 413


def test_check_shows_both_days_above_the_lines(client: TestClient) -> None:
    def check(**fields: str) -> str:
        return client.post("/check", files={"file": (DENIED.name, DENIED.read_bytes())}, data=fields).text

    assert "either day" not in words(check())
    page = check(**{"compare-with": "2025-09-01"})
    said = words(page.partition('<table class="sides">')[2].partition('<table class="lines">')[0])
    assert said.startswith("Rule As known on 1 September 2025 With all that is known The claim violation conformant")
    assert "Line 1, 38228 : The administration line carries KX Expected modifier KX; found no modifier" in said
    assert "KX is no longer required on CAR-T claims" in said
    # The earlier day comes first, whichever of the two was asked about.
    other = check(**{"as-known-on": "2025-09-01", "compare-with": "2026-01-01"})
    assert "As known on 1 September 2025 As known on 1 January 2026 The claim violation conformant" in words(other)
    wrong = client.post("/check", files={"file": ("c", X12)}, data={"compare-with": "soon"})
    assert wrong.status_code == 400 and "This is not a day" in words(wrong.text)


# --- The picture ------------------------------------------------------------------------------------------------------


def test_the_picture_is_answered_as_svg_or_png(client: TestClient) -> None:
    answer = client.get(f"/v1/timeline?{QUESTION}")
    assert answer.headers["content-type"] == "image/svg+xml" and answer.headers["Chartulary-Decision"]
    root = ET.fromstring(answer.text)
    assert {node.get("data-last") for node in root.iter() if "bar" in node.get("class", "").split()} >= {"2025-06-25"}
    assert client.get(f"/timeline.svg?{QUESTION}").text == answer.text
    pytest.importorskip("resvg_py")
    image = client.get(f"/v1/timeline?{QUESTION}", headers={"accept": "image/png"})
    assert image.headers["content-type"] == "image/png"
    assert struct.unpack(">I", image.content[16:20]) == (3508,)


def test_the_picture_knows_what_was_known_and_shows_the_days_asked_for(client: TestClient) -> None:
    query = f"{QUESTION}&from=2025-01-01&until=2026-03-31"
    now, then = (client.get(f"/v1/timeline?{query}{known}").text for known in ("", "&as-known-on=2025-09-01"))
    assert "KX is no longer required" in now and "KX is no longer required" not in then
    assert "Days of service from 2025-01-01 to 2026-03-31." in then and "as known on 2025-09-01" in then
    between = client.get(f"/v1/timeline?{query}&as-known-on=2025-12-10").text
    assert "As known 2025-12-09 to 2025-12-10" in between, "the day asked about, not another on which as much was known"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("code=nothing&payer=medicare", "no code or product “nothing”"),
        ("code=38228&payer=nobody", "no payer “nobody”"),
        (f"{QUESTION}&from=2026-01-01&until=2025-01-01", "is after"),
        (f"{QUESTION}&from=9999-12-31&until=9999-12-31", "is after"),
        ("code=90&payer=excellus", "holds nothing on this"),
    ],
)
def test_what_cannot_be_drawn_is_a_400_in_one_line(client: TestClient, query: str, said: str) -> None:
    answer = client.get(f"/v1/timeline?{query}")
    assert answer.status_code == 400 and said in answer.json()["error"] and "--" not in answer.json()["error"]


def test_where_png_cannot_be_drawn_svg_still_is(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    answer = client.get(f"/timeline.png?{QUESTION}")
    assert answer.status_code == 501 and "chartulary[pictures]" in answer.json()["error"]
    assert client.get(f"/timeline.svg?{QUESTION}").status_code == 200
    assert client.get(f"/timeline.gif?{QUESTION}").status_code == 404


def test_the_timeline_page_links_the_picture(client: TestClient) -> None:
    page = client.get(f"/timeline?{QUESTION}&dos=2025-07-01&as-known-on=2025-09-01").text
    links = [unescape(link) for link in re.findall(r'href="(/timeline\.\w+\?[^"]+)"', page)]
    assert len(links) == 2 and all("dos=" not in link and "as-known-on=2025-09-01" in link for link in links)
    assert client.get(links[0]).headers["content-type"] == "image/svg+xml"


def test_new_routes_are_in_the_openapi_document(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {"get", "post"} <= {*paths["/v1/compare"]} and "get" in paths["/v1/timeline"]
    assert not {"/changes", "/timeline.{kind}"} & {*paths}
    assert "application/edi-x12" in paths["/v1/compare"]["post"]["requestBody"]["content"]

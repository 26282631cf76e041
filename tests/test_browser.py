"""The pages in a real browser: every view on two screens, and what people come for.

Screenshots for a person to look at are left in ``build/screenshots``.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, Request, expect, sync_playwright
from service import kept, server

__all__ = ["kept", "server"]
pytestmark = pytest.mark.slow

BASE = Path(__file__).parents[1]
SHOTS = BASE / "build" / "screenshots"
QUESTION = "code=38228&payer=medicare&setting=outpatient&dos=2025-07-12"
SCREENS = {"laptop": (1280, 900), "phone": (390, 844)}
QUERY = "SELECT * { ?policy a <https://w3id.org/chartulary/def/policy#Policy> }"
VIEWS = {
    "ask": "/ask",
    "answer": f"/ask?{QUESTION}",
    "refused": "/ask?code=nothing&payer=medicare&dos=2025-07-12",
    "timeline": f"/timeline?{QUESTION}",
    "question": "/ask/what-changed?source=mm14204",
    "changes": "/changes",
    "changed": f"/changes?{QUESTION}&known=2025-09-01&known-later=2026-01-01",
    "unchanged": f"/changes?{QUESTION.replace('07-12', '06-25')}&known=2025-09-01",
    "check": "/check",
    "worklist": "/worklist",
    "policies": "/policies",
    "policy": "/policy/medicare/ncd-110.24",
    "version": "/policy/medicare/ncd-110.24/2025-12-09",
    "statement": "/statement/mm14204.kx.removed",
    "code": "/code/cpt/38228",
    "term": "/def/policy",
    "sparql": f"/explore/sparql?query={quote(QUERY)}",
    "api": "/docs",
    "missing": "/policy/nobody/nothing",
}
# Started by root in a container, Chromium needs the first; the others keep it from calling home.
_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=found, args=_OPTIONS)
        except Error:
            if os.environ.get("CHARTULARY_TESTS_NEED_BROWSER"):
                pytest.fail("no Chromium to look at the pages with", pytrace=False)
            pytest.skip("no Chromium to look at the pages with: install one, or run playwright install chromium")
        yield browser
        browser.close()


@pytest.fixture(params=SCREENS)
def page(browser: Browser, server: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of a browser that must find no fault, and ask nothing of anybody else."""
    width, height = SCREENS[request.param]
    context = browser.new_context(base_url=server, viewport={"width": width, "height": height})
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda fault: faults.append(str(fault)))
    # A page that is rightly 400 or 404 is a console error in Chromium.
    page.on(
        "console",
        lambda said: faults.append(said.text) if said.type == "error" and "status of 4" not in said.text else None,
    )

    def asked(request: Request) -> None:
        if not request.url.startswith((server, "data:", "blob:")):
            faults.append(request.url)

    page.on("request", asked)
    yield page
    context.close()
    assert faults == []


def shoot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    width = page.viewport_size["width"] if page.viewport_size else 0
    screen = next(screen for screen, size in SCREENS.items() if size[0] == width)
    page.screenshot(path=SHOTS / f"{name}-{screen}.png", full_page=True)


def serious(page: Page) -> list[str]:
    """What axe finds that keeps somebody out."""
    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {fault['nodes'][0]['html'][:120]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_can_be_read_by_everyone(page: Page, view: str) -> None:
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.goto(VIEWS[view])
        page.wait_for_load_state("networkidle")
        assert serious(page) == []
    shoot(page, view)
    wide, screen = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= screen
    if view != "api":  # Swagger's own page
        assert page.locator("h1").count() == 1
        assert page.title().endswith("Chartulary")


def test_a_coder_finds_whether_kx_was_needed_and_who_says_so(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Code or product").fill("38228")
    page.get_by_label("Payer").select_option(label="Medicare")
    page.get_by_label("Date of service").fill("2025-07-12")
    page.get_by_role("button", name="Ask").click()
    told = page.get_by_text("KX is no longer required on CAR-T claims").first
    expect(told).to_be_in_viewport()
    expect(page.get_by_text("MM14204").first).to_be_in_viewport()
    assert "dos=2025-07-12" in page.url
    shoot(page, "kx")
    told.click()
    expect(page.get_by_text("we no longer require").first).to_be_visible()


def test_an_answer_can_be_moved_to_another_day(page: Page) -> None:
    page.goto(f"/timeline?{QUESTION}")
    page.get_by_role("link", name="Day before").first.click()
    page.wait_for_url(re.compile("dos=2025-07-11"))
    expect(page.locator("svg:visible").first).to_be_visible()


@pytest.mark.parametrize("name", ["outpatient.837", "prior-authorization.json", "office-visit.fhir.json"])
def test_a_claim_file_is_checked(page: Page, name: str) -> None:
    page.goto("/check")
    page.get_by_label("A claim file").set_input_files(BASE / "demo" / name)
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#answer h2").first).to_be_visible()
    assert serious(page) == []
    shoot(page, f"check-{name.partition('.')[0]}")
    if name == "outpatient.837":
        expect(page.get_by_text("add modifier KX").first).to_be_visible()
        expect(page.get_by_text("should be billed with the KX modifier").first).to_be_visible()
    assert "?" not in page.url


def test_a_mended_claim_file_is_downloaded_and_the_page_stays(page: Page) -> None:
    page.goto("/check")
    page.get_by_label("A claim file").set_input_files(BASE / "demo" / "outpatient.837")
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("send it only where that is so").first).to_be_visible()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download it mended").click()
    assert waiting.value.suggested_filename == "outpatient.mended.837"
    assert b"HC:38228:KX" in Path(waiting.value.path()).read_bytes()
    expect(page.get_by_text("1 finding gone, none new")).to_be_visible()


def test_claims_that_a_change_touches_are_listed_and_kept_as_a_file(page: Page) -> None:
    page.goto("/worklist")
    page.get_by_label("Claim files").set_input_files(BASE / "demo" / "outpatient.837")
    page.get_by_label("835 remittances").set_input_files(BASE / "demo" / "remittances" / "outpatient.835")
    page.get_by_label("Against what was known on").fill("2025-12-01")
    page.get_by_role("button", name="List them").click()
    expect(page.get_by_role("row").filter(has_text="OP-0626")).to_be_visible()
    expect(page.get_by_text("they'll adjust any claims that you bring to their attention").first).to_be_visible()
    expect(page.locator("svg .bar")).to_have_count(1)
    assert serious(page) == []
    wide, screen = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= screen
    shoot(page, "worklist-listed")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="CSV").click()
    assert waiting.value.suggested_filename == "worklist-2025-12-01-all.csv"
    assert "OP-0626" in Path(waiting.value.path()).read_text("utf-8")
    assert "?" not in page.url


def test_a_claim_is_checked_with_what_was_known_on_two_days(page: Page) -> None:
    page.goto("/check")
    page.get_by_label("A claim file").set_input_files(BASE / "demo" / "outpatient.837")
    page.get_by_label("Compare with what was known on").fill("2025-09-01")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_text("With what was known on either day: now conformant")).to_be_visible()
    assert serious(page) == []
    shoot(page, "check-two-days")


def test_an_analyst_finds_what_a_change_changed(page: Page) -> None:
    page.goto("/changes")
    page.get_by_role("link", name="KX is no longer required on CAR-T claims").click()
    expect(page.locator("h1")).to_contain_text("The administration line carries KX")
    expect(page.get_by_text("at the latest: MM14204").first).to_be_visible()
    page.get_by_role("link", name="Services a day before").click()
    expect(page.locator("h1")).to_contain_text("Nothing changed")


def test_a_file_that_is_no_claim_is_refused_with_a_reason(page: Page) -> None:
    page.goto("/check")
    page.get_by_text("or paste it").click()
    page.get_by_label("The claim as text").fill("not a claim")
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("not recognised as").first).to_be_visible()


def test_a_query_is_written_with_the_keyboard(page: Page) -> None:
    page.goto("/explore/sparql")
    editor = page.get_by_label("Query", exact=True)
    editor.focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("SELECT ?policy { ?policy a pol:Polic")
    page.keyboard.press("Control+Space")
    page.get_by_role("option").first.wait_for()
    shoot(page, "completion")
    page.keyboard.press("Enter")
    page.keyboard.type(" }")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#answer table")).to_be_visible()
    assert page.locator("#answer tbody tr").count() > 5
    page.locator("#answer tbody a").first.click()
    expect(page.locator("h1")).to_be_visible()
    assert "/policy/" in page.url


def test_a_wrong_query_is_refused_with_a_reason(page: Page) -> None:
    page.goto("/explore/sparql?query=SELECT%20nothing")
    expect(page.get_by_role("alert")).to_be_visible()


def test_pages_are_whole_without_a_script(browser: Browser, server: str) -> None:
    context = browser.new_context(base_url=server, java_script_enabled=False)
    page = context.new_page()
    page.goto(VIEWS["answer"])
    expect(page.get_by_text("KX is no longer required on CAR-T claims").first).to_be_visible()
    page.goto("/check")
    page.locator("input[type=file]").set_input_files(BASE / "demo" / "outpatient.837")
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("add modifier KX").first).to_be_visible()
    page.goto("/worklist")
    page.get_by_label("Claim files").set_input_files(BASE / "demo" / "outpatient.837")
    page.get_by_label("Against what was known on").fill("2025-12-01")
    page.get_by_role("button", name="List them").click()
    expect(page.locator("#answer tbody tr").filter(has_text="OP-0626")).to_be_visible()
    page.goto(VIEWS["sparql"])
    assert page.locator("#answer tbody tr").count() > 5
    context.close()


def test_the_keyboard_reaches_the_content_first(page: Page) -> None:
    page.goto("/ask")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()

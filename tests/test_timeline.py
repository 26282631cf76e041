"""The picture of a code over dates of service: its days are those of the data, and it can be read."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET
from datetime import date, timedelta
from pathlib import Path

import pytest

from chartulary import ChartularyError, Register, history, picture
from chartulary.cli import app
from chartulary.history import History, Span
from chartulary.namespaces import ROOT
from chartulary.timeline import Axis

POLICY = f"{ROOT}policy/medicare/ncd-110.24"
KX = f"{POLICY}/2021-07-20#kx-on-administration"
KX_ENDS = f"{POLICY}/2025-12-09#kx-ends"
SVG = "{http://www.w3.org/2000/svg}"
PAYERS = ("medicare", "wellcare-nc", "excellus")
DAY = timedelta(days=1)

Box = tuple[float, float, float, float]


def read(register: Register, payer: str = "medicare", known: str | None = None, **more: date) -> History:
    day = date.fromisoformat(known) if known else None
    return history.read(register, {"code": "38228", "payer": payer}, as_known_on=day, **more)


@pytest.fixture(scope="module")
def drawn(register: Register) -> dict[str, tuple[History, ET.Element]]:
    found = {payer: read(register, payer) for payer in PAYERS}
    return {payer: (each, ET.fromstring(picture.svg(each))) for payer, each in found.items()}


def of(root: ET.Element, kind: str, what: str | None = None) -> list[ET.Element]:
    """Bars, marks or cells, by a word of their class, and by the rule or change that they are about."""
    return [
        node
        for node in root.iter()
        if kind in node.get("class", "").split() and (what is None or node.get("data-of") == what)
    ]


def days(node: ET.Element) -> tuple[str | None, str | None]:
    return node.get("data-first"), node.get("data-last")


# --- What it says -----------------------------------------------------------------------------------------------------


def test_a_rule_is_drawn_on_its_days_and_no_others(drawn: dict[str, tuple[History, ET.Element]]) -> None:
    _, root = drawn["medicare"]
    (bar,) = of(root, "bar", KX)
    assert days(bar) == ("2024-07-01", "2025-06-25"), "from the edge of the picture to the last day on which it held"
    assert "certain" in bar.get("class", "")


@pytest.mark.parametrize("payer", PAYERS)
def test_what_is_drawn_on_a_day_is_what_the_question_answers(
    register: Register, drawn: dict[str, tuple[History, ET.Element]], payer: str
) -> None:
    found, _ = drawn[payer]
    turns = {each.first for line in found.lines for each in line.spans} | {date(2025, 6, 25), found.last}
    for day in sorted(day for day in turns if found.first <= day <= found.last):
        answer = register.ask("requirements", code="38228", payer=payer, dos=day)
        asked = {
            (row["provision"], row["certainty"]) for row in answer if row["kind"] in ("requirement", "prohibition")
        }
        shown = {
            (line.target, "maybe" if each.kind == "possible" else "certain")
            for line in found.lines
            for each in found.within(line.spans)
            if line.kind in ("requirement", "prohibition") and each.first <= day <= each.last
        }
        assert shown == asked, day


@pytest.mark.parametrize("payer", PAYERS)
def test_bars_stand_where_their_days_are(drawn: dict[str, tuple[History, ET.Element]], payer: str) -> None:
    found, root = drawn[payer]
    axis = Axis([found.first, found.last + DAY], margin=0)
    page = next(page for page in picture.PAGES if f"0 0 {page.width} " in root.get("viewBox", ""))
    left, right = page.track, page.width - picture._LEFT
    for bar in [*of(root, "bar"), *of(root, "cell")]:
        first, last = (date.fromisoformat(str(day)) for day in days(bar))
        assert float(bar.get("x", 0)) == pytest.approx(left + axis.place(first) / 100 * (right - left), abs=0.1)
        end = left + axis.place(last + DAY) / 100 * (right - left)
        assert float(bar.get("x", 0)) + float(bar.get("width", 0)) == pytest.approx(end, abs=0.1)


def test_a_change_is_marked_where_it_begins_comes_out_and_is_implemented(
    drawn: dict[str, tuple[History, ET.Element]],
) -> None:
    _, root = drawn["medicare"]
    assert [(node.get("class"), *days(node)) for node in of(root, "mark", KX_ENDS)] == [
        ("mark starts", "2025-06-26", "2025-06-26"),
        ("mark published", "2025-12-09", "2025-12-12"),
        ("mark implemented", "2026-02-06", "2026-02-06"),
    ]
    assert {days(node) for node in of(drawn["excellus"][1], "published")} == {("2025-12-18", "2025-12-18")}


def test_hindsight_says_what_one_could_know_and_when(drawn: dict[str, tuple[History, ET.Element]]) -> None:
    (known,) = drawn["medicare"][0].hindsight
    assert "The administration line carries KX" in known.labels
    first, last = date(2024, 7, 1), date(2026, 8, 31)
    held = Span("certain", first, date(2025, 6, 25))
    assert [(band.first, band.last, band.maybe, band.spans) for band in known.bands] == [
        (date(2021, 7, 20), date(2025, 12, 8), False, (Span("certain", first, last),)),
        (date(2025, 12, 9), date(2025, 12, 11), True, (held, Span("possible", date(2025, 6, 26), last))),
        (date(2025, 12, 12), None, False, (held,)),
    ]
    assert not drawn["excellus"][0].hindsight, "known before it held"


@pytest.mark.parametrize("known", ["2025-09-01", "2025-12-10"])
def test_a_picture_as_known_on_a_day_knows_nothing_later(register: Register, known: str) -> None:
    found = read(register, known=known)
    assert f"as known on {known}" in picture.svg(found)
    told = {line.target for line in found.lines}
    assert (KX_ENDS in told) is (known > "2025-12-09")
    for each in found.hindsight:
        assert each.bands[-1].last == date.fromisoformat(known)


def test_days_asked_for_are_the_days_shown(register: Register) -> None:
    found = read(register, first=date(2019, 1, 1), last=date(2026, 3, 31))
    assert (found.first, found.last) == (date(2019, 1, 1), date(2026, 3, 31))
    (bar,) = of(ET.fromstring(picture.svg(found)), "bar", KX)
    assert days(bar) == ("2019-08-07", "2025-06-25")


def test_what_holds_on_all_days_is_listed_by_name(drawn: dict[str, tuple[History, ET.Element]]) -> None:
    for found, root in drawn.values():
        said = " ".join("".join(node.itertext()) for node in root.iter(f"{SVG}text"))
        for line in found.lines:
            if found.within(line.spans):
                assert not set(re.findall(r"\w+", line.label)) - set(re.findall(r"\w+", said)), line.label


# --- How it can be read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payer", PAYERS)
def test_it_has_a_title_and_the_whole_in_words(drawn: dict[str, tuple[History, ET.Element]], payer: str) -> None:
    found, root = drawn[payer]
    assert root.get("role") == "img"
    title, about = (root.find(f"{SVG}{name}") for name in ("title", "desc"))
    assert title is not None and about is not None and about.text
    assert root.get("aria-labelledby") == f"{title.get('id')} {about.get('id')}"
    assert title.text == found.title
    assert found.revision in about.text
    for line in found.lines:
        if found.within(line.spans):
            assert line.label in about.text


def boxes(root: ET.Element) -> list[tuple[str, Box]]:
    """Texts with the room that they take."""
    found = []
    for node in root.iter(f"{SVG}text"):
        text, size = node.text or "", float(node.get("font-size", 0))
        wide = picture.width(text, size, node.get("font-weight") == "bold")
        left = (
            float(node.get("x", 0)) - {"start": 0.0, "middle": wide / 2, "end": wide}[node.get("text-anchor", "start")]
        )
        foot = float(node.get("y", 0))
        found.append((text, (left, foot - size * 0.75, left + wide, foot + size * 0.2)))
    return found


def crowded(texts: list[tuple[str, Box]]) -> list[tuple[str, str]]:
    return [
        (one, other)
        for place, (one, a) in enumerate(texts)
        for other, b in texts[:place]
        if min(a[2], b[2]) - max(a[0], b[0]) > 0.5 and min(a[3], b[3]) - max(a[1], b[1]) > 0.5
    ]


@pytest.mark.parametrize("payer", PAYERS)
def test_no_text_stands_on_another_or_outside(drawn: dict[str, tuple[History, ET.Element]], payer: str) -> None:
    _, root = drawn[payer]
    texts = boxes(root)
    assert not crowded(texts)
    _, _, wide, high = map(float, root.get("viewBox", "").split())
    for text, (left, top, right, bottom) in texts:
        assert left >= 20 and right <= wide - 20 and top >= 0 and bottom <= high, text


@pytest.mark.parametrize(
    ("payer", "first", "last"),
    [
        ("medicare", date(2019, 1, 1), date(2026, 3, 31)),
        ("medicare", date(2025, 6, 26), date(2025, 12, 12)),
        ("wellcare-nc", date(2025, 4, 4), date(2025, 12, 31)),
        ("excellus", date(2025, 12, 18), date(2026, 4, 15)),
    ],
    ids=["close together", "at the edges", "from edge to edge", "one day only"],
)
def test_no_text_stands_on_another_where_there_is_little_room(
    register: Register, payer: str, first: date, last: date
) -> None:
    found = read(register, payer, first=first, last=last)
    for page in picture.PAGES:
        root = ET.fromstring(picture._Sheet(found, picture._Layout(page)).text())
        assert of(root, "published")
        assert not crowded(boxes(root)), page
        assert all(box[0] >= 20 and box[2] <= page.width - 20 for _, box in boxes(root)), page


def test_what_only_tells_is_drawn_where_nothing_else_is(register: Register) -> None:
    found = history.read(
        register, {"code": "38228", "payer": "medicare", "request": "question", "setting": "inpatient"}
    )
    assert found.lines and {line.kind for line in found.lines} <= {"code", "notice", "change", "requirement"}
    assert picture.svg(found)


SIX_POINTS = 6 / 72 * 25.4
"""In millimetres."""


@pytest.mark.parametrize("payer", PAYERS)
def test_it_goes_on_one_sheet_of_paper_and_can_be_read_there(
    drawn: dict[str, tuple[History, ET.Element]], payer: str
) -> None:
    _, root = drawn[payer]
    wide, high = (float(root.get(name, "").removesuffix("mm")) for name in ("width", "height"))
    assert (wide, 210) >= (297, high) or (wide, 297) >= (210, high)
    scale = wide / float(root.get("viewBox", "").split()[2])
    assert min(float(node.get("font-size", 0)) for node in root.iter(f"{SVG}text")) * scale >= SIX_POINTS


def test_what_there_is_no_room_for_is_said(register: Register) -> None:
    found = history.read(register, {"code": "0540T", "payer": "wellcare-nc"})
    root = ET.fromstring(picture.svg(found))
    assert root.get("width") == "210mm" and float(root.get("height", "").removesuffix("mm")) <= 297
    said = " ".join("".join(node.itertext()) for node in root.iter(f"{SVG}text"))
    assert re.search(r"Left out: \d+ rules, for want of room, and \d+ rules that only tell something", said)
    told = root.find(f"{SVG}desc")
    assert told is not None and all(line.label in str(told.text) for line in found.lines if found.within(line.spans))
    assert not crowded(boxes(root))


def test_crowded_texts_are_seen() -> None:
    assert crowded([("a", (0, 0, 10, 8)), ("b", (9, 2, 20, 10))])


def test_bars_differ_without_colour(drawn: dict[str, tuple[History, ET.Element]]) -> None:
    fills = {(node.get("class"), node.get("fill")) for _, root in drawn.values() for node in of(root, "bar")}
    assert {fill for kind, fill in fills if kind == "bar possible requirement"} == {"url(#possible)"}
    assert {fill for kind, fill in fills if kind == "bar certain notice"} == {"url(#notice)"}
    patterns = {node.get("id") for node in drawn["medicare"][1].iter(f"{SVG}pattern")}
    assert {str(fill)[5:-1] for _, fill in fills if str(fill).startswith("url")} <= patterns


def test_widths_are_rather_too_great_than_too_small() -> None:
    fonts = pytest.importorskip("PIL.ImageFont")
    try:
        font = fonts.truetype("LiberationSans-Regular.ttf", 100)
    except OSError:
        pytest.skip("Liberation Sans is not installed")
    for text in (
        "CAR-T is given in a facility enrolled in the FDA REMS (Part B)",
        "WellCare NC WNC.CP.192",
        "2025-12-09",
    ):
        assert font.getlength(text) <= picture.width(text, 100) <= font.getlength(text) * 1.2


def test_the_same_history_gives_the_same_picture(register: Register) -> None:
    assert picture.svg(read(register)) == picture.svg(read(register))


# --- Files ------------------------------------------------------------------------------------------------------------


def test_a_png_has_the_size_of_the_paper(drawn: dict[str, tuple[History, ET.Element]]) -> None:
    pytest.importorskip("resvg_py")
    found, root = drawn["excellus"]
    image = picture.png(picture.svg(found))
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    wide, high = struct.unpack(">II", image[16:24])
    _, _, points, tall = map(float, root.get("viewBox", "").split())
    assert wide == 3508 and high == pytest.approx(3508 * tall / points, abs=2)
    assert root.get("width") == "297mm"
    assert struct.unpack(">IIB", image[image.index(b"pHYs") + 4 :][:9]) == (11811, 11811, 1), "300 dots an inch"


def test_without_the_library_one_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(ChartularyError, match=r"chartulary\[pictures\]"):
        picture.png("<svg/>")


@pytest.fixture
def loaded(register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Register, "load", lambda **_: register)


@pytest.mark.usefixtures("loaded")
def test_the_command_writes_a_picture_or_letters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["timeline", "--code", "38228", "--payer", "medicare"]
    file = tmp_path / "kx.svg"
    app([*asked, "-o", str(file)], standalone_mode=False)
    assert of(ET.fromstring(file.read_text(encoding="utf-8")), "bar", KX)
    app(asked, standalone_mode=False)
    printed = capsys.readouterr().out
    assert "in the\n  payer’s systems from 2026-02-06" in printed
    assert all(len(line) <= 80 for line in printed.splitlines())


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--payer", "nobody"], "--payer: the register has no payer"),
        (["--payer", "medicare", "--code", "99999"], "--code: the register has no code"),
        (["--payer", "medicare", "-o", "kx.pdf"], "ends in .svg or .png"),
        (["--payer", "medicare", "--from", "2026-01-01", "--until", "2025-01-01"], "is after"),
    ],
)
def test_what_cannot_be_drawn_is_said(more: list[str], said: str) -> None:
    with pytest.raises(ChartularyError, match=re.escape(said)):
        app(["timeline", "--code", "38228", *more], standalone_mode=False)


def test_drawing_needs_no_server() -> None:
    code = "import sys; from chartulary import history, picture; sys.exit('fastapi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

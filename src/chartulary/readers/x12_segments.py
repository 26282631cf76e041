"""Cuts X12 text into segments, by the delimiters that its body shows: whole runs at once, odd stretches with care."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

# Not str.strip() and not \s: those also eat U+001C to U+001F, which are common delimiters.
BLANK = " \t\r\n\ufeff"
ISA = re.compile(r"ISA([^A-Za-z0-9 \r\n])")
ISA_LENGTH = 400
"""No ISA is longer (the standard says 106 characters), however it is padded or indented."""
SEGMENT_LENGTH = 65_536
"""No segment is longer; what is, has lost its terminator."""
_RUN_LENGTH = 65_536


class Segment(NamedTuple):
    """One segment, cut with care."""

    number: int
    elements: list[str]
    component: str
    trouble: str = ""
    """Why the segment could not be cut out of the text, if so."""
    start: int = -1
    """Where it begins in the text, and where its terminator stands; -1 where it has no such place."""
    stop: int = -1
    delimiters: Delimiters | None = None


class Run(NamedTuple):
    """Segments in a row without anything odd about their ends; none of them sets delimiters."""

    number: int
    """Number of the first one."""
    text: str
    """All of them, each with its terminator, without line breaks."""
    element: str
    component: str
    terminator: str
    padded: bool
    """Whether spaces may stand before or behind an element."""


class Delimiters(NamedTuple):
    """What an ISA says about its interchange, or what shows in the seam between it and GS."""

    element: str
    component: str
    terminator: str
    end: int
    """Where the segment after ISA begins."""


def cut(text: str, delimiters: Delimiters | None = None, number: int = 0) -> Iterator[Segment | Run]:
    """Cut the text into segments, the first of them number ``number`` + 1; each ISA sets the delimiters anew.

    Without ``delimiters`` the text is a whole file, read from its first readable ISA on.
    """
    yield from _cut(text, delimiters, number, runs=True)


def places(text: str) -> list[Segment]:
    """Every segment of a whole file, numbered as `cut` does, each with its place in the text."""
    return [piece for piece in _cut(text, None, 0, runs=False) if isinstance(piece, Segment)]


def _cut(text: str, delimiters: Delimiters | None, number: int, *, runs: bool) -> Iterator[Segment | Run]:
    position = 0
    if delimiters is None:
        starts = (match.start() for match in islice(ISA.finditer(text), 1000))
        first = next((start for start in starts if find_delimiters(text, start)), None)
        if first is None:
            yield Segment(1, [], "", "no readable ISA segment: this is not an X12 file, or it is cut short")
            return
        if text[:first].strip(BLANK + "ï»¿"):  # a byte order mark may come decoded as Latin-1
            yield Segment(0, [], "", "what stands before the first readable ISA segment was not read")
        position = first
    gap, broken_by = _patterns(delimiters)
    odd_until = 0
    while True:
        match = gap.match(text, position)
        position = match.end() if match else position
        if position >= len(text):
            return
        if ISA.match(text, position) and (found := find_delimiters(text, position)):
            number += 1
            delimiters, position = found, found.end
            gap, broken_by = _patterns(delimiters)
            yield Segment(number, ["ISA"], delimiters.component)
            continue
        assert delimiters
        if runs and position >= odd_until:
            odd_until = _run_end(text, position, delimiters)
            if odd_until > position and (run := _run(text[position:odd_until], delimiters, number + 1)):
                yield run
                number += run.text.count(run.terminator)
                position = odd_until + 1
                continue
        number += 1
        end = text.find(delimiters.terminator, position)
        stop = len(text) if end < 0 else end
        if stop - position > SEGMENT_LENGTH:
            yield Segment(number, [], "", f"segment without a terminator in {SEGMENT_LENGTH} characters")
            position = stop + 1
            continue
        raw = text[position:stop]
        if broken := broken_by.search(raw, 1):  # a file that was cut short, and another one appended to it
            yield Segment(number, [], "", "the interchange breaks off in this segment, where a new ISA begins")
            position += broken.start()
            continue
        if end < 0 and not raw.startswith("IEA"):
            if raw.strip(BLANK + "\x00\x1a"):  # old end-of-file marks
                yield Segment(number, [], "", "the file ends inside this segment (no terminator), so it is cut short")
            return
        yield Segment(number, elements(raw, delimiters.element), delimiters.component, "", position, stop, delimiters)
        position = stop + 1


def elements(raw: str, delimiter: str) -> list[str]:
    """Elements of one segment, without line breaks and outer spaces."""
    return [element.strip(" ") for element in raw.strip(BLANK).replace("\r", "").replace("\n", "").split(delimiter)]


def _patterns(delimiters: Delimiters | None) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What may stand between two segments ("~~" is no segment), and an ISA where none should stand."""
    if delimiters is None:
        return re.compile(f"[{BLANK}]*"), ISA
    return re.compile(f"[{BLANK}{re.escape(delimiters.terminator)}]*"), new_isa(delimiters.element)


def new_isa(element: str) -> re.Pattern[str]:
    """Pattern of an ISA wherever it stands, told from a name that ends so by its first elements."""
    return re.compile("ISA{0}0[0-9]{0}[^{0}]{{10}}{0}".format(re.escape(element)))


def _run_end(text: str, position: int, delimiters: Delimiters) -> int:
    """Where a run that begins here may end: at a terminator, before anything like an ISA; else -1.

    Best before an HL, so that no loop is parted.
    """
    end = position + _RUN_LENGTH
    isa = ISA.search(text, position + 1, end)
    end = isa.start() if isa else end
    if end < len(text) and (loop := text.rfind(f"HL{delimiters.element}", position, end)) > 0:
        loop = text.rfind(delimiters.terminator, position, loop)
        if loop > position:
            return loop
    return text.rfind(delimiters.terminator, position, end)


def _run(text: str, delimiters: Delimiters, number: int) -> Run | None:
    """Split a text that ends before a terminator; None where a segment in it may be empty or oddly ended.

    Here and in `elements` line breaks go, wherever they stand: many files have them for looks.
    """
    element, component, terminator, _ = delimiters
    for line_break in "\r\n":
        if line_break in text and line_break != terminator:
            text = text.replace(line_break, "")
    if len(terminator) > 1 or terminator * 2 in text or text.endswith(terminator):
        return None
    if any(blank in text for blank in "\t\ufeff" if blank != terminator):
        return None
    mark = f"[{re.escape(element)}{re.escape(terminator)}]"
    padded = text.endswith(" ") or bool(re.search(f" (?:(?={mark})|(?<={mark} ))", text))
    if padded and f"{terminator} " in text:
        return None
    return Run(number, text + terminator, element, component, terminator, padded)


def find_delimiters(text: str, start: int) -> Delimiters | None:
    """Delimiters of the ISA at ``start``, best taken from its seam with GS: its length and ISA16 may be wrong."""
    element = text[start + 3]
    window = text[start : start + ISA_LENGTH]
    for match in re.finditer("{0}([^{0}]*?)(?=GS{0})".format(re.escape(element)), window):
        seam = match[1]  # ISA16, terminator, blanks
        marks = seam.rstrip(BLANK)
        line_end = next((char for char in "\n\r\t" if char in seam[len(marks) :]), "")
        end = start + match.end()
        if window.count(element, 0, match.start()) < 12:  # a sender that is called "GS"
            continue
        if len(marks) > 1 and not marks[-1].isalnum():
            return Delimiters(element, _component(marks[0]), marks[-1], end)
        if line_end:
            stop = text.find(line_end, end, end + ISA_LENGTH)
            if marks and not marks.isalnum() and text[end : max(stop, end)].rstrip(BLANK).endswith(marks):
                return Delimiters(element, ":", marks, end)  # ISA16 is empty, and lines are only for looks
            return Delimiters(element, _component(marks), line_end, end)
        if marks and not marks.isalnum():
            return Delimiters(element, ":", marks, end)
    parts = window.split(element, 16)
    if len(parts) == 17 and len(parts[16]) > 1:
        terminator = "\n" if parts[16][1:3] == "\r\n" else parts[16][1]
        if not terminator.isalnum() and terminator != " ":
            end = start + len(window) - len(parts[16]) + 2
            return Delimiters(element, _component(parts[16][0]), terminator, end)
    return None


def _component(mark: str) -> str:
    return ":" if not mark or mark.isalnum() or mark == " " else mark

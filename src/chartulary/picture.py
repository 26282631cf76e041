"""A history as SVG, to be read on paper as on a screen, in black and white too; and the SVG as PNG.

It goes on one sheet of A4, with letters of six points or more: on its side where that is enough, else upright, else
with lists that name fewer rules.
"""

from __future__ import annotations

import re
import struct
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from chartulary.errors import ChartularyError
from chartulary.history import Hindsight, History, Line, Span
from chartulary.snapshot import FIRST_DAY, LAST_DAY
from chartulary.timeline import Axis

_LEFT, _TOP = 28.0, 22.0
_GAP = 12.0
_BAR = 12.0
_LINE = 9.6
_SMALL, _TEXT, _HEAD = 6.8, 8.0, 15.0
_FEW = 4
"""So many rules that hold on the same days have a bar each; more share one."""
_DOTS = 300 / 25.4
"""Of a PNG, in a millimetre."""
_FONT = "Liberation Sans, Arial, Helvetica, DejaVu Sans, sans-serif"
_INK, _FAINT, _DARK = "#000000", "#4d4d4d", "#1d4263"
_FILLS = {"starts": "none", "published": "#ffffff", "implemented": _INK}
_LASTING = ((True, "Holds on all these days, for {payer}"), (False, "Holds on all these days, whoever pays"))
_DAY = timedelta(days=1)
_SVG = "http://www.w3.org/2000/svg"


@dataclass(frozen=True, slots=True)
class Page:
    """A sheet of A4 that a picture may be laid out for."""

    paper: tuple[int, int]
    """Width and height in millimetres."""
    width: int
    """The same width in the picture's own measure, which is points or somewhat less."""
    track: float
    """Where days begin; what a row is about stands left of it."""
    columns: int
    """Of lists."""

    @property
    def height(self) -> float:
        return self.width / self.paper[0] * self.paper[1]


PAGES = (
    Page((297, 210), 842, 300.0, 3),
    Page((297, 210), 951, 320.0, 4),
    Page((210, 297), 672, 236.0, 3),
)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How much of a history is written out."""

    page: Page
    few: int = _FEW
    """So many rules that hold on the same days have a bar each."""
    most: int | None = None
    """So many rules at most are named in lists, or all."""
    brief: bool = False
    """Whether what stands under a label is cut to a line."""


_LAYOUTS = (
    *map(_Layout, PAGES),
    *(_Layout(PAGES[-1], 1, most) for most in (None, 64, 52, 40, 32, 26, 20, 14, 8, 0)),
    _Layout(PAGES[-1], 1, 0, True),
)
"""The first that a history fits into is taken."""


def svg(history: History) -> str:
    """The picture; the same history gives the same text."""
    text = ""
    for layout in _LAYOUTS:
        sheet = _Sheet(history, layout)
        text = sheet.text()
        if sheet.y <= layout.page.height:
            break
    return text


def png(text: str) -> bytes:
    """An SVG of this module as PNG, for print at 300 dots per inch.

    Raises:
        ChartularyError: what draws it is not installed, or there is no font on this machine.
    """
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        raise ChartularyError("a PNG needs resvg-py: pip install 'chartulary[pictures]'; or write .svg") from None

    def drawn(svg: str, width: int) -> bytes:
        return bytes(svg_to_bytes(svg_string=svg, width=width, dpi=96, background="#ffffff"))

    word, none = (
        f'<svg xmlns="{_SVG}" width="9" height="9"><text y="9" font-family="{_FONT}">{letter}</text></svg>'
        for letter in ("H", "")
    )
    if drawn(word, 9) == drawn(none, 9):
        raise ChartularyError("this machine has no font to write with: install one (Liberation Sans), or write .svg")
    paper = re.search(r'width="([\d.]+)mm"', text)
    return _sized(drawn(text, round(float(paper[1]) * _DOTS) if paper else PAGES[0].width))


def _sized(image: bytes) -> bytes:
    """A PNG that says its size on paper."""
    metre = round(_DOTS * 1000)
    told = b"pHYs" + struct.pack(">IIB", metre, metre, 1)
    head = 33  # the signature and the chunk that must come first
    return image[:head] + struct.pack(">I", 9) + told + struct.pack(">I", zlib.crc32(told)) + image[head:]


def width(text: str, size: float, bold: bool = False) -> float:
    """About how wide a text is; rather too much than too little."""
    total = 0.0
    for letter in text:
        if letter in "iljI.,:;'|!":
            total += 0.28
        elif letter in "tfr()[]-/ ":
            total += 0.36
        elif letter in "mwMW@%—…":
            total += 0.92
        elif letter.isupper():
            total += 0.71
        else:
            total += 0.56
    return total * size * (1.07 if bold else 1.0)


def wrap(text: str, room: float, size: float, bold: bool = False) -> list[str]:
    """Lines that fit into a width."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width(longer, size, bold) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


class _Sheet:
    """A picture while it is drawn, from the top down."""

    def __init__(self, history: History, layout: _Layout) -> None:
        self.history = history
        self.layout = layout
        self.page = layout.page
        self.most = layout.most
        self.right = self.page.width - _LEFT
        self.axis = Axis([history.first, history.last + _DAY], margin=0)
        self.root = ET.Element("svg", {"xmlns": _SVG, "role": "img", "aria-labelledby": "title about"})
        ET.SubElement(self.root, "title", {"id": "title"}).text = history.title
        ET.SubElement(self.root, "desc", {"id": "about"}).text = _told(history)
        self._patterns()
        self.add("rect", x=0, y=0, width=self.page.width, height="100%", fill="#ffffff")
        self.guides = ET.SubElement(self.root, "g", {"aria-hidden": "true"})
        self.sources: dict[str, int] = {}
        """What lists rest on, by number."""
        self.unnamed = 0
        """Rules that there was no room to name."""
        self.y = _TOP

    def text(self) -> str:
        self._heading()
        top = self.y
        changes, rules = self.history.parts
        for line in (line for line in self.history.lines if line.kind == "code"):
            self._row(line)
        for group in changes:
            if group is changes[0]:
                self._title("Changed in these days")
            for line in group:
                self._change(line) if line.kind == "change" else self._row(line)
        begun = [line for line in rules if not self.history.throughout(line)]
        if begun:
            self._title("Begins or ends in these days")
            self._rows(begun)
        bottom = self.y
        if self.history.hindsight:
            self._hindsight()
            bottom = self.y
        for own, said in _LASTING:
            lasting = [line for line in rules if self.history.throughout(line) and line.own is own]
            if lasting:
                self._title(said.format(payer=self.history.payer))
                self._list(lasting)
        self._guide_lines(top - 2, bottom)
        self._legend()
        self.y = height = round(self.y + 12)
        across = self.page.width
        wide = min(self.page.paper[0], self.page.paper[1] * across / height)  # where nothing helps, letters are smaller
        self.root.set("viewBox", f"0 0 {across} {height}")
        self.root.set("width", f"{wide:.4g}mm")
        self.root.set("height", f"{height / across * wide:.1f}mm")
        ET.indent(self.root, " ")
        return ET.tostring(self.root, encoding="unicode") + "\n"

    def _rows(self, lines: list[Line]) -> None:
        alike: dict[tuple[Span, ...], list[Line]] = {}
        for line in lines:
            alike.setdefault(self.history.within(line.spans), []).append(line)
        for spans, group in alike.items():
            if len(group) <= self.layout.few:
                for line in group:
                    self._row(line)
            else:
                where = "" if self.most == 0 else ", listed below"
                self._words(_LEFT, f"{len(group)} rules{where}")
                self._bars(group[0], spans)
                self.y += _BAR + 6
                self._list(group)

    # --- Pieces -------------------------------------------------------------------------------------------------------

    def add(self, name: str, parent: ET.Element | None = None, **given: object) -> ET.Element:
        told = {
            key.rstrip("_").replace("_", "-"): f"{value:.2f}".rstrip("0").rstrip(".")
            if isinstance(value, float)
            else str(value)
            for key, value in given.items()
        }
        return ET.SubElement(self.root if parent is None else parent, name, told)

    def write(
        self, x: float, y: float, text: str, size: float, *, bold: bool = False, fill: str = _INK, anchor: str = "start"
    ) -> ET.Element:
        """A line of text, its foot at a height."""
        node = self.add("text", x=x, y=y, font_family=_FONT, font_size=size, fill=fill)
        if bold:
            node.set("font-weight", "bold")
        if anchor != "start":
            node.set("text-anchor", anchor)
        node.text = text
        return node

    def x(self, day: date) -> float:
        """The left edge of a day."""
        held = min(max(day, self.history.first), self.history.last + _DAY)
        return self.page.track + self.axis.place(held) / 100 * (self.right - self.page.track)

    def _words(self, x: float, text: str) -> None:
        """A label from the top of a row, in as many lines as it needs."""
        for number, line in enumerate(wrap(text, self.page.track - _GAP - x, _TEXT, True)):
            self.write(x, self.y + _TEXT + number * _LINE, line, _TEXT, bold=True)

    def _title(self, text: str) -> None:
        self.y += 6
        self.add("line", x1=_LEFT, x2=self.right, y1=self.y, y2=self.y, stroke=_INK, stroke_width=0.7)
        self._over(self.write(_LEFT, self.y + 11, text, 9.0, bold=True))
        self.y += 17

    def _patterns(self) -> None:
        defs = self.add("defs")
        for name, size, shape in (
            ("possible", 5, "M-1 1L1 -1M0 5L5 0M4 6L6 4"),
            ("some", 4, "M1 0V4"),
            ("notice", 4, "M1.5 2H2.5"),
        ):
            tile = self.add("pattern", defs, id=name, width=size, height=size, patternUnits="userSpaceOnUse")
            self.add("rect", tile, width=size, height=size, fill="#ffffff" if name != "some" else "#c9d7e4")
            self.add("path", tile, d=shape, stroke=_DARK, stroke_width=1, fill="none")

    # --- The top ------------------------------------------------------------------------------------------------------

    def _heading(self) -> None:
        history = self.history
        for line in wrap(history.title, self.right - _LEFT, _HEAD, True):
            self.write(_LEFT, self.y + _HEAD, line, _HEAD, bold=True)
            self.y += _HEAD + 4
        self.write(_LEFT, self.y + 9, f"Asked: {history.known}", 8.0, fill=_FAINT)
        self.y += 20
        # Days on which the answer changes stand above the axis, in as many lines as they need.
        ends: list[float] = []
        placed = []
        for day in self._turns():
            at, half = self.x(day), width(str(day), _TEXT, True) / 2 + 3
            at = min(max(at, self.page.track + half - 3), self.right - half + 3)
            row = next((number for number, end in enumerate(ends) if end <= at - half), len(ends))
            ends[row : row + 1] = [at + half]
            placed.append((day, at, row))
        low = self.y + len(ends) * 10
        for day, _, row in placed:
            x = self.x(day)
            self.add("line", x1=x, x2=x, y1=low - row * 10 + 2, y2=low + 14, stroke=_INK, stroke_width=0.6)
        for day, at, row in placed:
            self._over(self.write(at, low - row * 10, str(day), _TEXT, bold=True, anchor="middle"))
        self.y += len(ends) * 10 + 4
        self.write(_LEFT, self.y + 8, "Date of service", _TEXT, bold=True)
        for at, label in self.axis.ticks(months_shown=10):
            x = self.page.track + at / 100 * (self.right - self.page.track)
            self.add("line", x1=x, x2=x, y1=self.y + 10, y2=self.y + 14, stroke=_INK, stroke_width=0.6)
            if x + width(label, _SMALL) / 2 <= self.right and self._free(x, label):
                self.write(x, self.y + 8, label, _SMALL, fill=_FAINT, anchor="middle")
        self.y += 14
        self.add("line", x1=self.page.track, x2=self.right, y1=self.y, y2=self.y, stroke=_INK, stroke_width=1)
        self.y += 8

    def _free(self, x: float, label: str) -> bool:
        """Whether no line of a day on which the answer changes goes through a label of the axis."""
        half = width(label, _SMALL) / 2 + 1
        return not any(abs(self.x(day) - x) < half for day in self._turns())

    def _turns(self) -> list[date]:
        """The days of service in the picture on which the answer is, or may be, another than the day before."""
        history = self.history
        days = {day for line in history.changes for day in line.starts or () if day}
        for line in history.lines:
            for each in line.spans:
                days |= {each.first} | ({each.last + _DAY} if each.last < LAST_DAY else set())
        return sorted(day for day in days if history.first < day <= history.last)

    def _guide_lines(self, top: float, bottom: float) -> None:
        for day in self._turns():
            x = self.x(day)
            self.add(
                "line",
                self.guides,
                x1=x,
                x2=x,
                y1=top,
                y2=bottom,
                stroke="#808080",
                stroke_width=0.6,
                stroke_dasharray="2 2",
            )

    # --- Rows ---------------------------------------------------------------------------------------------------------

    def _row(self, line: Line) -> None:
        spans = self.history.within(line.spans)
        height = self._about(line, _LEFT)
        self._bars(line, spans)
        if line.kind != "code" and line.spans and line.spans[0].first > FIRST_DAY:
            taken = [(0, self.x(each.first), self.x(each.last + _DAY)) for each in spans]
            height = max(height, self._marks(line, taken))
        self.y += max(height, _BAR) + 5

    def _about(self, line: Line, x: float) -> float:
        """What a row is about, left of its days; gives its height."""
        room, top = self.page.track - _GAP - x, self.y
        label = wrap(line.label, room, _TEXT, True)
        below = wrap(_under(line), room - (8 if self.layout.brief else 0), _SMALL)
        if self.layout.brief and len(below) > 1:
            below = [f"{below[0]} …"]
        self._words(x, line.label)
        self.y += len(label) * _LINE + 0.6
        for number, text in enumerate(below):
            self.write(x, self.y + _SMALL + number * (_SMALL + 1.6), text, _SMALL, fill=_FAINT)
        self.y = top
        return len(label) * _LINE + len(below) * (_SMALL + 1.6)

    def _bars(self, line: Line, spans: Iterable[Span]) -> None:
        group = self.add("g")
        self.add("title", group).text = f"{line.label}: {line.told}"
        for each in spans:
            left, right = self.x(each.first), self.x(each.last + _DAY)
            bar = self.add(
                "rect",
                group,
                x=left,
                y=self.y,
                width=max(right - left, 1.0),
                height=_BAR,
                stroke=_DARK,
                stroke_width=0.8,
                fill=self._fill(line, each),
            )
            for name, value in (
                ("class", f"bar {each.kind} {line.kind}"),
                ("data-of", line.target),
                ("data-first", str(each.first)),
                ("data-last", str(each.last)),
            ):
                bar.set(name, value)
            self._days_on(line, each, left, right)

    def _fill(self, line: Line, each: Span) -> str:
        if each.kind == "possible":
            return "url(#possible)"
        if line.kind == "notice":
            return "url(#notice)"
        if line.kind == "code":
            return "#ffffff"
        return "url(#some)" if line.when else _DARK

    def _days_on(self, line: Line, each: Span, left: float, right: float) -> None:
        """On a bar: the days that it stands for, or as much of that as there is room for."""
        of = next(span for span in line.spans if span.kind == each.kind and span.first <= each.first <= span.last)
        first = str(of.first) if of.first > FIRST_DAY else ""
        last = str(of.last) if of.last < LAST_DAY else ""
        word = "maybe " if each.kind == "possible" else ""
        short = f"{word}until {last}" if last else f"{word}from {first}" if first else f"{word}no day stated"
        for text in (f"{word}{first} – {last}" if first and last else short, short):
            wide = width(text, _SMALL)
            if wide + 8 <= right - left:
                solid = each.kind == "certain" and line.kind not in ("notice", "code") and not line.when
                middle = (left + right) / 2
                if not solid:
                    self.add(
                        "rect",
                        x=middle - wide / 2 - 2,
                        y=self.y + 1.6,
                        width=wide + 4,
                        height=_BAR - 3.2,
                        fill="#ffffff",
                    )
                self.write(middle, self.y + 8.6, text, _SMALL, fill="#ffffff" if solid else _INK, anchor="middle")
                return

    def _change(self, line: Line) -> None:
        """The first day of service, when that came out, and when payers' systems apply it."""
        self.write(_LEFT, self.y + _TEXT, "→", _TEXT, bold=True)
        self.y += max(self._about(line, _LEFT + 12), self._marks(line, [])) + 5

    def _marks(self, line: Line, taken: list[tuple[int, float, float]]) -> float:
        """The days of a row with a word beside each, moved down where there is no room; gives their height.

        ``taken`` is what cannot be written over: how many lines down, from where and to where.
        """
        history = self.history
        begins, out = ([day for day in days or () if day] for days in (line.starts, line.published))
        first = " or as late as ".join(dict.fromkeys(map(str, begins)))
        low = 0
        for kind, days, text in (
            ("starts", begins, f"for services from {first}"),
            ("published", out, line.out),
            (
                "implemented",
                [line.implemented] if line.implemented else [],
                f"in the payer’s systems from {line.implemented}",
            ),
        ):
            if not days or not history.first <= days[-1] <= history.last:
                continue
            left, right, wide = self.x(days[0]), self.x(days[-1]), width(text, _SMALL) + 3
            edge = 1 if kind == "starts" else 4
            sides: list[tuple[float, float, bool | None]] = [
                (left - edge - wide, right + edge, True),
                (left - edge, right + edge + wide, False),
            ]
            if kind != "starts":
                sides.reverse()
            if wide <= right - left:  # a word may stand on it
                sides.append((left - edge, right + edge, None))
            free = (
                (level, side)
                for level in range(9)
                for side in sides
                if side[0] >= self.page.track - 6
                and side[1] <= self.right + 6
                and not any(level == at and side[0] < high and side[1] > start for at, start, high in taken)
            )
            beside = next(free, None)
            level, (begin, end, before) = beside or (low + 1, (self.page.track, self.right, None))
            y = self.y + 2 + level * 11
            self._mark(kind, line.target, days, left, right, y)
            taken.append((level, begin, end))
            x, anchor = (left - edge - 3, "end") if before else (right + edge + 3, "start")
            if before is None:
                x, anchor = (left + right) / 2, "middle"
            if beside is None:  # there is room under it only
                level += 1
                x = min(max(x, self.page.track + wide / 2), self.right - wide / 2)
                taken.append((level, begin, end))
            inside = beside and before is None
            word = self.write(x, self.y + 2 + level * 11 + (6.6 if inside else 7), text, _SMALL, anchor=anchor)
            if not inside:
                self._over(word)
            if kind == "starts" and line.published and line.published[0]:
                taken += self._arrow(right + 3, self.x(line.published[0]) - 6, y + 4, level)
            low = max(low, level)
        return low * 11 + 11

    def _mark(self, kind: str, of: str, days: list[date], left: float, right: float, y: float) -> None:
        paths = {
            "starts": f"M{left:.2f} {y:.2f}v8m0 -4H{right:.2f}m0 -4v8",
            "published": f"M{left - 4:.2f} {y:.2f}H{right + 4:.2f}L{right:.2f} {y + 8:.2f}H{left:.2f}Z",
            "implemented": f"M{left - 4:.2f} {y:.2f}h8v8h-8Z",
        }
        mark = self.add(
            "path", d=paths[kind], fill=_FILLS[kind], stroke=_INK, stroke_width=2 if kind == "starts" else 1
        )
        mark.set("class", f"mark {kind}")
        mark.set("data-of", of)
        mark.set("data-first", str(days[0]))
        mark.set("data-last", str(days[-1]))

    def _over(self, text: ET.Element) -> None:
        """Keeps lines that run behind a text from crossing it."""
        for name, value in (("stroke", "#ffffff"), ("stroke-width", "3"), ("paint-order", "stroke")):
            text.set(name, value)

    def _arrow(self, left: float, right: float, y: float, level: int) -> list[tuple[int, float, float]]:
        """From the first day of service to the day on which it came out: nobody could know it. Gives what it takes."""
        if right - left < 12:
            return []
        self.add(
            "path", d=f"M{left:.2f} {y:.2f}H{right:.2f}m-4 -3l4 3l-4 3", fill="none", stroke=_INK, stroke_width=0.8
        )
        text = "not yet known"
        if width(text, _SMALL) + 16 < right - left:
            self._over(self.write((left + right) / 2, y + 2.6, text, _SMALL, anchor="middle"))
        return [(level, left, right)]

    def _list(self, lines: list[Line]) -> None:
        """Rules that hold on the same days, in columns, by what they bind; sources by number."""
        count = self.page.columns
        room = (self.right - _LEFT - (count - 1) * _GAP) / count
        shown = lines if self.most is None else lines[: self.most]
        if self.most is not None:
            self.most -= len(shown)
        groups: dict[str, list[Line]] = {}
        for line in shown:
            groups.setdefault(line.scope, []).append(line)
        entries: list[_Entry] = []
        for scope in sorted(groups, key=str.casefold):
            for line in groups[scope]:
                number = self.sources.setdefault(f"{line.source}, {line.out}", len(self.sources) + 1)
                kind = wrap(scope, room, _SMALL)
                words = wrap(f"{_listed(line)} [{number}]", room - 10, 7.4)
                fill = self._fill(line, Span("certain", self.history.first, self.history.last))
                entries.append(_Entry(kind, kind if line is groups[scope][0] else [], words, fill))
        columns = _columns(entries, count)
        for place, column in enumerate(columns):
            x, y = _LEFT + place * (room + _GAP), self.y
            for entry in column:
                for text in entry.head:
                    self._over(self.write(x, y + 8, text, _SMALL, fill=_FAINT))
                    y += 8.2
                y += 2.4 if entry.head else 0
                self.add("rect", x=x, y=y + 1.5, width=6, height=6, stroke=_DARK, stroke_width=0.8, fill=entry.fill)
                for text in entry.words:
                    self._over(self.write(x + 10, y + 7.4, text, 7.4))
                    y += 8.8
                y += 1.6
        self.y += max(sum(entry.height for entry in column) for column in columns) + 2
        if len(shown) < len(lines):
            self.unnamed += len(lines) - len(shown)
            if shown:
                self.write(_LEFT, self.y + 7, f"…and {len(lines) - len(shown)} more", _SMALL, fill=_FAINT)
                self.y += 12

    # --- The second axis ----------------------------------------------------------------------------------------------

    def _hindsight(self) -> None:
        self._title("What one could know: days of knowledge downwards, dates of service across")
        for each in self.history.hindsight:
            self._known(each)

    def _known(self, each: Hindsight) -> None:
        sure = "url(#some)" if each.some else _DARK
        for text in wrap("; ".join(each.labels), self.right - _LEFT, 7.4, True):
            self._over(self.write(_LEFT, self.y + 7.4, text, 7.4, bold=True))
            self.y += 9
        self.y += 2
        for band in each.bands:
            text = _days_known(band.first, band.last)
            self.write(self.page.track - 6, self.y + 10, text, _SMALL, anchor="end", bold=not band.maybe)
            covered = self.history.first
            for part in band.spans:
                self._cell(covered, part.first - _DAY, "not asked", "#ffffff")
                maybe = part.kind == "possible"
                self._cell(part.first, part.last, "maybe" if maybe else "asked", "url(#possible)" if maybe else sure)
                covered = part.last + _DAY
            self._cell(covered, self.history.last, "not asked", "#ffffff")
            self.y += 15
        self.y += 7

    def _cell(self, first: date, last: date, word: str, fill: str) -> None:
        if first > last:
            return
        left, right = self.x(first), self.x(last + _DAY)
        cell = self.add(
            "rect",
            x=left,
            y=self.y,
            width=right - left,
            height=15,
            fill=fill,
            stroke="#ffffff" if fill == _DARK else _DARK,
            stroke_width=0.8,
        )
        cell.set("class", f"cell {word.replace(' ', '-')}")
        cell.set("data-first", str(first))
        cell.set("data-last", str(last))
        wide = width(word, _SMALL)
        if wide + 6 <= right - left:
            middle = (left + right) / 2
            if fill.startswith("url"):
                self.add("rect", x=middle - wide / 2 - 2, y=self.y + 2.5, width=wide + 4, height=10, fill="#ffffff")
            ink = "#ffffff" if fill == _DARK else _INK
            self.write(middle, self.y + 10, word, _SMALL, fill=ink, anchor="middle")

    # --- The foot -----------------------------------------------------------------------------------------------------

    def _legend(self) -> None:
        self.y += 6
        self.add("line", x1=_LEFT, x2=self.right, y1=self.y, y2=self.y, stroke=_INK, stroke_width=0.7)
        self.y += 6
        x = _LEFT
        for fill, text in (
            (_DARK, "asked of every claim in its scope"),
            ("url(#some)", "asked of some claims: the condition is said"),
            ("url(#possible)", "maybe: the sources leave it open"),
            ("url(#notice)", "only tells something"),
        ):
            wide = 22 + width(text, _SMALL) + 12
            if x + wide > self.right:
                x, self.y = _LEFT, self.y + 13
            self.add("rect", x=x, y=self.y, width=18, height=8, fill=fill, stroke=_DARK, stroke_width=0.8)
            self.write(x + 22, self.y + 7, text, _SMALL)
            x += wide
        for shape, fill, text in (
            ("V8", "none", "first day of service of a change"),
            ("H8L4 8Z", "#ffffff", "published: from then on anyone could know it"),
            ("H8V8H0Z", _INK, "implemented: payers’ systems apply it"),
        ):
            wide = 12 + width(text, _SMALL) + 12
            if x + wide > self.right:
                x, self.y = _LEFT, self.y + 13
            self.add(
                "path",
                d=f"M0 0{shape}",
                transform=f"translate({x:.2f} {self.y:.2f})",
                fill=fill,
                stroke=_INK,
                stroke_width=2 if fill == "none" else 1,
            )
            self.write(x + 12, self.y + 7, text, _SMALL)
            x += wide
        self.y += 18
        left_out = [f"{self.unnamed} rules, for want of room"] if self.unnamed else []
        left_out += [f"{self.history.notices} rules that only tell something"] if self.history.notices else []
        asked = "‘chartulary ask requirements’ names them"
        more = f" Left out: {', and '.join(left_out)}; {asked}." if left_out else ""
        cited = "; ".join(f"[{number}] {source}" for source, number in self.sources.items())
        for said in (
            f"Sources of the lists: {cited}." if cited else "",
            f"What conforms need not be covered or paid.{more}",
        ):
            for text in wrap(said, self.right - _LEFT, _SMALL) if said else ():
                self.write(_LEFT, self.y, text, _SMALL, fill=_FAINT)
                self.y += 8.6
        self.y -= 8.6


@dataclass(frozen=True, slots=True)
class _Entry:
    """A rule of a list, under a heading where it is the first of its kind or of its column."""

    kind: list[str]
    head: list[str]
    words: list[str]
    fill: str

    @property
    def height(self) -> float:
        return len(self.head) * 8.2 + (2.4 if self.head else 0) + len(self.words) * 8.8 + 1.6


def _columns(entries: list[_Entry], count: int) -> list[list[_Entry]]:
    """The lowest columns that hold them all in order, so many at most."""
    if not entries:
        return [[]]
    limit = max(sum(entry.height for entry in entries) / count, max(entry.height for entry in entries))
    while True:
        columns: list[list[_Entry]] = [[]]
        used = 0.0
        for entry in entries:
            if used + entry.height > limit and columns[-1]:
                columns.append([])
                used, entry = 0.0, replace(entry, head=entry.kind)
            columns[-1].append(entry)
            used += entry.height
        if len(columns) <= count:
            return columns
        limit += 4


def _conditions(line: Line) -> str:
    wanted = [each for each in line.when if not each.startswith("not: ")]
    spared = [each.removeprefix("not: ") for each in line.when if each.startswith("not: ")]
    said = [f"only if {' and '.join(wanted)}"] if wanted else []
    said += [f"unless {' or '.join(spared)}"] if spared else []
    return "; ".join(said)


def _under(line: Line) -> str:
    """What stands under a label: whom it binds, on which condition, and what it rests on."""
    judged = "a person decides" if line.judged and line.kind != "notice" else ""
    told = line.told if line.kind == "code" else ""
    return "; ".join(filter(None, (told, line.scope, _conditions(line), judged, line.source, line.out)))


def _listed(line: Line) -> str:
    judged = "a person decides" if line.judged else ""
    extra = "; ".join(filter(None, (_conditions(line), judged)))
    return f"{line.label} ({extra})" if extra else line.label


def _days_known(first: date | None, last: date | None) -> str:
    if first is None:
        return f"as known until {last}"
    return f"as known {first} to {last}" if last else f"as known since {first}"


def _told(history: History) -> str:
    """The picture in words, for those who cannot see it."""
    said = [f"Asked: {history.known}. Days of service from {history.first} to {history.last}."]
    for line in history.lines:
        extra = f", in the payer’s systems from {line.implemented}" if line.implemented else ""
        about = "; ".join(filter(None, (_conditions(line), line.scope, line.source, line.out)))
        if history.within(line.spans) or line in history.changes:
            said.append(f"{line.kind.capitalize()}: {line.label}, {line.told} ({about}{extra}).")
    for each in history.hindsight:
        for band in each.bands:
            known = _days_known(band.first, band.last).capitalize()
            said.append(f"{known}: {'; '.join(each.labels)}: {_asked(band.spans)}.")
    return " ".join(said)


def _asked(spans: Iterable[Span]) -> str:
    parts = [f"{'asked' if each.kind == 'certain' else 'maybe'} {each.first} to {each.last}" for each in spans]
    return ", ".join(parts) or "not asked"


# --- On a terminal ----------------------------------------------------------------------------------------------------


def show(console: Console, history: History) -> None:
    """The same in letters, for a terminal: a bar a rule, and the days in words under it."""
    wide = max(console.width - 4, 20)
    days = (history.last - history.first).days + 1
    groups, rules = history.parts

    def place(day: date) -> int:
        return min(max((day - history.first).days * wide // days, 0), wide - 1)

    def bar(line: Line) -> str:
        letters = [" "] * wide
        for each in history.within(line.spans):
            letter = "░" if each.kind == "possible" else "▒" if line.when else "·" if line.kind == "notice" else "█"
            for at in range(place(each.first), place(each.last) + 1):
                letters[at] = letter
        for mark, told in (("|", line.starts), ("▽", line.published), ("■", (line.implemented,))):
            for day in told or ():
                if line.kind == "change" and day and history.first <= day <= history.last:
                    letters[place(day)] = mark
        return "".join(letters).rstrip()

    def row(line: Line) -> None:
        extra = f"; in the payer’s systems from {line.implemented}" if line.implemented else ""
        told = line.told if line.kind != "code" else ""
        console.print(Text(f"{'→ ' if line.kind == 'change' else ''}{line.label}", style="bold"))
        console.print(Padding(Text(bar(line), no_wrap=True), (0, 0, 0, 2)))
        console.print(Padding(Text("; ".join(filter(None, (told, _under(line)))) + extra, style="dim"), (0, 0, 0, 2)))

    console.print(Text(history.title, style="bold"))
    console.print(Text(f"Asked: {history.known}", style="dim"))
    ends = f"{history.first}{str(history.last):>{wide - 10}}"
    console.print(Padding(Text(ends, no_wrap=True), (1, 0, 0, 2)))
    lasting = [line for line in rules if history.throughout(line)]
    for line in history.lines:
        if line.kind == "code":
            row(line)
    for group in groups:
        console.print()
        for line in group:
            row(line)
    for line in rules:
        if line not in lasting:
            console.print()
            row(line)
    for each in history.hindsight:
        console.print(Text(f"\nWhat one could know: {'; '.join(each.labels)}", style="bold"))
        for band in each.bands:
            console.print(Padding(Text(f"{_days_known(band.first, band.last)}: {_asked(band.spans)}"), (0, 0, 0, 2)))
    for own, said in _LASTING:
        found = [line for line in lasting if line.own is own]
        if found:
            console.print(Text(f"\n{said.format(payer=history.payer)}", style="bold"))
            for line in found:
                console.print(Padding(Text(f"- {_listed(line)} ({line.scope})"), (0, 0, 0, 2)))
    console.print(
        Text("\n█ asked  ▒ asked of some claims  ░ maybe  | change begins  ▽ published  ■ implemented", style="dim")
    )

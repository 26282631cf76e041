"""A policy's versions and the days on which their provisions hold, as HTML that needs no script and fits any width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from html import escape

from pages.book import Period

_MOST_TICKS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of text with a track under it."""

    kind: str
    """``version``, ``change`` or ``rule``."""
    label: str
    told: str
    """Its days, in words."""
    target: str
    """The place on the page that tells more."""
    period: Period | None = None
    published: tuple[date | None, date | None] | None = None
    implemented: date | None = None
    starts: tuple[date | None, date | None] | None = None
    """A change's first day of service: the earliest and the latest that it may be."""

    @property
    def days(self) -> list[date]:
        period = self.period
        bounds = (
            (period.possible_from, period.certain_from, period.certain_until, period.possible_until) if period else ()
        )
        return [day for day in (*bounds, *(self.published or ()), self.implemented, *(self.starts or ())) if day]


class Axis:
    """Days as places between the left edge (0) and the right (100)."""

    def __init__(self, days: Sequence[date]) -> None:
        first, last = min(days).toordinal(), max(days).toordinal()
        margin = max((last - first) * 0.06, 45)
        self._first, self._last = first - margin, last + margin

    def place(self, day: date) -> float:
        return round((day.toordinal() - self._first) / (self._last - self._first) * 100, 2)

    def ticks(self) -> list[tuple[float, str]]:
        """Beginnings of years, or of months where there are fewer than three years."""
        begins, ends = date.fromordinal(int(self._first)), date.fromordinal(int(self._last))
        months = range(begins.year * 12 + begins.month, ends.year * 12 + ends.month)
        days = [date(month // 12, month % 12 + 1, 1) for month in months]
        years = [day for day in days if day.month == 1]
        if len(years) >= 3:
            step = -(-len(years) // _MOST_TICKS)
            return [(self.place(day), str(day.year)) for day in years if day.year % step == 0]
        step = next(step for step in (1, 2, 3, 6, 12) if len(days) / step <= 5 or step == 12)
        return [(self.place(day), f"{day:%Y-%m}") for day in days if (day.month - 1) % step == 0]


def timeline(rows: Sequence[Row]) -> str:
    """The rows under one axis of calendar days; nothing where no row has a day."""
    days = [day for row in rows for day in row.days]
    if not days:
        return ""
    axis = Axis(days)
    ticks = axis.ticks()
    lines = "".join(f'<i class="ch-line" style="left:{place}%"></i>' for place, _ in ticks)
    scale = "".join(f'<span style="left:{place}%">{text}</span>' for place, text in ticks)
    body = "".join(
        f'<li class="ch-{row.kind}"><a href="#{escape(row.target)}">{escape(row.label)}</a> '
        f"<small>{escape(row.told)}</small>"
        f'<div class="ch-track" aria-hidden="true">{lines}{_marks(row, axis)}</div></li>'
        for row in rows
    )
    legend = (
        '<p class="ch-legend" aria-hidden="true"><span><i class="ch-key ch-published"></i> published</span> '
        '<span><i class="ch-key ch-implemented"></i> in the payer’s systems</span> '
        '<span><i class="ch-key ch-starts"></i> a change’s first day of service</span> '
        '<span><i class="ch-key ch-certain"></i> holds for services on these days</span> '
        '<span><i class="ch-key ch-possible"></i> may hold</span></p>'
    )
    scale = f'<div class="ch-scale" aria-hidden="true">{scale}</div>'
    return f'<div class="ch-timeline">{scale}<ul>{body}</ul>{scale}{legend}</div>\n'


def _marks(row: Row, axis: Axis) -> str:
    marks = ""
    if period := row.period:
        doubtful = (period.possible_from, period.possible_until) != (period.certain_from, period.certain_until)
        if doubtful:
            marks += _bar("possible", period.possible_from, period.possible_until, axis)
        if not period.certain_from or not period.certain_until or period.certain_from <= period.certain_until:
            marks += _bar("certain", period.certain_from, period.certain_until, axis)
    for days, bar, point in ((row.published, "publishing", "published"), (row.starts, "starting", "starts")):
        earliest, latest = days or (None, None)
        if earliest != latest:
            marks += _bar(bar, earliest, latest, axis)
        if day := latest or earliest:
            marks += _point(point, day, axis)
    if row.implemented:
        marks += _point("implemented", row.implemented, axis)
    return marks


def _bar(kind: str, first: date | None, last: date | None, axis: Axis) -> str:
    left = axis.place(first) if first else 0
    width = max(round((axis.place(last) if last else 100) - left, 2), 0.6)
    ends = ("" if first else " ch-open-left") + ("" if last else " ch-open-right")
    return f'<i class="ch-bar ch-{kind}{ends}" style="left:{left}%;width:{width}%"></i>'


def _point(kind: str, day: date, axis: Axis) -> str:
    return f'<i class="ch-mark ch-{kind}" style="left:{axis.place(day)}%"></i>'

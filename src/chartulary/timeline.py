"""Versions, changes and the days on which provisions hold, as rows over one axis of calendar days."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from chartulary.book import Period

_MOST_TICKS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of text with a track under it."""

    kind: str
    """``version``, ``change``, ``rule``, or a kind of rule."""
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

    def bars(self) -> Iterator[tuple[str, date | None, date | None]]:
        """Spans to draw, the lower ones first: what kind, and the days between, None where there is no end."""
        if period := self.period:
            if period.doubtful:
                yield "possible", period.possible_from, period.possible_until
            if period.ever_certain:
                yield "certain", period.certain_from, period.certain_until
        for days, kind in ((self.published, "publishing"), (self.starts, "starting")):
            earliest, latest = days or (None, None)
            if earliest != latest:
                yield kind, earliest, latest

    def points(self) -> Iterator[tuple[str, date]]:
        """Days to mark, with what each is."""
        for days, kind in ((self.published, "published"), (self.starts, "starts")):
            earliest, latest = days or (None, None)
            if day := latest or earliest:
                yield kind, day
        if self.implemented:
            yield "implemented", self.implemented


class Axis:
    """Days as places between the left edge (0) and the right (100)."""

    def __init__(self, days: Sequence[date], *, margin: float | None = None) -> None:
        """``margin`` is in days; without it there is some room around all days."""
        first, last = min(days).toordinal(), max(days).toordinal()
        margin = max((last - first) * 0.06, 45) if margin is None else margin
        self._first, self._last = first - margin, last + margin

    @property
    def ends(self) -> tuple[date, date]:
        return date.fromordinal(int(self._first) + 1), date.fromordinal(int(self._last))

    def place(self, day: date) -> float:
        return round((day.toordinal() - self._first) / (self._last - self._first) * 100, 2)

    def span(self, first: date | None, last: date | None) -> tuple[float, float]:
        """Left edge and width of a bar, to the edge where it has no end; never too thin to see."""
        left = self.place(first) if first else 0.0
        return left, max(round((self.place(last) if last else 100) - left, 2), 0.6)

    def ticks(self, *, months_shown: int = 5) -> list[tuple[float, str]]:
        """Beginnings of years, or of so many months at most where there are fewer than three years."""
        begins, ends = date.fromordinal(int(self._first)), date.fromordinal(int(self._last))
        months = range(begins.year * 12 + begins.month, ends.year * 12 + ends.month)
        days = [date(month // 12, month % 12 + 1, 1) for month in months]
        years = [day for day in days if day.month == 1]
        if len(years) >= 3:
            step = -(-len(years) // _MOST_TICKS)
            return [(self.place(day), str(day.year)) for day in years if day.year % step == 0]
        step = next(step for step in (1, 2, 3, 6, 12) if len(days) / step <= months_shown or step == 12)
        return [(self.place(day), f"{day:%Y-%m}") for day in days if (day.month - 1) % step == 0]

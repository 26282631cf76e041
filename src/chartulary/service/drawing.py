"""Rows of a timeline as bars and points, for a page to draw."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from chartulary.timeline import Axis, Row


@dataclass(frozen=True, slots=True)
class Bar:
    """A span of days."""

    kind: str
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class Point:
    """A day."""

    kind: str
    place: float
    told: str


@dataclass(frozen=True, slots=True)
class Track:
    """A row, drawn."""

    row: Row
    bars: tuple[Bar, ...]
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """Rows on an axis, in hundredths of its width."""

    tracks: tuple[Track, ...]
    ticks: tuple[tuple[float, str], ...]
    first: date
    last: date
    day: date | None
    place: float | None
    """Where the chosen day is."""


_POINTS = {
    "published": "published on",
    "starts": "from services on",
    "implemented": "in the payer’s systems from",
}


def draw(rows: list[Row], day: date | None) -> Drawing | None:
    """Rows as bars and points; nothing where no row has a day."""
    days = [each for row in rows for each in row.days]
    if not days:
        return None
    # A day far from all others would press them together: it is left out of the picture, and said in words.
    near = timedelta(days=3 * 366)
    shown = day is not None and min(days) - near <= day <= max(days) + near
    axis = Axis([*days, *([day] if day and shown else [])])
    tracks = tuple(
        Track(
            row,
            tuple(Bar(kind, *axis.span(first, last)) for kind, first, last in row.bars()),
            tuple(Point(kind, axis.place(at), f"{_POINTS[kind]} {at}") for kind, at in row.points()),
        )
        for row in rows
    )
    first, last = axis.ends
    return Drawing(
        tracks, tuple(axis.ticks()), first, last, day, axis.place(day) if day is not None and shown else None
    )

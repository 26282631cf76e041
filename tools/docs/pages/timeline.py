"""A policy's versions and the days on which their provisions hold, as HTML that needs no script and fits any width."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from html import escape

from chartulary.timeline import Axis, Row

__all__ = ["Axis", "Row", "timeline"]


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
    bars = "".join(_bar(kind, first, last, axis) for kind, first, last in row.bars())
    return bars + "".join(
        f'<i class="ch-mark ch-{kind}" style="left:{axis.place(day)}%"></i>' for kind, day in row.points()
    )


def _bar(kind: str, first: date | None, last: date | None, axis: Axis) -> str:
    left, width = axis.span(first, last)
    ends = ("" if first else " ch-open-left") + ("" if last else " ch-open-right")
    return f'<i class="ch-bar ch-{kind}{ends}" style="left:{left}%;width:{width}%"></i>'

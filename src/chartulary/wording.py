"""Days as people say them."""

from __future__ import annotations

import re
from datetime import date

_DAY = r"\d{4}-\d{2}-\d{2}"
_SPAN = re.compile(rf"({_DAY}|\.\.)/({_DAY}|\.\.)")
_SINGLE = re.compile(rf"\b({_DAY})\b")


def dated(text: object) -> str:
    """A text with its days and intervals (``2025-12-09/2025-12-12``) in words."""
    return _SINGLE.sub(lambda found: _said(found[1]), _SPAN.sub(_interval, str(text)))


def _interval(found: re.Match[str]) -> str:
    first, last = found[1], found[2]
    if first == "..":
        return f"by {last}" if last != ".." else "on a day that no source gives"
    if last == "..":
        return f"{first} or later"
    if first[:7] == last[:7]:
        return f"{int(first[8:])} to {last}"
    return f"{first} to {last}"


def _said(day: str) -> str:
    try:
        on = date.fromisoformat(day)
    except ValueError:
        return day
    return f"{on.day} {on:%B %Y}"

"""Content negotiation (RFC 9110, 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence


def choose(header: str | None, offered: Sequence[str]) -> str | None:
    """The media type to answer in: the best of what is offered, in this order where several are as welcome; or None."""
    if not header or not header.strip():
        return offered[0]
    wanted: list[tuple[str, str, float]] = []
    for part in header.split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                try:
                    quality = min(max(float(value), 0.0), 1.0)
                except ValueError:
                    quality = 0.0
        kind, _, subtype = media.partition("/")
        wanted.append((kind or "*", subtype or "*", quality))

    def welcome(offer: str) -> float:
        kind, _, subtype = offer.partition("/")
        fitting = [
            ((k != "*") + (s != "*"), quality) for k, s, quality in wanted if k in ("*", kind) and s in ("*", subtype)
        ]
        return max(fitting, key=lambda each: each[0])[1] if fitting else 0.0

    best = max(offered, key=welcome)
    return best if welcome(best) > 0 else None

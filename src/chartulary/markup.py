"""What pages are made of: templates, for the service and for files that stand alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from chartulary.hindsight import words
from chartulary.wording import dated

_FOLDER = Path(__file__).parent / "service"
STATIC = _FOLDER / "static"


def environment() -> Environment:
    """Templates of the service: what they are given is escaped, and may not be missing."""
    made = Environment(
        loader=PackageLoader("chartulary", "service/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["words"] = words
    made.filters["dated"] = dated
    return made


def alone(template: str, **values: Any) -> str:
    """A page that needs nothing else: its style stands in it, and links lead to where things are published."""
    made = environment()
    made.filters["local"] = str
    style = (STATIC / "chartulary.css").read_text("utf-8")
    return made.get_template(template).render(style=style, **values)

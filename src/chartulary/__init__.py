"""Chartulary: CAR-T billing policies as data, claims held against them, every answer cited."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chartulary.ask import Answer
    from chartulary.claim import Claim
    from chartulary.errors import ChartularyError, Problem
    from chartulary.readers import read_claims
    from chartulary.register import Register, Snapshot
    from chartulary.report import Change, Citation, Finding, Report

__all__ = [
    "Answer",
    "Change",
    "Citation",
    "Claim",
    "ChartularyError",
    "Finding",
    "Problem",
    "Register",
    "Report",
    "Snapshot",
    "read_claims",
]

_HOMES = {
    "Answer": "ask",
    "Claim": "claim",
    "ChartularyError": "errors",
    "Problem": "errors",
    "read_claims": "readers",
    "Register": "register",
    "Snapshot": "register",
    "Change": "report",
    "Citation": "report",
    "Finding": "report",
    "Report": "report",
}


def __getattr__(name: str) -> object:
    """Imports a name on first use: ``--help`` needs none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module 'chartulary' has no attribute '{name}'")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"chartulary.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

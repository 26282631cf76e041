"""Chartulary: CAR-T billing policies as data, claims held against them, every answer cited."""

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

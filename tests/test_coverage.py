"""What suites exercise is counted as it is: never rounded up; a criterion that stays unknown is neither met nor not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from chartulary import Register
from chartulary.namespaces import ROOT
from chartulary.register import data_folder
from chartulary.suites import Question, Suite, read_suite
from chartulary.workbench.coverage import Coverage, CriterionUse, ProvisionUse, coverage
from chartulary.workbench.trial import percent

POLICIES = data_folder("policies")
NCD = f"{ROOT}policy/medicare/ncd-110.24/"
KX = f"{NCD}2021-07-20#kx-on-administration"
QUESTION_ONLY = f"{NCD}2025-12-09#rems-ended-for-every-product"
HAS_KX = f"{ROOT}criterion/modifier-KX"


def ncd(*files: str) -> Suite:
    """The suite of NCD 110.24 with these of its claims alone, as known now, and without questions."""
    suite = read_suite(POLICIES / "medicare" / "ncd-110.24" / "suite.toml", POLICIES)
    examples = tuple(e for e in suite.examples if Path(e.file).stem in files and not e.as_known_on)
    return replace(suite, examples=examples, questions=())


def test_nothing_is_exercised_by_nothing(register: Register) -> None:
    seen = coverage(register, [])
    assert seen.never == seen.provisions.keys()
    assert seen.criteria_never == seen.criteria.keys()
    assert not (seen.never_broken | seen.never_kept | seen.criteria_never_met | seen.criteria_never_not_met)


def test_a_claim_that_breaks_a_rule(register: Register) -> None:
    seen = coverage(register, [ncd("no-kx-on-the-last-day")])
    assert seen.provisions[KX] == ProvisionUse(in_scope=1, governed=1, kept=0, broken=1, answered=0, obliges=True)
    assert seen.criteria[HAS_KX] == CriterionUse(met=0, not_met=1, unknown=0)
    assert KX in seen.never_kept - seen.never_broken - seen.never
    assert HAS_KX in seen.criteria_never_met - seen.criteria_never_not_met


def test_both_ways_leave_no_gap(register: Register) -> None:
    seen = coverage(register, [ncd("no-kx-on-the-last-day", "right-kx-on-the-last-day")])
    assert (seen.provisions[KX].kept, seen.provisions[KX].broken) == (1, 1)
    assert KX not in seen.never | seen.never_kept | seen.never_broken
    assert HAS_KX not in seen.criteria_never | seen.criteria_never_met | seen.criteria_never_not_met


def test_unknown_is_neither_met_nor_not(register: Register) -> None:
    seen = coverage(register, [ncd("inpatient-rems-unknown")])
    enrolled = f"{ROOT}criterion/facility-rems-enrolled"
    assert seen.criteria[enrolled] == CriterionUse(unknown=1)
    assert enrolled in seen.criteria_never_met & seen.criteria_never_not_met
    assert seen.provisions[f"{NCD}2019-08-07#rems-facility"].kept == 0, "what is left open is not kept"


def test_an_answer_exercises_what_no_claim_is_held_against(register: Register) -> None:
    asked = {"code": "38228", "payer": "medicare", "setting": "outpatient", "dos": "2025-06-26"}
    question = Question(ask="requirements", parameters=asked, as_known_on=None, answers=())
    seen = coverage(register, [replace(ncd(), questions=(question,))])
    assert seen.provisions[QUESTION_ONLY].answered == 1
    assert QUESTION_ONLY not in seen.never
    assert KX in seen.never, "it had ended by then"
    unknown = replace(question, as_known_on=date(2000, 1, 1))
    assert QUESTION_ONLY in coverage(register, [replace(ncd(), questions=(unknown,))]).never


def test_one_policy_with_the_criteria_that_it_tests(register: Register) -> None:
    seen = coverage(register, []).of(NCD)
    assert {iri.startswith(NCD) for iri in seen.provisions} == {True}
    assert HAS_KX in seen.criteria
    assert not any(iri.startswith(f"{ROOT}policy/excellus") for iri in seen.criteria)


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(9999, 10_000, "99.9 %"), (10_000, 10_000, "100.0 %"), (0, 3, "0.0 %"), (2, 3, "66.6 %"), (0, 0, "–")],
)
def test_shares_are_never_rounded_up(part: int, whole: int, said: str) -> None:
    assert percent(part, whole) == said


def test_a_gap_is_a_gap_of_the_numbers() -> None:
    uses = {
        "never": ProvisionUse(obliges=True),
        "asked": ProvisionUse(answered=1, obliges=False),
        "kept": ProvisionUse(in_scope=2, governed=2, kept=2, obliges=True),
        "notice": ProvisionUse(in_scope=1, governed=1, kept=1, obliges=False),
    }
    seen = Coverage(provisions=uses, criteria={}, criteria_of={})
    assert (seen.never, seen.never_broken, seen.never_kept) == ({"never"}, {"kept"}, frozenset())

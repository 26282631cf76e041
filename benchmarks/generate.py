"""Made-up CAR-T claims by the million: ``python benchmarks/generate.py COUNT --format 837|jsonl|parquet|csv -o FILE``.

What the register knows is taken from it as it runs: payers, settings, codes with their days, products, and the
provisions with their criteria (``drafts.py``). Half of the claims are aimed at one provision: who and when by its scope
and its boundary days, what by its criteria, each met, not met or left unsaid. So a new policy is exercised without a
change here. Nobody in here exists.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from drafts import (
    ELSE,
    LINE_FIELDS,
    Carrier,
    Context,
    Draft,
    Option,
    Rule,
    World,
    around,
    in_order,
    made_number,
    months_before,
    shifted,
    tail,
)
from rdflib import Literal as Value
from rdflib.namespace import SKOS
from widen import widen
from write_837 import write_837

from chartulary import Claim, Register
from chartulary.claim import (
    Attachment,
    Diagnosis,
    Document,
    Event,
    FindingValue,
    Line,
    Note,
    OccurrenceCode,
    Patient,
    Payer,
    Procedure,
    ValueCode,
)
from chartulary.namespaces import POL
from chartulary.readers.claim_json import claim_to_json

__all__ = ["claims", "widen", "write_837", "write_json_lines"]

FIRST, LAST = date(2018, 6, 1), date(2026, 12, 31)
"""Days of service lie between these, but for boundary days of the register."""

_BESIDE = (  # no CAR-T policy lists these; first complications of the therapy, then support and comorbidities
    *("D89.831", "D89.832", "D89.833", "G92.01", "G92.02", "T80.82XA", "D70.1", "D61.810", "R50.81"),
    *("E87.6", "E83.42", "D69.6", "I10", "E11.9", "E78.5", "N18.30", "I48.91", "J44.9", "K21.9", "Z79.899", "Z51.11"),
    *("Z51.12", "Z94.84", "Z86.711", "D63.0", "R11.2"),
)
_COMPLICATIONS = 9
_USUAL_MODIFIERS = ("25", "59", "JZ", "JW", "LU", "PO", "XU", "Q0", "76")
_STAYS = (("A41.9", "871"), ("M17.11", "470"), ("I50.23", "291"), ("J18.9", "193"), ("F20.9", "885"), ("C83.38", "840"))
_PAPER = {"837I": "UB-04", "837P": "CMS-1500"}
_REMARKS = ("PT ENROLLED IN REGISTRY", "RECORDS AVAILABLE ON REQUEST", "SEE ATTACHED INVOICE", "LETTER OF AGREEMENT")

# --- From draft to claim ----------------------------------------------------------------------------------------------


class _Maker:
    """Makes one claim after another; everything random comes from one seeded source."""

    def __init__(self, world: World, *, seed: int, carried_by: Carrier, faults: float) -> None:
        self.world, self.carrier, self.faults = world, carried_by, faults
        self.rng = random.Random(f"{seed}/{carried_by}")
        self.seed = seed
        self.number = 0
        self.fits = [context for context in world.contexts if self._carries(context)]
        self.pool = [c for c in self.fits for _ in range(self._weight(c))]
        fitting = set(map(id, self.fits))
        self.rules = [
            (rule, contexts)
            for rule in world.rules
            if (contexts := [context for context in rule.contexts if id(context) in fitting])
            and (carried_by == "json" or self._on_form(rule))
        ]
        by_policy: dict[str, list[tuple[Rule, list[Context]]]] = defaultdict(list)
        for pair in self.rules:
            by_policy[pair[0].policy].append(pair)
        self.policies = list(by_policy.values())
        self.runs = self._runs()

    def _carries(self, context: Context) -> bool:
        if self.carrier == "json":
            return True
        professional = {"837I": False, "837P": True}.get(self.carrier, context.setting.is_professional)
        return context.request == "claim" and context.setting.is_professional == professional

    @staticmethod
    def _weight(context: Context) -> int:
        silent = context.request == "prior-authorization" and not context.provisions
        return max(1, round(context.weight * (4 if silent else 20)))

    @staticmethod
    def _on_form(rule: Rule) -> bool:
        criteria = [*rule.requires, *rule.prohibits, *rule.when]
        return not criteria or any(criterion.on_form for criterion in criteria)

    def _runs(self) -> list[date]:
        """Days on which an 837 sender sends: twice a year, and around the days that the register compares with."""
        days = {date(year, month, 20) for year in range(FIRST.year, LAST.year + 2) for month in (1, 7)}
        graph = self.world.graph
        for day in graph.objects(None, POL.before):
            if isinstance(day, Value):
                days |= around([day.toPython()])
        return sorted(days)

    def make(self) -> Claim:
        rng, world = self.rng, self.world
        self.number += 1
        aim: Rule | None = None
        kind = rng.random()
        if kind < 0.5 and self.rules:
            pairs = self.rules if kind < 0.3 else self._choice(self.policies)
            aim, contexts = self._choice(pairs)
            context = self._choice(contexts)
        else:
            context = self._choice(self.pool)
        near = aim
        if near is None and context.provisions and rng.random() < 0.5:
            near = self._choice(context.provisions)
        draft = Draft(world, rng, context, self._day(near), self.carrier)
        self._ordinary(draft, aim)
        if draft.service:
            told = context.request == "prior-authorization" or (self.carrier == "json" and rng.random() < 0.3)
            self._conscientious(draft, told)
        if aim:
            self._aim(draft, aim)
        if rng.random() < self.faults:
            _FAULTS[int(rng.random() * len(_FAULTS))](draft)
        claim = self._claim(draft)
        return _for_tables(claim) if self.carrier == "tuva" else claim

    def _choice(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.random() * len(items))]

    def _day(self, aim: Rule | None) -> date:
        rng = self.rng
        chance = rng.random()
        if aim and aim.days and chance < 0.4:
            day: date = self._choice(aim.days)
        elif chance < 0.2 and self.world.days:
            day = self._choice(self.world.days)
        else:
            first, last = FIRST, LAST
            if aim and aim.first <= LAST and aim.last >= FIRST and chance < 0.9:
                first, last = max(first, aim.first), min(last, aim.last)
            # Most claims are of late.
            span = last.toordinal() - first.toordinal()
            day = shifted(last, -int(span * rng.random() ** 1.6))
        return day

    # What is billed

    def _ordinary(self, draft: Draft, aim: Rule | None) -> None:
        rng, world, context = self.rng, self.world, draft.context
        setting = context.setting
        draft.payer_name = self._choice(context.plan.names)
        ages = rng.random()
        years = 2 + ages * 190 if ages < 0.1 else 30 + rng.random() * 55
        draft.birth_date = shifted(draft.day, -int(years * 365.25))
        if setting.is_professional:
            draft.place = self._choice(("22", "22", "21", "11", "19", "11"))
        if setting.is_stay:
            before, after = self._choice(((0, 14), (4, 13), (6, 9), (12, 0), (0, 0), (5, 16), (0, 9), (9, 21)))
            draft.first, draft.last = shifted(draft.day, -before), shifted(draft.day, after)
        if ages < 0.02 and world.ages:
            birthday = months_before(draft.first, 12 * self._choice(world.ages))
            draft.birth_date = shifted(birthday, self._choice((-1, 0, 1)))
        draft.submitted = shifted(draft.last, 3 + int(rng.random() ** 3 * 200))
        if context.request == "prior-authorization":
            draft.submitted = shifted(draft.first, -1 - int(rng.random() * 40))
        elif self.carrier in ("837I", "837P"):
            later = [day for day in self.runs if day >= draft.last]
            draft.submitted = later[min(len(later) - 1, int(rng.random() * 1.4))]
        if aim is None and rng.random() < 0.2:
            self._unrelated(draft)
            return
        draft.product = self._choice(world.products)
        for _ in range(5):
            draft.service = self._choice(world.service_pool)
            if draft.valid(world.services[draft.service]):
                break
        usual = world.given_for.get(draft.product)
        diagnoses: list[Option] = self._choice(usual if usual and rng.random() < 0.8 else world.diagnoses)
        draft.diagnoses = [draft.pick(diagnoses).text]
        beside = _BESIDE if context.request == "claim" else _BESIDE[_COMPLICATIONS:]
        draft.diagnoses += [self._choice(beside) for _ in range(int(rng.random() * 4))]
        if rng.random() < 0.08 and world.histories:
            draft.diagnoses.append(draft.pick(world.histories).text)
        if context.request == "prior-authorization":
            draft.told_product = True
            if rng.random() < 0.6:
                return
        if setting.is_stay:
            self._stay(draft)
        else:
            self._visit(draft)

    def _unrelated(self, draft: Draft) -> None:
        draft.diagnoses = [self._choice(self.world.unlisted)]
        draft.extra_lines(1 + int(self.rng.random() * 4))
        if draft.context.setting.is_stay:
            diagnosis, draft.drg = self._choice(_STAYS)
            draft.diagnoses = [diagnosis, *draft.diagnoses]

    def _stay(self, draft: Draft) -> None:
        rng = self.rng
        draft.drg = "018" if rng.random() < 0.9 else self._choice(("016", "840", "841", "846"))
        infusion = self.world.infusion[draft.product]
        if infusion:
            draft.procedures = [draft.pick(infusion).text]
        line = draft.service_line("car-t-administration", None)
        line["description"] = self._choice((None, "CAR-T ADMINISTRATION"))
        product = draft.service_line("car-t-product", None)
        product["description"] = self._choice((None, "CAR-T PRODUCT"))
        draft.extra_lines(1 + int(rng.random() * 3))

    def _visit(self, draft: Draft) -> None:
        rng, world = self.rng, self.world
        codes = world.services[draft.service]
        line = draft.service_line(draft.service, draft.pick(codes).text)
        if rng.random() < 0.15:
            line["modifiers"].append(self._choice(_USUAL_MODIFIERS))
        gives = draft.service == "car-t-administration"
        supply = world.supply[draft.product]
        if gives and supply and rng.random() < (0.1 if draft.context.setting.is_professional else 0.75):
            supplied = draft.service_line("car-t-product", draft.pick(supply).text)
            if rng.random() < 0.5:
                supplied["ndc"] = f"5{sum(map(ord, draft.product)):04d}{len(draft.product):04d}01"
        draft.extra_lines(int(rng.random() * 4))

    def _conscientious(self, draft: Draft, told: bool) -> None:
        """What a careful biller or requester sends: most of what the provisions ask for."""
        rng, context = self.rng, draft.context
        is_request = context.request == "prior-authorization"
        if is_request:
            for criterion in context.conditions:
                if rng.random() < 0.3:
                    criterion.make(draft, rng.random() < 0.5)
        rules = context.provisions if is_request or context.setting.is_stay else context.by_service[draft.service]
        for rule in rules:
            if rule.in_doubt and (rule.unless or rule.requires):
                if not rule.concerns(draft):
                    continue
                if told and rule.unless and rng.random() < 0.9:
                    for criterion in rule.unless:
                        criterion.make(draft, True)
                elif told and rule.requires and rng.random() < 0.97:
                    rule.satisfy(draft, told=told)
            elif rng.random() < 0.96 and rule.concerns(draft):
                rule.satisfy(draft, told=told)

    def _aim(self, draft: Draft, rule: Rule) -> None:
        """Bring the claim under one provision, and then meet it, break it, or leave open which."""
        rng = self.rng
        option = draft.pick(rule.about)
        texts = frozenset((option.text,))
        if rng.random() < 0.7 and rule.concerns(draft):
            pass
        elif rule.on_lines and option.field in ("procedureCode", "revenueCode", "words"):
            name = LINE_FIELDS[option.field]
            found = [i for i, line in enumerate(draft.lines) if line[name] == option.text]
            if found:
                draft.focus = found[0]
            elif draft.lines:
                draft.focus = 0
                draft.line()[name] = option.text
                if option.field == "words":
                    draft.line()["code"] = None
                elif option.field == "procedureCode":
                    draft.line()["description"] = None
            else:
                draft.service_line(draft.service, None)[name] = option.text
        elif not draft.shows(option.field, texts, "WholeClaim") or option.field == "product":
            draft.show(option.field, option.text, "WholeClaim")
            if option.field == "product":
                draft.told_product = True
        binding = rng.random() < 0.92
        for criterion in rule.when:
            criterion.make(draft, binding)
        for criterion in rule.unless:
            criterion.make(draft, not binding)
        chance = rng.random()
        if chance < 0.4:
            rule.satisfy(draft, told=True)
        elif chance < 0.8:
            wrong = [(c, False) for c in rule.requires] + [(c, True) for c in rule.prohibits]
            if wrong:
                broken, want = self._choice(wrong)
                broken.make(draft, want)

    # Written out

    def _claim(self, draft: Draft) -> Claim:
        rng, context = self.rng, draft.context
        setting = context.setting
        is_request = context.request == "prior-authorization"
        form = "837P" if setting.is_professional else "837I"
        full = self.carrier != "json" or (not is_request and rng.random() < 0.6)
        stays = setting.is_stay
        if len(draft.lines) > 6:
            keep = draft.lines.pop(draft.focus) if draft.focus < len(draft.lines) else draft.lines[0]
            draft.lines = [keep, *draft.lines[:5]]
        lines = tuple(self._line(draft, number, line, full) for number, line in enumerate(draft.lines, 1))
        if not lines and (full or not is_request):
            draft.extra_lines(1)
            lines = (self._line(draft, 1, draft.lines[0], full),)
        cents = sum(line["cents"] for line in draft.lines)
        values: dict[str, Any] = {}
        if full:
            values["form"] = form
            values["frequency"] = "1" if rng.random() < 0.93 else self._choice("778")
            if setting.is_professional:
                values["place_of_service"] = draft.place or "22"
            else:
                usual = rng.random() < 0.95  # the first is what hospitals mostly send
                values["bill_type"] = (setting.bill_types[0] if usual else self._choice(setting.bill_types)) + values[
                    "frequency"
                ]
                if draft.dated:
                    values["statement_from"], values["statement_through"] = draft.first, draft.last
            if stays:
                values["admission"] = draft.first
                values["value_codes"] = (ValueCode(code="80", amount=Decimal(max(1, (draft.last - draft.first).days))),)
                if rng.random() < 0.2:
                    values["occurrence_codes"] = (OccurrenceCode(code="11", first_day=shifted(draft.first, -30)),)
            values["total_charge"] = Decimal(f"{cents // 100}.{cents % 100:02d}")
            values["submitted"] = draft.submitted
        else:
            values["setting"] = setting.name
            if draft.dated:
                values["date_of_service"] = draft.day
            if rng.random() < 0.85 and context.plan.business_names:
                values["line_of_business"] = self._choice(context.plan.business_names)
            if is_request or rng.random() < 0.3:
                values["submitted"] = draft.submitted
            if draft.form or rng.random() < 0.5:
                values["form"] = draft.form or (form if rng.random() < 0.7 else _PAPER[form])
        if draft.told_product and self.carrier in ("json", "tuva"):
            values["product"] = draft.product
            if rng.random() < 0.2 and draft.product in self.world.donor:
                values["donor_type"] = self.world.donor[draft.product]
        if self.carrier == "json":
            values["findings"] = tuple(self._findings(draft).items())
            values["documents"] = tuple(Document(kind=k, date=d, result=r or None) for k, d, r in draft.documents)
            values["history"] = tuple(Event(kind=kind, date=day) for kind, day in draft.history)
            values["attachments"] = tuple(Attachment(kind=kind, date=day) for kind, day in draft.attachments)
        elif self.carrier != "tuva" and rng.random() < 0.04:
            paper = made_number(rng, "ACN", 6)
            values["attachments"] = (Attachment(kind="OZ", transmission="EL", control_number=paper),)
        if not setting.is_professional or not full:
            if stays or draft.procedures:
                day = draft.day if full else None
                values["procedures"] = tuple(
                    Procedure(
                        code=code,
                        date=day,
                        kind="other" if i else "principal",
                        system=("BBQ" if i else "BBR") if full else None,
                    )
                    for i, code in enumerate(dict.fromkeys(draft.procedures))
                )
            values["drg"] = draft.drg
            values["condition_codes"] = tuple(dict.fromkeys(draft.conditions))
        if rng.random() < 0.03:
            draft.notes.append(self._choice(_REMARKS))
        if draft.notes:
            values["notes"] = tuple(
                Note(text=text, location="NTE02", qualifier="ADD") for text in dict.fromkeys(draft.notes)
            )
        number = (self.number * 2_654_435_761 + self.seed * 40_503) % 10**9
        return Claim(
            id=f"{'A' if is_request else 'P' if setting.is_professional else 'H'}{number:09d}",
            source="generated",
            request=context.request,
            payer=self._payer(draft, full),
            other_payers=self._others(draft) if full else (),
            patient=self._patient(draft, full),
            diagnoses=self._diagnoses(draft, full),
            prior_authorization=draft.approval,
            lines=lines,
            **values,
        )

    def _line(self, draft: Draft, number: int, line: dict[str, Any], full: bool) -> Line:
        professional = draft.context.setting.is_professional
        code, cents = line["code"], line["cents"]
        day = line["day"] if draft.dated else None
        if full and draft.context.setting.is_stay:
            day = None
        if professional and code is None:
            code = "38999" if line["description"] else "99214"
        place = line["place_of_service"]
        text = line["description"]
        return Line(
            number=number,
            code=code,
            code_system="HC" if full and code else None,
            modifiers=tuple(line["modifiers"][:4]) if code or self.carrier == "json" else (),
            revenue_code=line["revenue_code"] or (None if professional or not full else "0510"),
            # An 837 has room for words only beside a code.
            description=text if code or self.carrier == "json" else None,
            first_day=day,
            last_day=day,
            units=Decimal(line["units"]),
            unit=line.get("unit", "UN") if full else None,
            charge=Decimal(f"{cents // 100}.{cents % 100:02d}"),
            place_of_service=place if professional else None,
            ndc=line.get("ndc"),
            ndc_units=Decimal(1) if "ndc" in line else None,
            diagnosis_pointers=(1,) if professional and full else (),
        )

    def _payer(self, draft: Draft, full: bool) -> Payer:
        plan, rng = draft.context.plan, self.rng
        indicators = plan.indicators
        if not full:
            return Payer(name=draft.payer_name)
        number = self._choice(plan.ids) if plan.ids and rng.random() < 0.5 else f"{sum(map(ord, draft.payer_name)):05d}"
        return Payer(
            name=draft.payer_name.upper(),
            id=number,
            filing_indicator=self._choice(indicators) if indicators else "ZZ",
            responsibility="P" if rng.random() < 0.9 else "S",
            member_id=made_number(rng, "M", 9),
            group_number=made_number(rng, "G", 5) if rng.random() < 0.3 else None,
        )

    def _others(self, draft: Draft) -> tuple[Payer, ...]:
        rng = self.rng
        if rng.random() > 0.08:
            return ()
        plan = self._choice(self.fits).plan
        name = self._choice(plan.names)
        return (
            Payer(
                name=name.upper(),
                id=f"{sum(map(ord, name)):05d}",
                filing_indicator=self._choice(plan.indicators) if plan.indicators else "ZZ",
                responsibility="S" if rng.random() < 0.7 else "T",
                member_id=made_number(rng, "X", 8),
                paid=Decimal(int(rng.random() * 90000)) / 100 if rng.random() < 0.5 else None,
            ),
        )

    def _patient(self, draft: Draft, full: bool) -> Patient:
        rng = self.rng
        if full or rng.random() < 0.5:
            relationship = "18" if full and rng.random() < 0.9 else "19" if full else None
            return Patient(birth_date=draft.birth_date, sex="FM"[int(rng.random() * 2)], relationship=relationship)
        born, day = draft.birth_date, draft.day
        age = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
        return Patient(age=max(0, age))

    def _diagnoses(self, draft: Draft, full: bool) -> tuple[Diagnosis, ...]:
        codes = list(dict.fromkeys(draft.diagnoses)) or [self._choice(ELSE)]
        if not full:
            return tuple(Diagnosis(code=code, kind="other" if i else "principal") for i, code in enumerate(codes[:12]))
        stay, professional = draft.context.setting.is_stay, draft.context.setting.is_professional
        present = "Y" if stay else None
        found = [Diagnosis(code=codes[0], kind="principal", present_on_admission=present, system="ABK")]
        if stay:
            found.append(Diagnosis(code=codes[0], kind="admitting", system="ABJ"))
        elif not professional and self.rng.random() < 0.3:
            found.append(Diagnosis(code=codes[0], kind="reason-for-visit", system="APR"))
        for code in codes[1:12]:
            present = ("N" if code in _BESIDE[:_COMPLICATIONS] else "Y") if stay else None
            found.append(Diagnosis(code=code, kind="other", present_on_admission=present, system="ABF"))
        return tuple(found)

    def _findings(self, draft: Draft) -> dict[str, FindingValue]:
        """Facts as somebody writes them: some one by one, some as a list under their head."""
        findings = draft.findings
        if len(findings) > 3 and self.rng.random() < 0.6:
            return self.gathered(findings)
        return findings

    def gathered(self, findings: dict[str, FindingValue]) -> dict[str, FindingValue]:
        result: dict[str, FindingValue] = {}
        lists: dict[str, list[str]] = {}
        heads = self.heads
        for name, value in findings.items():
            head = heads.get(name)
            if head is None or not isinstance(value, bool) or head in findings:
                result[name] = value
            else:
                lists.setdefault(head, [])
                if value:
                    lists[head].append(name.removeprefix(f"{head}-"))
        for head, names in lists.items():
            result[head] = tuple(names) or None
        return result

    @cached_property
    def heads(self) -> dict[str, str]:
        """Head of each finding that can stand in a list under it."""
        graph, found = self.world.graph, {}
        for thing, broader in in_order(graph.subject_objects(SKOS.broader)):
            if "/finding/" in thing and "/finding/" in broader and tail(thing).startswith(tail(broader) + "-"):
                found[tail(thing)] = tail(broader)
        return found


def _for_tables(claim: Claim) -> Claim:
    """The claim without what Tuva's layout, and our columns beside it, have no place for."""
    return replace(
        claim,
        payer=replace(claim.payer, responsibility=None, group_number=None),
        other_payers=(),
        patient=replace(claim.patient, sex=None, relationship=None),
        frequency=claim.frequency if claim.form == "837I" else None,
        diagnoses=tuple(d for d in claim.diagnoses if d.kind in ("principal", "other")),
        value_codes=(),
        occurrence_codes=(),
        notes=tuple(Note(text=note.text) for note in claim.notes),
        lines=tuple(replace(line, unit=None, ndc=None, ndc_units=None, diagnosis_pointers=()) for line in claim.lines),
    )


# --- Faults -----------------------------------------------------------------------------------------------------------
# One goes into a tenth of the claims. Some change nothing that a rule looks at: such are most real mistakes.


def _drop_modifier(draft: Draft) -> None:
    for line in draft.lines:
        line["modifiers"] = []


def _wrong_modifier(draft: Draft) -> None:
    draft.line()["modifiers"] = [draft.choice(_USUAL_MODIFIERS)]


def _code_of_another_day(draft: Draft) -> None:
    """An old code for a new one, or the other way round."""
    world = draft.world
    for line in draft.lines:
        swapped = world.replaced.get(line["code"]) or next(
            (n for n, o in world.replaced.items() if o == line["code"]), None
        )
        if swapped:
            line["code"] = swapped
            return
    if world.services:
        draft.line()["code"] = draft.choice(world.services[draft.choice(world.service_pool)]).text


def _miswritten_code(draft: Draft) -> None:
    line = draft.line()
    code = line["code"] or "38228"
    line["code"] = draft.choice((code[:-2] + code[-1] + code[-2], code[:-1] + "9", code[:4]))


def _no_revenue_code(draft: Draft) -> None:
    if draft.carrier == "json":
        draft.line()["revenue_code"] = None
    else:
        _wrong_revenue_code(draft)


def _wrong_revenue_code(draft: Draft) -> None:
    if not draft.context.setting.is_professional:
        draft.line()["revenue_code"] = draft.choice(("0260", "0300", "0636", "0871", "0872", "0891", "0510"))


def _wrong_diagnosis(draft: Draft) -> None:
    draft.diagnoses = [draft.choice(draft.world.unlisted), *draft.diagnoses[1:]]


def _incomplete_diagnosis(draft: Draft) -> None:
    if draft.world.headings:
        draft.diagnoses = [draft.choice(draft.world.headings), *draft.diagnoses[1:]]


def _missing_day(draft: Draft) -> None:
    draft.dated = False


def _misspelt_payer(draft: Draft) -> None:
    name = draft.payer_name
    at = 1 + int(draft.rng.random() * (len(name) - 2))
    draft.payer_name = name[:at] + name[at + 1] + name[at] + name[at + 2 :]


def _misspelt_finding(draft: Draft) -> None:
    if not draft.findings:
        draft.findings["facility-rems-enroled"] = True
        return
    name = draft.choice(list(draft.findings))
    at = 1 + int(draft.rng.random() * (len(name) - 2))
    draft.findings[name[:at] + name[at + 1 :]] = draft.findings.pop(name)


def _forgotten_finding(draft: Draft) -> None:
    if draft.findings:
        del draft.findings[draft.choice(list(draft.findings))]


def _swapped_day(draft: Draft) -> None:
    """Day and month changed places, or the lines' days among themselves."""
    if len(draft.lines) > 1:
        one, other = draft.lines[0], draft.lines[-1]
        one["day"], other["day"] = shifted(draft.day, 1), shifted(draft.day, -1)
    elif draft.day.day <= 12:
        draft.day = draft.day.replace(month=draft.day.day, day=draft.day.month)
        for line in draft.lines:
            line["day"] = draft.day


def _wrong_procedure(draft: Draft) -> None:
    codes = [option for options in draft.world.infusion.values() for option in options]
    if draft.procedures and codes:
        draft.procedures = [draft.choice(codes).text]
    elif draft.lines:
        draft.lines.append(dict(draft.lines[0]))  # or the same line twice


def _wrong_drg(draft: Draft) -> None:
    if draft.context.setting.is_stay:
        draft.drg = draft.choice(("017", "016", "841", None))
    else:
        draft.line()["units"] = draft.choice((0, 2, 10))


def _wrong_form(draft: Draft) -> None:
    draft.form = draft.choice(("837P", "CMS-1500") if not draft.context.setting.is_professional else ("837I", "UB-04"))


_FAULTS: tuple[Callable[[Draft], None], ...] = (
    _drop_modifier,
    _wrong_modifier,
    _code_of_another_day,
    _miswritten_code,
    _no_revenue_code,
    _wrong_revenue_code,
    _wrong_diagnosis,
    _incomplete_diagnosis,
    _missing_day,
    _misspelt_payer,
    _misspelt_finding,
    _forgotten_finding,
    _swapped_day,
    _wrong_procedure,
    _wrong_drg,
    _wrong_form,
)


def claims(
    count: int,
    *,
    seed: int,
    register: Register | None = None,
    carried_by: Carrier = "json",
    faults: float = 0.1,
) -> Iterator[Claim]:
    """Claims with ids of their own, always the same for a seed, a carrier and a register.

    ``carried_by`` leaves out what the format cannot hold, so that a claim written and read again is the same.
    ``faults`` is the share, 0 to 1, that gets one mistake more than its provision brings.
    """
    maker = _Maker(World(register or Register.load()), seed=seed, carried_by=carried_by, faults=faults)
    for _ in range(count):
        yield maker.make()


# --- Files ------------------------------------------------------------------------------------------------------------


def write_json_lines(claims: Iterable[Claim], file: Path) -> int:
    """Write claims as claim JSON, one on each line; give their number."""
    count = 0
    with file.open("w", encoding="utf-8", newline="\n") as out:
        for claim in claims:
            out.write(json.dumps(claim_to_json(claim), separators=(",", ":")) + "\n")
            count += 1
    return count


# --- Command line -----------------------------------------------------------------------------------------------------

_CARRIERS: Mapping[str, Carrier] = {"837": "837I", "jsonl": "json", "parquet": "tuva", "csv": "tuva"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Write made-up CAR-T claims to a file.")
    parser.add_argument("count", type=int, metavar="COUNT", help="how many claims")
    parser.add_argument("--format", choices=sorted(_CARRIERS), required=True)
    parser.add_argument("--carried-by", choices=get_args(Carrier), help="only what this can carry; 837: 837I")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=float, default=0.1, metavar="SHARE", help="share with a mistake (0.1)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    options = parser.parse_args()
    if options.count < 1 or not 0 <= options.faults <= 1:
        parser.error("COUNT is at least 1, and --faults a share from 0 to 1")
    carrier: Carrier = options.carried_by or _CARRIERS[options.format]
    if options.format == "837" and carrier not in ("837I", "837P"):
        parser.error("an 837 carries 837I or 837P claims")
    file: Path = options.output
    made = claims(options.count, seed=options.seed, carried_by=carrier, faults=options.faults)
    if options.format == "837":
        written = write_837(made, file)
    elif options.format == "jsonl":
        written = write_json_lines(made, file)
    else:
        if file.suffix != f".{options.format}":
            parser.error(f"a table's file name ends in .{options.format}")
        from chartulary.readers.tables import write_table

        write_table(made, file)
        written = options.count
    size = file.stat().st_size / 1e6
    print(f"{file}: {written:,} claims ({carrier}, seed {options.seed}), {size:,.1f} MB")


if __name__ == "__main__":
    main()

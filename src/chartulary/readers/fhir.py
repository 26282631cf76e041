"""Read FHIR R4 Claims, alone or in Bundles (Da Vinci PAS requests too), into :class:`~chartulary.claim.Claim`.

The mapping is our own, over plain parsed JSON: what it does not use it skips, what it cannot read costs only that
field and one Problem. Nothing is ever fetched; references are resolved inside the file, one step at a time.
"""

from __future__ import annotations

import calendar
import re
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Context, Decimal
from typing import Any, NamedTuple, TypeAlias

from chartulary.claim import (
    Attachment,
    Claim,
    Diagnosis,
    Line,
    Note,
    OccurrenceCode,
    Patient,
    Payer,
    Procedure,
    Request,
    ValueCode,
)
from chartulary.errors import Problem

_Json: TypeAlias = dict[str, Any]
_Index: TypeAlias = MutableMapping[str, _Json]
_Days: TypeAlias = tuple[date | None, date | None]

_MAX_BUNDLE_DEPTH = 5
_MAX_LISTED = 8

_REQUIRED = ("status", "type", "use", "patient", "created", "provider", "priority", "insurance")
_REQUIRED_WITHIN = {
    "supportingInfo": ("sequence", "category"),
    "diagnosis": ("sequence",),
    "procedure": ("sequence",),
    "insurance": ("sequence", "focal", "coverage"),
    "item": ("sequence", "productOrService"),
}
_STATUSES = ("active", "cancelled", "draft", "entered-in-error")
_REQUESTS: dict[str, Request] = {
    "claim": "claim",
    "preauthorization": "prior-authorization",
    "predetermination": "prior-authorization",
}
_RESPONSIBILITY = "PSTABCDEFGH"  # 837 SBR01 for the first payer, the second, …
_SEXES = {"male": "M", "female": "F", "other": "U", "unknown": "U"}

# Code systems go by several URIs each (with and without https, as OID), so they are told by pattern.
_HCPCS = re.compile(r"ama-assn\.org/go/cpt|hcpcs|\.113883\.6\.(12|14|285)$", re.I)
_NDC = re.compile(r"/ndc$|\.113883\.6\.69$", re.I)
_ICD_10_CM = re.compile(r"icd-?10-?cm|\.113883\.6\.90$", re.I)
_ICD_10_PCS = re.compile(r"icd-?10-?pcs|/Coding/ICD10$|\.113883\.6\.4$", re.I)
_MS_DRG = re.compile(r"ms-?drg|diagnosis-?related-?group|\.113883\.6\.301$", re.I)
_NUBC_REVENUE = re.compile(r"nubc\.org.*revenue", re.I)
_PLACE_OF_SERVICE = re.compile(r"place[-_]of[-_]service", re.I)
_X12_RELATIONSHIP = re.compile(r"x12.*/1069$", re.I)
_X12_FILING_INDICATOR = re.compile(r"x12.*/1032$", re.I)
_X12_REPORT_TYPE = re.compile(r"x12.*/755$", re.I)
_NPI = re.compile(r"us-npi|\.113883\.4\.6$", re.I)

_DIAGNOSIS_KINDS = {
    code: kind
    for kind, codes in {
        "principal": "principal bk abk",
        "admitting": "admitting bj abj",
        "external-cause": "externalcauseofinjury externalcause bn abn",
        "reason-for-visit": "patientreasonforvisit pr apr",
    }.items()
    for code in codes.split()
}  # FHIR, CARIN and X12 codes
_PRINCIPAL_PROCEDURE = {"primary", "principal", "br", "bbr"}

# Only these categories of supportingInfo may become notes or attachments: others hold record and account numbers.
_FREE_TEXT = {"info", "other", "exception", "attachment", "additionalinformation", "freeformmessage"}
_ADMISSION = {"admissiondates", "admissionperiod", "hospitalized"}
_DISCHARGE = {"dischargedates", "discharge"}

_NUBC_KINDS = ("conditioncode", "valuecode", "occurrencespan", "occurrencecode", "typeofbill")

_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:T[0-9:.]+(?:Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?")
_EXACT = Context(prec=120)


def read_fhir(document: object, *, source: str) -> Iterator[Claim | Problem]:
    """Give each Claim of a parsed FHIR document, and a Problem for whatever could not be read.

    ``document`` comes from :func:`json.loads` with ``parse_float=Decimal``. Any JSON value is accepted.
    """
    yield from _read(document, source, "", ChainMap(), "", 0)


def _read(
    resource: object, source: str, place: str, index: ChainMap[str, _Json], full_url: str, depth: int
) -> Iterator[Claim | Problem]:
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    if not isinstance(resource, dict):
        yield Problem(source, place, f"{_kind(resource)} is not a FHIR resource")
    elif not isinstance(kind, str) or not kind:
        yield Problem(source, place, "not a FHIR resource, because it has no resourceType")
    elif kind == "Claim":
        yield from _ClaimReader(resource, source, place, index, full_url).read()
    elif kind == "Bundle":
        yield from _read_bundle(resource, source, place, index, depth)
    else:
        yield Problem(source, place, f"{_shown(kind)} is not a Claim; only Claims and Bundles of them are read")


def _read_bundle(
    bundle: _Json, source: str, place: str, index: ChainMap[str, _Json], depth: int
) -> Iterator[Claim | Problem]:
    name = bundle.get("id")
    if isinstance(name, str) and name:
        place = f"Bundle/{_shown(name)}"
    place = place or "Bundle"
    if depth >= _MAX_BUNDLE_DEPTH:
        yield Problem(source, place, f"Bundles inside each other are read only {_MAX_BUNDLE_DEPTH} deep")
        return
    problems: dict[Problem, None] = {}
    entries = []
    for node in _Node(bundle, place, _collector(source, problems)).nodes("entry"):
        if resource := node.node("resource"):
            entries.append((resource, node.text("fullUrl") or "", resource.data.get("resourceType")))
    yield from problems
    index = index.new_child()
    for node, full_url, kind in entries:
        name = node.data.get("id")
        if full_url:
            index.maps[0].setdefault(full_url, node.data)
        if isinstance(kind, str) and isinstance(name, str):
            index.maps[0].setdefault(f"{kind}/{name}", node.data)
    kinds = {kind for _, _, kind in entries if isinstance(kind, str)}
    if not kinds & {"Claim", "Bundle"}:
        held = ", ".join(sorted(map(_shown, kinds))[:_MAX_LISTED])
        yield Problem(
            source,
            place,
            f"this Bundle holds no Claim, only {held}" if held else "this Bundle is empty: no Claim to read",
        )
    for node, full_url, kind in entries:
        if kind in ("Claim", "Bundle"):
            yield from _read(node.data, source, node.place, index, full_url, depth + 1)


def _collector(source: str, problems: dict[Problem, None]) -> Callable[[str, str], None]:
    # A dict, as an ordered set: a Coverage used twice is faulty only once.
    def report(place: str, message: str) -> None:
        problems[Problem(source, place, message)] = None

    return report


class _Coding(NamedTuple):
    system: str
    code: str


def _pick(codings: list[_Coding], *systems: re.Pattern[str]) -> _Coding | None:
    """The first coding of the system wanted most, or else simply the first."""
    for system in systems:
        for coding in codings:
            if system.search(coding.system):
                return coding
    return codings[0] if codings else None


def _code(codings: list[_Coding], *systems: re.Pattern[str]) -> str | None:
    coding = _pick(codings, *systems)
    return coding.code if coding else None


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    names = {str: "text", list: "a list", dict: "an object", type(None): "null"}
    return names.get(type(value), "a number")


def _shown(text: str) -> str:
    """A code or date as a message may quote it: one short line."""
    return "".join(char if char.isprintable() else "?" for char in text[:64])


def _plain(text: str) -> str:
    return re.sub("[^a-z]", "", text.lower())


def _padded(code: str, width: int) -> str:
    return code.zfill(width) if code.isascii() and code.isdigit() else code


def _interval(text: str) -> tuple[date, date] | None:
    """First and last day of a FHIR date, which may be a whole month or year."""
    match = _DATE.fullmatch(text)
    if not match:
        return None
    year, month, day = match.groups()
    try:
        first = date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        return None
    if day:
        return first, first
    last_month = first.month if month else 12
    return first, date(first.year, last_month, calendar.monthrange(first.year, last_month)[1])


class _Node:
    """A JSON object with its place; its methods read one field each and report one of the wrong shape."""

    __slots__ = ("data", "place", "report")

    def __init__(self, data: _Json, place: str, report: Callable[[str, str], None]) -> None:
        self.data, self.place, self.report = data, place, report

    def at(self, key: str) -> str:
        return f"{self.place}{'.' if ' ' in self.place else ' '}{key}"

    def fault(self, key: str, message: str) -> None:
        self.report(self.at(key), message)

    def get(self, key: str) -> Any:
        value = self.data.get(key)
        return None if isinstance(value, str | list | dict) and not value else value

    def lacks(self, key: str) -> bool:
        return self.get(key) is None and self.get(f"_{key}") is None  # _created: says why created is absent

    def text(self, key: str) -> str | None:
        value = self.get(key)
        if value is not None and not isinstance(value, str):
            self.fault(key, f"must be text, not {_kind(value)}")
            return None
        return value.encode("utf-8", "replace").decode().strip() or None if value else None

    def flag(self, key: str) -> bool | None:
        value = self.get(key)
        if value is not None and not isinstance(value, bool):
            self.fault(key, f"must be true or false, not {_kind(value)}")
            return None
        return value

    def node(self, key: str) -> _Node | None:
        value = self.get(key)
        if value is not None and not isinstance(value, dict):
            self.fault(key, f"must be an object, not {_kind(value)}")
            return None
        return _Node(value, self.at(key), self.report) if value else None

    def listed(self, key: str) -> _Node:
        """The elements of a list, named ``key[0]``, ``key[1]``, … so that each is read like a field."""
        value = self.get(key)
        if value is not None and not isinstance(value, list):
            self.fault(key, f"must be a list, not {_kind(value)}")
            value = None
        return _Node({f"{key}[{i}]": one for i, one in enumerate(value or [])}, self.place, self.report)

    def nodes(self, key: str) -> list[_Node]:
        listed = self.listed(key)
        return [node for name in listed.data if (node := listed.node(name))]

    def whole(self, key: str) -> int | None:
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
            self.fault(key, "must be a whole number, 1 or more")
            return None
        return value

    def number(self, key: str) -> Decimal | None:
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            self.fault(key, f"must be a number, not {_kind(value)}")
            return None
        if isinstance(value, int) and value.bit_length() > 64:
            value = Decimal("Infinity")
        number = value if isinstance(value, Decimal) else Decimal(repr(value))
        exponent = number.as_tuple().exponent
        # The bounds keep products exact and printing short; no claim comes near them.
        if not isinstance(exponent, int) or exponent < -18 or not -18 <= number.adjusted() <= 18:
            self.fault(key, "is not a number of a size that can be used")
            return None
        return number

    def amount(self, key: str) -> Decimal | None:
        """The ``value`` of a Money or Quantity."""
        node = self.node(key)
        return node.number("value") if node else None

    def interval(self, key: str, *, quote: bool = True) -> _Days:
        text = self.text(key)
        if text is None:
            return None, None
        days = _interval(text)
        if days is None:
            datelike = quote and re.fullmatch(r"[0-9][0-9TZ:.+/ -]{0,34}", text)
            self.fault(key, f"{text if datelike else 'this'} is not a date")
        return days or (None, None)

    def day(self, key: str, *, quote: bool = True) -> date | None:
        first, last = self.interval(key, quote=quote)
        if first != last:
            self.fault(key, "names a month or year where one day is needed")
            return None
        return first

    def period(self, key: str) -> _Days:
        node = self.node(key)
        if not node:
            return None, None
        first, last = node.interval("start")[0], node.interval("end")[1]
        if first and last and last < first:
            self.fault(key, "ends before it starts")
            return None, None
        return first, last

    def when(self, stem: str) -> _Days:
        """A choice of ``…Date`` or ``…Period``: its first and last day, the same where only one is told."""
        first, last = self.interval(f"{stem}Date")
        if not first:
            first, last = self.period(f"{stem}Period")
        return first or last, last or first

    def codings(self) -> list[_Coding]:
        """The codings of this CodeableConcept that carry a code."""
        found = [(one.text("system"), one.text("code")) for one in self.nodes("coding")]
        return [_Coding(system or "", code) for system, code in found if code]

    def concept(self, key: str) -> list[_Coding]:
        node = self.node(key)
        return node.codings() if node else []

    def concepts(self, key: str) -> list[_Coding]:
        return [coding for node in self.nodes(key) for coding in node.codings()]


@dataclass(slots=True)
class _Supporting:
    """What the claim's ``supportingInfo`` came to."""

    admission: date | None = None
    discharge: date | None = None
    event: _Days = (None, None)
    bill_type: str | None = None
    drg: str | None = None
    conditions: list[str] = field(default_factory=list)
    values: list[ValueCode] = field(default_factory=list)
    occurrences: list[OccurrenceCode] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    by_sequence: dict[int, list[Note | Attachment]] = field(default_factory=dict)


class _ClaimReader:
    def __init__(self, resource: _Json, source: str, place: str, index: ChainMap[str, _Json], full_url: str) -> None:
        self.source = source
        self.problems: dict[Problem, None] = {}
        self.report = _collector(source, self.problems)
        name = resource.get("id")
        if isinstance(name, str) and name:
            place = f"Claim/{_shown(name)}"
        self.root = _Node(resource, place or "Claim", self.report)
        self.index: _Index = index.new_child(_contained(resource))
        # Relative references are meant relative to the server that the claim came from.
        self.base = full_url[: full_url.rfind("Claim/")] if "Claim/" in full_url else ""

    def read(self) -> Iterator[Claim | Problem]:
        """The claim's problems, then the claim."""
        missing = self.missing()
        status = self.root.text("status")
        if status and status not in _STATUSES:
            self.root.fault("status", f"{_shown(status)} is not a status that FHIR knows")
        claim = self.claim()
        if status == "entered-in-error":
            self.root.fault("status", "entered-in-error, so this claim is left out")
        elif missing and claim.id == self.root.place and not claim.lines:
            self.report(self.root.place, "left out, because it has no id, no identifier and no item")
        else:
            yield from self.problems
            yield claim
            return
        yield from self.problems

    def missing(self) -> list[str]:
        root = self.root
        missing = [key for key in _REQUIRED if root.lacks(key)]
        for outer, keys in _REQUIRED_WITHIN.items():
            for node in root.nodes(outer):
                missing += [self.within(node.at(key)) for key in keys if node.lacks(key)]
        if missing:
            more = f" and {len(missing) - _MAX_LISTED} more" if len(missing) > _MAX_LISTED else ""
            self.report(root.place, f"lacks what FHIR R4 requires: {', '.join(missing[:_MAX_LISTED])}{more}")
        return missing

    def within(self, place: str) -> str:
        return place[len(self.root.at("")) :]

    def resolve(self, reference: _Node | None, index: _Index, *kinds: str) -> _Node | None:
        """The resource that a Reference names, if this file holds it and it is of one of these kinds (or any)."""
        name = reference.text("reference") if reference else None
        if not reference or not name:
            return None
        name = name.split("/_history/")[0]
        for key in (self.base + name, name, "/".join(name.split("/")[-2:])):
            found = index.get(key)
            if found is not None and (not kinds or found.get("resourceType") in kinds):
                place = reference.place if name.startswith("#") else _shown(name)
                return _Node(found, place, self.report)
        return None

    def claim(self) -> Claim:
        root = self.root
        for key in ("provider", "priority"):
            root.node(key)  # not used, but a wrong shape is worth telling
        use = root.text("use")
        if use and use not in _REQUESTS:
            root.fault("use", f"{_shown(use)} is not a use of a Claim that FHIR knows")
        kinds = {coding.code for coding in root.concept("type")}
        sub_types = root.concept("subType")
        info = self.supporting()
        diagnoses, positions = self.diagnoses()
        lines = self.lines(positions, info)
        payer, others, authorization = self.insurance()
        first, last = root.period("billablePeriod")
        bill_type = info.bill_type or next((c.code for c in sub_types if "typeofbill" in _plain(c.system)), None)
        bill_type = _padded(bill_type, 4) if bill_type else None
        drgs = [_drg(codings) for node in root.nodes("diagnosis") if (codings := node.concept("packageCode"))]
        return Claim(
            id=next(filter(None, (one.text("value") for one in root.nodes("identifier"))), None)
            or root.text("id")
            or root.place,
            source=self.source,
            where=root.place,
            request=_REQUESTS.get(use or "", "claim"),
            form="837I" if "institutional" in kinds else "837P" if "professional" in kinds else None,
            payer=payer,
            other_payers=others,
            setting=self.setting(sub_types),
            bill_type=bill_type,
            frequency=bill_type[3] if bill_type and len(bill_type) == 4 else None,
            patient=self.patient(),
            statement_from=first or (None if last else info.event[0]),
            statement_through=last or (None if first else info.event[1]),
            admission=info.admission,
            discharge=info.discharge,
            submitted=root.day("created"),
            total_charge=root.amount("total"),
            drg=info.drg or next(filter(None, drgs), None),
            diagnoses=diagnoses,
            procedures=self.procedures(lines),
            condition_codes=tuple(info.conditions),
            value_codes=tuple(info.values),
            occurrence_codes=tuple(info.occurrences),
            notes=tuple(info.notes),
            prior_authorization=authorization,
            attachments=tuple(info.attachments),
            lines=lines,
        )

    def setting(self, sub_types: list[_Coding]) -> str | None:
        for coding in sub_types:
            if coding.code in ("inpatient", "outpatient"):  # CARIN institutional subtypes
                return coding.code
        references = [node for item in self.root.nodes("item") for node in item.nodes("encounter")]
        for extension in self.root.nodes("extension"):
            if extension.get("url") == "http://hl7.org/fhir/5.0/StructureDefinition/extension-Claim.encounter":
                references += filter(None, [extension.node("valueReference")])
        for reference in references:
            # Only inpatient classes are believed: planned stays are often sent as ambulatory.
            encounter = self.resolve(reference, self.index, "Encounter")
            kind = encounter.node("class") if encounter else None
            if kind and kind.text("code") in ("IMP", "ACUTE", "NONACUTE"):
                return "inpatient"
        return None

    def patient(self) -> Patient:
        node = self.resolve(self.root.node("patient"), self.index, "Patient")
        coverage, _ = self.coverage(self.focal())
        relationship = coverage.concept("relationship") if coverage else []
        code = _code(relationship, _X12_RELATIONSHIP)
        gender = node.text("gender") if node else None
        if node and gender and gender not in _SEXES:
            node.fault("gender", f"{_shown(gender)} is not a gender that FHIR knows")
        return Patient(
            birth_date=node.day("birthDate", quote=False) if node else None,
            sex=_SEXES.get(gender or ""),
            relationship="18" if code == "self" else code,
        )

    # Payers

    def focal(self) -> _Node | None:
        """The insurance that this claim is addressed to: the focal one, or the first."""
        insurance = self.root.nodes("insurance")
        return next((one for one in insurance if one.flag("focal")), insurance[0] if insurance else None)

    def coverage(self, insurance: _Node | None) -> tuple[_Node | None, _Index]:
        """The Coverage, and where its own references are looked up."""
        coverage = self.resolve(insurance.node("coverage"), self.index, "Coverage") if insurance else None
        if not coverage:
            return None, self.index
        return coverage, ChainMap(_contained(coverage.data), self.index)

    def insurance(self) -> tuple[Payer, tuple[Payer, ...], str | None]:
        insurance, focal = self.root.nodes("insurance"), self.focal()
        payers = [(one, self.payer(one)) for one in insurance]
        insurer = self.organization(self.root.node("insurer"), self.index)
        mine = next((payer for one, payer in payers if focal and one.data is focal.data), Payer())
        if any(insurer):
            mine = replace(mine, name=insurer[0], id=insurer[1])
        others = tuple(payer for one, payer in payers if focal and one.data is not focal.data)
        numbers = focal.listed("preAuthRef") if focal else None
        texts = (numbers.text(name) for name in numbers.data) if numbers else ()
        return mine, others, next(filter(None, texts), None)

    def payer(self, insurance: _Node) -> Payer:
        number = insurance.whole("sequence") or 0
        responsibility = _RESPONSIBILITY[number - 1] if 0 < number <= len(_RESPONSIBILITY) else None
        coverage, index = self.coverage(insurance)
        reference = insurance.node("coverage")
        if not coverage:
            return Payer(name=reference.text("display") if reference else None, responsibility=responsibility)
        names = (self.organization(one, index) for one in coverage.nodes("payor"))
        name, identifier = next(filter(any, names), (None, None))
        kind = _pick(coverage.concept("type"), _X12_FILING_INDICATOR)
        groups = [
            one.text("value")
            for one in coverage.nodes("class")
            if any(coding.code == "group" for coding in one.concept("type"))
        ]
        return Payer(
            name=name,
            id=identifier,
            filing_indicator=kind.code if kind and _X12_FILING_INDICATOR.search(kind.system) else None,
            responsibility=responsibility,
            member_id=coverage.text("subscriberId"),
            group_number=next(filter(None, groups), None),
        )

    def organization(self, reference: _Node | None, index: _Index) -> tuple[str | None, str | None]:
        """Name and identifier of the organisation that a Reference names; a person (self-pay) has neither here."""
        person = ("Patient", "RelatedPerson")
        if not reference or reference.get("type") in person or self.resolve(reference, index, *person):
            return None, None
        if (reference.text("reference") or "").split("/")[-2:-1] in (["Patient"], ["RelatedPerson"]):
            return None, None
        identifiers = list(filter(None, [reference.node("identifier")]))
        name = reference.text("display")
        resource = self.resolve(reference, index, "Organization")
        if resource:
            name = resource.text("name") or name
            identifiers += resource.nodes("identifier")
        valued = [_Coding(one.text("system") or "", value) for one in identifiers if (value := one.text("value"))]
        return name, _code([one for one in valued if not _NPI.search(one.system)] or valued)

    # What the claim as a whole says

    def referenced(self, node: _Node, stem: str, kind: str) -> tuple[list[_Coding], _Node | None]:
        """Codes given in place, or by a Condition or Procedure in the same file."""
        if node.lacks(f"{stem}Reference"):
            return node.concept(f"{stem}CodeableConcept"), None
        target = self.resolve(node.node(f"{stem}Reference"), self.index, kind)
        if not target:
            node.fault(f"{stem}Reference", f"names a {kind} that this file does not hold, so its code is unknown")
            return [], None
        return target.concept("code"), target

    def diagnoses(self) -> tuple[tuple[Diagnosis, ...], dict[int, int]]:
        """The diagnoses, and the position of each sequence number among them (0 where it had no code)."""
        found: list[Diagnosis] = []
        positions: dict[int, int] = {}
        for node in self.root.nodes("diagnosis"):
            coding = _pick(self.referenced(node, "diagnosis", "Condition")[0], _ICD_10_CM)
            types = [_DIAGNOSIS_KINDS.get(one.code.lower()) for one in node.concepts("type")]
            on_admission = _code(node.concept("onAdmission"))
            if coding:
                code = coding.code
                if _ICD_10_CM.search(coding.system) and "." not in code and len(code) > 3:
                    code = f"{code[:3]}.{code[3:]}"
                found.append(
                    Diagnosis(
                        code=code,
                        kind=next(filter(None, types), "other"),
                        present_on_admission=on_admission.upper() if on_admission else None,
                        system=coding.system or None,
                    )
                )
            if number := node.whole("sequence"):
                positions.setdefault(number, len(found) if coding else 0)
        return tuple(found), positions

    def procedures(self, lines: tuple[Line, ...]) -> tuple[Procedure, ...]:
        """The claim's procedures, and those that prior-authorisation requests ask for as items."""
        found = []
        for node in self.root.nodes("procedure"):
            codings, target = self.referenced(node, "procedure", "Procedure")
            coding = _pick(codings, _ICD_10_PCS)
            day = node.day("date") or (target.day("performedDateTime") if target else None)
            principal = any(one.code.lower() in _PRINCIPAL_PROCEDURE for one in node.concepts("type"))
            if coding:
                kind = "principal" if principal else "other"
                found.append(Procedure(code=coding.code, date=day, kind=kind, system=coding.system or None))
        for line in lines:
            if line.code and line.code_system and _ICD_10_PCS.search(line.code_system):
                found.append(Procedure(code=line.code, date=line.first_day, system=line.code_system))
        return tuple(found)

    def supporting(self) -> _Supporting:
        found = _Supporting()
        for node in self.root.nodes("supportingInfo"):
            categories, codings = node.concept("category"), node.concept("code")
            names = {_plain(one.code) for one in categories}
            kinds = names | {_plain(one.system) for one in codings}
            first, last = node.when("timing")
            # NUBC codes are told by category or by code system; a text code may come with codes of other systems.
            word = next((word for word in _NUBC_KINDS if any(word in kind for kind in kinds)), "")
            code = _code([one for one in codings if word in _plain(one.system)] or codings) if word else None
            if word == "conditioncode" and code:
                found.conditions.append(code)
            elif word == "valuecode" and code:
                found.values.append(ValueCode(code=code, amount=node.amount("valueQuantity")))
            elif word in ("occurrencecode", "occurrencespan") and code:
                span = last if word == "occurrencespan" or last != first else None
                found.occurrences.append(OccurrenceCode(code=code, first_day=first, last_day=span))
            elif word == "typeofbill":
                found.bill_type = found.bill_type or code
            elif "drg" in names or any(_MS_DRG.search(one.system) for one in codings):
                found.drg = found.drg or _drg(codings)
            elif names & _ADMISSION:
                # A single day says when the stay began, not that it ended then.
                start, end = node.period("timingPeriod")
                found.admission, found.discharge = start or node.day("timingDate"), found.discharge or end
            elif names & _DISCHARGE:
                found.discharge = node.day("timingDate") or last or found.discharge
            elif "patientevent" in names:
                found.event = first, last
            elif names & _FREE_TEXT:
                self.evidence(node, _code(categories), codings, first, found)
        return found

    def evidence(
        self, node: _Node, qualifier: str | None, codings: list[_Coding], day: date | None, found: _Supporting
    ) -> None:
        """Text becomes a note; a file, a reference to one, or the category ``attachment`` an attachment."""
        added: list[Note | Attachment] = []
        if text := node.text("valueString"):
            added.append(Note(text=text, location=self.within(node.place), qualifier=qualifier))
        value, reference = node.node("valueAttachment"), node.node("valueReference")
        if value or reference or (qualifier == "attachment" and not added):
            target = self.resolve(reference, self.index)
            named = re.match(r"(?:.*/)?([A-Z][A-Za-z]+)/", (reference.text("reference") if reference else None) or "")
            kind = target.text("resourceType") if target else named.group(1) if named else None
            if target and kind == "DocumentReference":
                codings = codings or target.concept("type")
                day = target.day("date") or day
            words, identifier = node.node("code"), reference.node("identifier") if reference else None
            attachment = Attachment(
                kind=_code(codings, _X12_REPORT_TYPE) or (words.text("text") if words else None) or kind,
                control_number=identifier.text("value") if identifier else None,
                date=(value.day("creation") if value else None) or day,
            )
            added.append(attachment)
        found.notes += [one for one in added if isinstance(one, Note)]
        found.attachments += [one for one in added if isinstance(one, Attachment)]
        if number := node.whole("sequence"):
            found.by_sequence.setdefault(number, added)

    # Lines

    def lines(self, positions: dict[int, int], info: _Supporting) -> tuple[Line, ...]:
        """One line per item, then one per detail that carries a code of its own (see :meth:`details`)."""
        numbered: list[tuple[_Node, int | None]] = []
        taken: set[int] = set()
        for node in self.root.nodes("item"):
            number = node.whole("sequence")
            if number in taken:
                node.fault("sequence", f"{number} is the sequence of an earlier item too")
                number = None
            elif number:
                taken.add(number)
            numbered.append((node, number))
        free = max(taken, default=0)
        found: list[Line] = []
        nested: list[Line] = []
        for node, number in numbered:
            if any(_cancels(one) for one in node.nodes("modifierExtension")):
                continue
            if not number:
                number = free = free + 1
            first, last = node.when("serviced")
            told = node.listed("informationSequence")
            evidence = [one for name in told.data for one in info.by_sequence.get(told.whole(name) or 0, [])]
            line = replace(
                self.line(node, number),
                first_day=first,
                last_day=last,
                place_of_service=_code(node.concept("locationCodeableConcept"), _PLACE_OF_SERVICE),
                diagnosis_pointers=self.pointers(node, positions),
                notes=tuple(one for one in evidence if isinstance(one, Note)),
                attachments=tuple(one for one in evidence if isinstance(one, Attachment)),
            )
            line, more = self.details(node, line)
            found.append(line)
            nested += more
        return (*found, *(replace(line, number=free + i) for i, line in enumerate(nested, 1)))

    def pointers(self, item: _Node, positions: dict[int, int]) -> tuple[int, ...]:
        listed = item.listed("diagnosisSequence")
        numbers = {name: number for name in listed.data if (number := listed.whole(name))}
        for name, number in numbers.items():
            if number not in positions:
                listed.fault(name, f"no diagnosis has the sequence {number}")
        return tuple(position for number in numbers.values() if (position := positions.get(number)))

    def details(self, item: _Node, line: Line) -> tuple[Line, list[Line]]:
        """The item's line and those of its details, which share its days, place, diagnoses and notes.

        A detail that is only an NDC says which drug the item was (as 837 loop 2410 does) and goes into its line; one
        that repeats the item's code breaks its price down and is left out. Charges add up to the total only over
        items, because an item's net includes its details.
        """
        more: list[Line] = []
        for detail in item.nodes("detail"):
            for node in (detail, *detail.nodes("subDetail")):
                own = self.line(node, line.number)
                if own.ndc and not own.code and not line.ndc:
                    line = replace(line, ndc=own.ndc, ndc_units=own.ndc_units)
                elif (own.code or own.ndc) and not (own.code == line.code and {*own.modifiers} <= {*line.modifiers}):
                    more.append(own)
        names = ("first_day", "last_day", "place_of_service", "diagnosis_pointers", "notes", "attachments")
        shared: dict[str, Any] = {name: getattr(line, name) for name in names}
        return line, [replace(one, revenue_code=one.revenue_code or line.revenue_code, **shared) for one in more]

    def line(self, node: _Node, number: int) -> Line:
        """What an item and a detail have in common."""
        product = node.node("productOrService")
        codings = product.codings() if product else []
        coding = _pick([one for one in codings if not _NDC.search(one.system)], _HCPCS)
        ndc = next((one.code for one in codings if _NDC.search(one.system)), None)
        quantity = node.node("quantity")
        units = quantity.number("value") if quantity else None
        revenue = _code(node.concept("revenue"), _NUBC_REVENUE)
        return Line(
            number=number,
            code=coding.code if coding else None,
            code_system=(coding.system or None) if coding else None,
            modifiers=tuple(filter(None, (_code(one.codings(), _HCPCS) for one in node.nodes("modifier")))),
            revenue_code=_padded(revenue, 4) if revenue else None,
            description=product.text("text") if product else None,
            units=units,
            unit=(quantity.text("code") or quantity.text("unit")) if quantity else None,
            charge=self.charge(node, units),
            ndc=ndc,
            ndc_units=units if ndc and not coding else None,
        )

    def charge(self, node: _Node, units: Decimal | None) -> Decimal | None:
        """``net``, or what FHIR says that it is: quantity × unit price × factor, exactly."""
        net, charge = node.amount("net"), node.amount("unitPrice")
        if net is not None or charge is None:
            return net
        for key, part in (("quantity", units), ("factor", node.number("factor"))):
            if part is not None:
                charge = _EXACT.multiply(charge, part)
            elif node.get(key) is not None:
                return None  # it was given but could not be read
        return charge


def _contained(resource: _Json) -> _Json:
    contained = resource.get("contained")
    listed: Iterable[object] = contained if isinstance(contained, list) else ()
    return {f"#{one['id']}": one for one in listed if isinstance(one, dict) and isinstance(one.get("id"), str)}


def _drg(codings: list[_Coding]) -> str | None:
    """Three digits of an MS-DRG; other groupers' numbers mean something else."""
    for coding in codings:
        if (_MS_DRG.search(coding.system) or not coding.system) and len(coding.code) <= 3:
            return _padded(coding.code, 3)
    return None


def _cancels(extension: _Node) -> bool:
    # A modifier extension changes what it stands on: Da Vinci PAS marks items withdrawn from a request with it.
    url = extension.get("url")
    return isinstance(url, str) and url.endswith("/extension-itemCancelled") and extension.get("valueBoolean") is True

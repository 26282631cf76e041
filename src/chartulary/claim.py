"""A claim as every reader gives it: plain, frozen, and free of any payer's rules.

Codes are kept as text exactly as sent (``0636`` keeps its zero), money as ``Decimal``, days as ``date``.
Field names follow FHIR R4 and the UB-04/CMS-1500 forms. Nothing here names a person: subscriber and patient
are identified only so far as rules need it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal, TypeAlias

Request: TypeAlias = Literal["claim", "prior-authorization"]
FindingValue: TypeAlias = bool | str | tuple[str, ...] | None
"""True or False: documented as so or not so. Text: one of several (``"peripheral vein"``), a product, an ISO 8601 day,
or a decimal number in the unit that the finding's name says. Texts: these and no others. None: known to be none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """Who is asked to pay, as the claim names them; ``policies/payers.ttl`` says who that is."""

    name: str | None = None
    id: str | None = None
    """Payer identifier as sent (837 NM109 of loop 2010BB or 2330B; FHIR insurer identifier)."""
    filing_indicator: str | None = None
    """837 SBR09 claim filing indicator code, such as ``MB``."""
    responsibility: str | None = None
    """837 SBR01 payer responsibility sequence: ``P`` primary, ``S`` secondary, ``T`` tertiary, …"""
    member_id: str | None = None
    group_number: str | None = None
    paid: Decimal | None = None
    """What another payer already paid (837 AMT*D in loop 2320)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Whom the claim is for, as far as rules ask."""

    birth_date: date | None = None
    age: int | None = None
    """Age in whole years on the date of service, where it is stated instead of a birth date."""
    sex: str | None = None
    relationship: str | None = None
    """Relationship to the subscriber as sent (837 PAT01 or SBR02; ``18`` is self)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """A diagnosis on the claim as a whole."""

    code: str
    """ICD-10-CM code with its dot (``C83.31``)."""
    kind: str = "other"
    """principal, admitting, other, external-cause or reason-for-visit."""
    present_on_admission: str | None = None
    system: str | None = None
    """Code system as sent (837 qualifier such as ``ABK``, or a FHIR system URI); None means ICD-10-CM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """An ICD-10-PCS procedure on the claim as a whole."""

    code: str
    date: date | None = None
    kind: str = "other"
    """principal or other."""
    system: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueCode:
    """A UB-04 value code with its amount."""

    code: str
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OccurrenceCode:
    """A UB-04 occurrence code, or occurrence span."""

    code: str
    first_day: date | None = None
    last_day: date | None = None
    """Set for occurrence spans; None for a single day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Free text on the claim or a line: an 837 NTE segment, or a paper form's remarks."""

    text: str
    location: str | None = None
    """Where it stands: ``NTE02``, ``FL80`` (UB-04 remarks), …"""
    qualifier: str | None = None
    """837 NTE01, such as ``ADD``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A paper or electronic attachment that the claim announces."""

    kind: str | None = None
    """Report type code (837 PWK01) or words."""
    transmission: str | None = None
    control_number: str | None = None
    date: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document that exists for the patient or the request: a serology, a letter, a verification."""

    kind: str
    date: date | None = None
    result: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to the claim or the patient: submission, denial, an earlier therapy."""

    kind: str
    date: date | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A service line."""

    number: int
    code: str | None = None
    """HCPCS level I (CPT) or II code."""
    code_system: str | None = None
    """Code system as sent (837 SV101-1/SV202-1 such as ``HC``, or a FHIR system URI); None means HCPCS."""
    modifiers: tuple[str, ...] = ()
    revenue_code: str | None = None
    """Four digits, as on the UB-04 (``0874``)."""
    description: str | None = None
    first_day: date | None = None
    last_day: date | None = None
    """Same as ``first_day`` unless the line covers a range of days."""
    units: Decimal | None = None
    unit: str | None = None
    """Basis of measurement (``UN`` units, ``MJ`` minutes, ``DA`` days)."""
    charge: Decimal | None = None
    place_of_service: str | None = None
    ndc: str | None = None
    """National drug code as sent (11 digits, no hyphens in 837)."""
    ndc_units: Decimal | None = None
    diagnosis_pointers: tuple[int, ...] = ()
    notes: tuple[Note, ...] = ()
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim, or a request for prior authorisation."""

    id: str
    """Patient control number (837 CLM01), or the identifier that the sender gave."""
    source: str
    """File that it came from."""
    where: str = ""
    """Place in the file: ``segment 22``, ``Claim/100150``; may be empty."""
    request: Request = "claim"
    form: str | None = None
    """``837I``, ``837P``, ``UB-04``, ``CMS-1500``, or None where the input doesn't say."""
    payer: Payer = field(default_factory=Payer)
    """The payer this claim is addressed to (837 loop 2010BB), kept apart from the others."""
    other_payers: tuple[Payer, ...] = ()
    line_of_business: str | None = None
    """Only where the input names it; otherwise it is worked out from payer, filing indicator and setting."""
    setting: str | None = None
    """By a name in the register such as ``inpatient``, only where the input names it (see ``bill_type``)."""
    bill_type: str | None = None
    """Type of bill with its leading zero and frequency (``0131``): 837I CLM05-1 and CLM05-3."""
    place_of_service: str | None = None
    """837P CLM05-1."""
    frequency: str | None = None
    """837 CLM05-3: 1 original, 7 replacement, 8 void."""
    patient: Patient = field(default_factory=Patient)
    date_of_service: date | None = None
    """Only where the input gives one day for the whole claim."""
    statement_from: date | None = None
    statement_through: date | None = None
    admission: date | None = None
    discharge: date | None = None
    submitted: date | None = None
    total_charge: Decimal | None = None
    drg: str | None = None
    """Three digits (``018``)."""
    diagnoses: tuple[Diagnosis, ...] = ()
    procedures: tuple[Procedure, ...] = ()
    condition_codes: tuple[str, ...] = ()
    value_codes: tuple[ValueCode, ...] = ()
    occurrence_codes: tuple[OccurrenceCode, ...] = ()
    notes: tuple[Note, ...] = ()
    prior_authorization: str | None = None
    """Prior authorisation number (837 REF*G1)."""
    attachments: tuple[Attachment, ...] = ()
    product: str | None = None
    """CAR-T product by name or IRI, where the input names it."""
    donor_type: str | None = None
    """``autologous`` or ``allogeneic``, where the input names it."""
    findings: tuple[tuple[str, FindingValue], ...] = ()
    """Documented facts that a claim form does not show, by name: ``("facility-rems-enrolled", True)``."""
    documents: tuple[Document, ...] = ()
    history: tuple[Event, ...] = ()
    lines: tuple[Line, ...] = ()

    def days_of_service(self, *, stay: bool) -> tuple[date, date]:
        """First and last day that the claim as a whole may be about.

        One stated day wins. A facility stay (``stay``, by the setting) runs from admission to discharge, because
        sources here rarely say which of its days counts; anything else by its lines' days, then by the statement.
        Without any date the whole calendar: every dated rule then answers *maybe*.
        """
        if self.date_of_service:
            return self.date_of_service, self.date_of_service
        bounds = (self.admission or self.statement_from, self.discharge or self.statement_through)
        lines = tuple(day for line in self.lines for day in (line.first_day, line.last_day))
        statement = (self.statement_from, self.statement_through)
        for days in (bounds, lines) if stay else (lines, statement):
            if known := [day for day in days if day]:
                return min(known), max(known)
        return date.min, date.max

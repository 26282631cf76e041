"""Made-up 835 remittances for made-up claims: what a payer paid of each line, and for which reasons not the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

from chartulary import Claim


@dataclass(frozen=True)
class Answer:
    """A payer's answer to a claim: lines that are not named are paid in full."""

    claim: Claim
    unpaid: dict[int, tuple[tuple[str, str, Decimal], ...]] = field(default_factory=dict)
    """By line number: group, reason and amount of each adjustment."""
    remarks: dict[int, tuple[str, ...]] = field(default_factory=dict)
    status: str = ""
    """CLP02; worked out where it is empty: 4 where nothing is paid, else 1."""
    reverses: bool = False
    """Takes an earlier answer back, with every amount below nothing."""


def write_835(answers: Iterable[Answer], file: Path, *, day: date) -> int:
    """Write answers to one interchange with one transaction of that day; give their number."""
    body: list[str] = []
    count, total = 0, Decimal()
    for answer in answers:
        count += 1
        segments, paid = _claim(answer, count)
        body += segments
        total += paid
    stamp = f"{day:%Y%m%d}"
    made = [
        "ST*835*0001",
        f"BPR*I*{total}*C*CHK************{stamp}",
        "TRN*1*000000001*1999999999",
        f"DTM*405*{stamp}",
        "N1*PR*MADE UP PAYER",
        "N3*1 PAYER WAY",
        "N4*NOWHERE*MD*999999999",
        "PER*BL*HELP DESK*TE*5555550100",
        "N1*PE*MADE UP HOSPITAL*XX*1234567893",
        "LX*1",
        *body,
    ]
    made.append(f"SE*{len(made) + 1}*0001")
    blank = " " * 10
    sender, receiver = f"{'MADEUPPAYER':<15}", f"{'MADEUPHOSPITAL':<15}"
    opening = f"ISA*00*{blank}*00*{blank}*ZZ*{sender}*ZZ*{receiver}*{stamp[2:]}*1200*^*00501*000000001*0*T*:"
    group = f"GS*HP*MADEUPPAYER*MADEUPHOSPITAL*{stamp}*1200*1*X*005010X221A1"
    whole = [opening, group, *made, "GE*1*1", "IEA*1*000000001"]
    file.write_text("".join(f"{segment}~\n" for segment in whole), encoding="ascii")
    return count


def _claim(answer: Answer, number: int) -> tuple[list[str], Decimal]:
    claim, sign = answer.claim, -1 if answer.reverses else 1
    lines: list[str] = []
    paid = patient = charged = Decimal()
    for line in claim.lines:
        charge = line.charge or Decimal()
        unpaid = answer.unpaid.get(line.number, ())
        rest = charge - sum((amount for _, _, amount in unpaid), Decimal())
        charged, paid = charged + charge, paid + rest
        patient += sum((amount for group, _, amount in unpaid if group == "PR"), Decimal())
        lines += _line(answer, line.number, sign * charge, sign * rest, sign)
    status = "22" if answer.reverses else answer.status or ("4" if charged and not paid else "1")
    head = f"CLP*{claim.id}*{status}*{sign * charged}*{sign * paid}*{sign * patient}*MB*{number:09d}*13*1"
    return [head, "NM1*QC*1*MEMBER*ADA****MI*MADEUP1", *lines], sign * paid


def _line(answer: Answer, number: int, charge: Decimal, paid: Decimal, sign: int) -> Iterator[str]:
    line = next(line for line in answer.claim.lines if line.number == number)
    service = ":".join(["HC", line.code, *line.modifiers]) if line.code else f"NU:{line.revenue_code}"
    yield f"SVC*{service}*{charge}*{paid}*{line.revenue_code or ''}*1"
    if line.first_day:
        yield f"DTM*472*{line.first_day:%Y%m%d}"
    for group, reason, amount in answer.unpaid.get(number, ()):
        yield f"CAS*{group}*{reason}*{sign * amount}"
    for remark in answer.remarks.get(number, ()):
        yield f"LQ*HE*{remark}"

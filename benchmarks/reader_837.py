"""Times the 837 reader on one core, and its peers where they are installed: ``python benchmarks/reader_837.py``.

The claims are made up: 837I 005010, a subscriber loop for each, two to four lines. Peers are no dependencies; ``pip
install x12sdk pyx12`` brings them. Times are of the process (CPU), best of several, in one run. Run by hand.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chartulary.readers.x12 import read_x12
from chartulary.readers.x12_parts import encoding_of, parts

BAR = 15_000
"""Claims a second that our reader must read."""
BAR_X12SDK = 40
"""Times faster than x12sdk that it must be."""

_DIAGNOSES = [f"{letter}{number:02}{last}" for letter in "CDEIJKNRZ" for number in range(0, 99, 3) for last in "019"]
_PROCEDURES = [
    "38225",
    "38228",
    "Q2042",
    "Q2055",
    "J9035",
    "J1100",
    "36415",
    "80053",
    "85025",
    "96413",
    "99214",
    "J2405",
]
_PAYERS = [
    ("MEDICARE", "00435", "MB"),
    ("NC MEDICAID", "NCMED", "MC"),
    ("EXCELLUS", "SX054", "BL"),
    ("AETNA", "60054", "CI"),
]
_LAST = ["SMITH", "JONES", "O'BRIEN", "GARCIA LOPEZ", "LEE", "NGUYEN", "MUELLER-KLEIN", "PATEL", "BROWN", "DAVIS"]
_FIRST = ["ANN", "JOHN", "MARIA", "WEI", "OMAR", "RUTH", "PETER", "AISHA", "LENA", "CARL"]


def interchange(claims: int, *, seed: int = 4, per_set: int = 500, line_end: str = "\n") -> str:
    """Return an 837I interchange (005010X223A2) in sets of ``per_set`` claims, each in a subscriber loop of its own."""
    rng = random.Random(seed)
    segments = [
        "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *250710*1705*^*00501*000010216*0*P*:",
        "GS*HC*SENDER*RECEIVER*20250710*1705*1*X*005010X223A2",
    ]
    sets = 0
    for first in range(0, claims, per_set):
        sets += 1
        body = [
            f"ST*837*{sets:04}*005010X223A2",
            f"BHT*0019*00*{sets:06}*20250710*1705*CH",
            "NM1*41*2*CELL HOSPITAL*****46*SENDER",
            "PER*IC*BILLING*TE*5855550100",
            "NM1*40*2*CLEARING HOUSE*****46*RECEIVER",
            "HL*1**20*1",
            "PRV*BI*PXC*282N00000X",
            "NM1*85*2*CELL HOSPITAL*****XX*1234567893",
            "N3*1 MAIN STREET",
            "N4*ROCHESTER*NY*146420001",
            "REF*EI*161234567",
        ]
        for index in range(first, min(first + per_set, claims)):
            body += _claim(rng, index, level=index - first + 2)
        segments += [*body, f"SE*{len(body) + 1}*{sets:04}"]
    segments += [f"GE*{sets}*1", "IEA*1*000010216"]
    return "".join(f"{segment}~{line_end}" for segment in segments)


def _claim(rng: random.Random, index: int, *, level: int) -> Iterator[str]:
    payer, payer_id, filing = rng.choice(_PAYERS)
    day = 20250101 + 100 * rng.randrange(12) + rng.randrange(28)
    last, first = rng.choice(_LAST), rng.choice(_FIRST)
    lines = [(rng.randint(500, 4_000_000) / 100, rng.choice(_PROCEDURES)) for _ in range(rng.randint(2, 4))]
    yield f"HL*{level}*1*22*0"
    yield f"SBR*P*18*{rng.choice(('', 'GRP100', 'GRP200'))}******{filing}"
    yield f"NM1*IL*1*{last}*{first}****MI*{rng.randrange(10**10):010}"
    yield f"N3*{rng.randint(1, 999)} ELM STREET"
    yield f"N4*ROCHESTER*NY*{rng.randint(14601, 14694)}"
    yield f"DMG*D8*{rng.randint(1935, 2005)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}*{rng.choice('FM')}"
    yield f"NM1*PR*2*{payer}*****PI*{payer_id}"
    total = sum(charge for charge, _ in lines)
    yield f"CLM*PCN{index:08}*{total:.2f}***{rng.choice(('11', '13', '85'))}:A:1**A*Y*Y"
    yield f"DTP*434*RD8*{day}-{day}"
    yield f"DTP*435*DT*{day}{rng.randrange(24):02}15"
    yield f"CL1*{rng.randint(1, 3)}*{rng.randint(1, 9)}*01"
    yield f"HI*ABK:{rng.choice(_DIAGNOSES)}:::::::{rng.choice('YN')}"
    yield f"HI*ABJ:{rng.choice(_DIAGNOSES)}"
    others = "*".join(f"ABF:{rng.choice(_DIAGNOSES)}:::::::Y" for _ in range(rng.randint(1, 4)))
    yield f"HI*{others}"
    if rng.random() < 0.2:
        yield f"HI*BG:{rng.choice(('30', '90', 'ZB'))}"
    yield f"NM1*71*1*{rng.choice(_LAST)}*{rng.choice(_FIRST)}****XX*{rng.randrange(10**9, 2 * 10**9)}"
    for number, (charge, code) in enumerate(lines, 1):
        modifier = rng.choice(("", "", ":KX", ":59"))
        yield f"LX*{number}"
        revenue = rng.choice(("0874", "0891", "0300", "0636"))
        yield f"SV2*{revenue}*HC:{code}{modifier}*{charge:.2f}*UN*{rng.randint(1, 9)}"
        yield f"DTP*472*D8*{day}"


# What each reader delivers, how it reads a file, and how many of its claims the slow ones are given


def _ours(path: Path) -> int:
    return sum(1 for _ in read_x12(path.read_bytes().decode(), source="f"))


def _cutting(path: Path) -> int:
    with path.open("rb") as stream:
        encoding = encoding_of(stream)
        assert encoding
        stream.seek(0)
        return sum(part.text.count("CLM*PCN") for part in parts(stream, encoding=encoding))


def _x12sdk_models(path: Path) -> int:
    from x12sdk.io import X12ModelReader

    with X12ModelReader(str(path)) as reader:
        return sum(len(list(model.claims())) for model in reader.models())


def _x12sdk_segments(path: Path) -> int:
    from x12sdk.io import X12SegmentReader

    with X12SegmentReader(str(path)) as reader:
        return sum(name == "CLM" for name, _ in reader.segments())


def _pyx12_loops(path: Path) -> int:
    from pyx12.error_handler import errh_null
    from pyx12.params import params
    from pyx12.x12context import X12ContextReader

    with path.open(encoding="ascii") as stream:
        return sum(tree.id == "2300" for tree in X12ContextReader(params(), errh_null(), stream).iter_segments("2300"))


def _pyx12_segments(path: Path) -> int:
    from pyx12.x12file import X12Reader

    with X12Reader(str(path)) as reader:
        return sum(segment.get_seg_id() == "CLM" for segment in reader)


READERS: list[tuple[str, str, Callable[[Path], int], bool]] = [
    ("chartulary", "claims: frozen, typed; faults by segment", _ours, False),
    ("chartulary", "parts of a file, not read yet", _cutting, False),
    ("x12sdk", "a validated pydantic model of each transaction set", _x12sdk_models, True),
    ("x12sdk", "segments as lists of text", _x12sdk_segments, False),
    ("pyx12", "trees of loop 2300, checked against the guide", _pyx12_loops, True),
    ("pyx12", "segments with their elements", _pyx12_segments, True),
]


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the 837 reader and its peers.")
    parser.add_argument("--claims", type=int, default=10_000)
    parser.add_argument("--slow", type=int, default=1000, metavar="CLAIMS", help="claims for readers that are slow")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    table = Table(title=f"837I claims a second, one core, Python {platform.python_version()}")
    for name in ("reader", "delivers", "claims", "µs a claim", "claims/s", "ours is faster by"):
        table.add_column(name, justify="left" if name in ("reader", "delivers") else "right")
    rates: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for reader, delivers, read, slow in READERS:
            if importlib.util.find_spec(reader) is None:
                table.add_row(reader, "not installed")
                continue
            claims = min(options.slow, options.claims) if slow else options.claims
            path = Path(folder) / f"{claims}.837"
            path.write_text(interchange(claims), encoding="ascii", newline="")
            name = reader if reader == "chartulary" else f"{reader} {version(reader)}"
            best = float("inf")
            for _ in range(2 if slow else options.runs):
                start = time.process_time()
                found = read(path)
                best = min(best, time.process_time() - start)
            if found != claims:
                raise SystemExit(f"{reader}: {found} of {claims} claims read ({delivers}).")
            rate = claims / best
            rates.setdefault(reader, rate)
            ratio = rates["chartulary"] / rate
            row = f"{1e6 / rate:,.1f}", f"{rate:,.0f}", f"{ratio:,.1f}×" if reader != "chartulary" else ""
            table.add_row(name, delivers, f"{claims:,}", *row)
    console = Console()
    console.print(table)
    ours = rates["chartulary"]
    console.print(f"Bar: {BAR:,} claims/s; {'reached' if ours >= BAR else 'MISSED'}.")
    if peer := rates.get("x12sdk"):
        reached = "reached" if ours >= BAR_X12SDK * peer else "MISSED"
        console.print(f"Bar: {BAR_X12SDK}× x12sdk's models; {reached} ({ours / peer:,.0f}×).")


if __name__ == "__main__":
    main()

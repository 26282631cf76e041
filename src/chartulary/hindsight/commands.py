"""The commands that look back. Exit 0: nothing differs; 1: something does; 2: bad input or usage, in one line."""

from __future__ import annotations

import os
import sys
from datetime import date
from enum import StrEnum
from typing import Annotated

import typer

from chartulary.errors import ChartularyError, Problem
from chartulary.options import (
    Engine,
    EngineChoice,
    Jobs,
    Output,
    Policies,
    Unknown,
    UnknownChoice,
    cache_folder,
    day,
    print_text,
    size_of,
    tell,
    write_whole,
    writing,
)


def add_to(app: typer.Typer) -> None:
    """Makes the commands below part of the command line."""
    app.command()(compare)
    app.command()(worklist)


class ComparisonFormat(StrEnum):
    """How a comparison is written."""

    table = "table"
    json = "json"


class WorklistFormat(StrEnum):
    """How a worklist is written."""

    table = "table"
    csv = "csv"
    parquet = "parquet"
    html = "html"
    jsonl = "jsonl"


def compare(
    claims: Annotated[
        list[str] | None, typer.Argument(metavar="[CLAIM]...", help="Claims in any form, instead of a code.")
    ] = None,
    known: Annotated[
        list[date] | None,
        typer.Option("--known", parser=day, metavar="DATE", help="Twice: what was known on either day."),
    ] = None,
    code: Annotated[str | None, typer.Option(help="The code that is asked about.")] = None,
    payer: Annotated[str | None, typer.Option(help="Who pays.")] = None,
    dos: Annotated[str | None, typer.Option(metavar="DATE", help="The day of service.")] = None,
    setting: Annotated[str | None, typer.Option(help="Inpatient, outpatient, …")] = None,
    lob: Annotated[str | None, typer.Option(help="The line of business.")] = None,
    request: Annotated[str | None, typer.Option(help="claim or prior-authorization.")] = None,
    unknown: Unknown = UnknownChoice.review,
    format: Annotated[
        ComparisonFormat, typer.Option("--format", "-f", help="How to write it.")
    ] = ComparisonFormat.table,
    policies: Policies = None,
    output: Output = None,
) -> None:
    """Say what was answered with what was known on one day, what on another, and which change makes the difference.

    Ask about a code (--code, --payer, --dos), or about claims. Ends with 1 where something differs.
    """
    from chartulary import batch, formats
    from chartulary.claim import Claim
    from chartulary.hindsight import Hindsight
    from chartulary.hindsight import formats as hindsight_formats
    from chartulary.readers import read_claims
    from chartulary.register import Register

    if not known or len(known) > 2:
        raise ChartularyError("say the days to compare: --known DATE --known DATE (one: with all that is known)")
    asked = {
        name: value
        for name, value in (
            ("code", code), ("payer", payer), ("dos", dos), ("setting", setting), ("lob", lob), ("request", request)
        )
        if value is not None
    }  # fmt: skip
    if bool(claims) == bool(asked):
        raise ChartularyError("name claims, or a code with its payer and day (--code, --payer, --dos)")
    register = Register.load(policies=policies, cache=cache_folder())
    hindsight = Hindsight(register, since=known[0], until=known[1] if len(known) > 1 else None, unknown=unknown.value)
    problems: list[Problem] = []
    with writing(output) as console:
        if asked:
            compared = hindsight.compare("requirements", **asked)
            if format is ComparisonFormat.json:
                print_text(console, formats.dump(hindsight_formats.comparison_json(compared)))
            else:
                summary = register.queries["requirements"].summary
                hindsight_formats.show_comparison(console, compared, f"{summary}: {' '.join(asked.values())}")
            differs = not compared.same
        else:
            found = []
            for name in batch.inputs(claims or (), output=output):
                for item in read_claims(name):
                    if isinstance(item, Claim):
                        found.append(hindsight.judge(item))
                    else:
                        problems.append(item)
            differs = any(each.differs or each.decisive for each in found)
            if format is ComparisonFormat.json:
                print_text(console, formats.dump(hindsight_formats.claims_json(found, hindsight, register.revision)))
            else:
                for each in found:
                    hindsight_formats.show_claim_comparison(console, each, hindsight)
                hindsight_formats.show_causes(console, hindsight.causes_of(*found))
    tell(problems)
    if any(not problem.warning for problem in problems):
        raise typer.Exit(2)
    if differs:
        raise typer.Exit(1)


def worklist(
    files: Annotated[
        list[str], typer.Argument(metavar="CLAIMS...", help="Claims in any form; files, folders, patterns.")
    ],
    since: Annotated[date, typer.Option(parser=day, metavar="DATE", help="Against what was known on this day.")],
    until: Annotated[
        date | None, typer.Option(parser=day, metavar="DATE", help="What was known on this day; all, if left out.")
    ] = None,
    remits: Annotated[
        list[str] | None,
        typer.Option("--remits", metavar="835", help="Remittances: a file, folder or pattern; may be given again."),
    ] = None,
    any_reason: Annotated[
        bool, typer.Option("--any-reason", help="With --remits: also those denied for what does not fit, or may not.")
    ] = False,
    format: Annotated[WorklistFormat, typer.Option("--format", "-f", help="How to write it.")] = WorklistFormat.table,
    unknown: Unknown = UnknownChoice.review,
    engine: Engine = EngineChoice.auto,
    policies: Policies = None,
    output: Output = None,
    jobs: Jobs = None,
) -> None:
    """List the claims that fare otherwise by what became known between two days, and by which sentence.

    With remittances only those that were denied or reduced. Ends with 1 where there is any.
    """
    from chartulary import batch
    from chartulary.hindsight import formats as hindsight_formats
    from chartulary.hindsight import worklist as listing
    from chartulary.hindsight.remittances import Remittances

    if format is WorklistFormat.parquet and output is None:
        raise ChartularyError("--format parquet needs --output FILE")
    if any_reason and not remits:
        raise ChartularyError("--any-reason goes with --remits")
    settings = batch.Settings(policies=policies, cache=cache_folder(), unknown=unknown.value, engine=engine.value)
    names = list(batch.inputs(files, output=output))
    size = sum(known[0] for name in names if (known := size_of(name)))
    read = Remittances.read(batch.inputs(remits)) if remits else None
    found = listing.worklist(
        names,
        settings,
        listing.Wish(since=since, until=until, remits=read, any_reason=any_reason),
        jobs=jobs or (os.cpu_count() or 1 if size > batch.LARGE else 1),
    )
    if format is WorklistFormat.parquet and output is not None:
        write_whole(output, hindsight_formats.as_parquet(found))
    else:
        with writing(output) as console:
            if format is WorklistFormat.table:
                hindsight_formats.show_worklist(console, found)
            elif format is WorklistFormat.csv:
                console.file.write(hindsight_formats.as_csv(found))
            elif format is WorklistFormat.jsonl:
                console.file.write(hindsight_formats.as_jsonl(found))
            else:
                from chartulary.hindsight.page import as_html

                console.file.write(as_html(found))
    if format is not WorklistFormat.table:
        print(hindsight_formats.summary(found), file=sys.stderr)
    tell(found.problems)
    if any(not problem.warning for problem in found.problems):
        raise typer.Exit(2)
    if found.entries:
        raise typer.Exit(1)

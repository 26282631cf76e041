"""The command line. Exit 0: no violation; 1: a violation; 2: bad input or usage, said in one line."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.exceptions import TyperException

from chartulary.errors import ChartularyError, Interrupted, Problem
from chartulary.hindsight import commands as hindsight_commands
from chartulary.options import (
    Engine,
    EngineChoice,
    Jobs,
    KnownOn,
    Output,
    Policies,
    Unknown,
    UnknownChoice,
    cache_folder,
    day,
    print_text,
    read_bytes,
    size_of,
    tell,
    write_whole,
    writing,
)
from chartulary.workbench import commands

if TYPE_CHECKING:
    from chartulary.batch import Settings
    from chartulary.report import Report

_OUTCOMES = ("violation", "needs-review", "conformant", "not-applicable")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Coverage and coding policies as data: hold claims against them, ask them questions, get every answer cited.",
)


class Format(StrEnum):
    """How findings are written."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"
    ttl = "ttl"
    fhir = "fhir"


class AnswerFormat(StrEnum):
    """How answers are written."""

    table = "table"
    json = "json"
    csv = "csv"


class RepairFormat(StrEnum):
    """How repairs are told."""

    table = "table"
    json = "json"


class DialectChoice(StrEnum):
    """Whose SQL."""

    spark = "spark"
    duckdb = "duckdb"
    postgres = "postgres"
    snowflake = "snowflake"
    bigquery = "bigquery"


class ExportChoice(StrEnum):
    """How the register is written for other stores."""

    nt = "nt"
    nq = "nq"
    ttl = "ttl"
    trig = "trig"


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"chartulary {version('chartulary')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which.")
    ] = False,
) -> None: ...


@app.command()
def validate(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="X12 837, FHIR, claim JSON, Turtle, JSON-LD, or tables (CSV, Parquet): files, folders, patterns; "
            "- is standard input.",
        ),
    ],
    as_known_on: KnownOn = None,
    unknown: Unknown = UnknownChoice.review,
    format: Annotated[Format, typer.Option("--format", "-f", help="How to write the result.")] = Format.table,
    engine: Engine = EngineChoice.auto,
    policies: Policies = None,
    output: Output = None,
    jobs: Jobs = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted run with this output stopped.")
    ] = False,
    receipts: Annotated[
        Path | None,
        typer.Option("--receipts", metavar="DIR", help="Write a receipt of each decision here, for verify."),
    ] = None,
) -> None:
    """Hold claims against the policies; each finding cites the sentence that it rests on."""
    from chartulary import batch

    settings = batch.Settings(
        policies=policies,
        cache=cache_folder(),
        as_known_on=as_known_on,
        unknown=unknown.value,
        engine=engine.value,
        receipts=receipts,
    )
    names = list(batch.inputs(files, output=output))
    if format in (Format.jsonl, Format.csv, Format.parquet):
        counts = _validate_many(settings, names, format, output, jobs, resume)
    elif resume:
        raise ChartularyError("--resume goes with --format jsonl, csv or parquet, and --output")
    else:
        counts = _validate_few(settings, names, format, output)
    if counts["problem"]:
        raise typer.Exit(2)
    if counts["violation"]:
        raise typer.Exit(1)


def _validate_few(settings: Settings, names: list[str], format: Format, output: Path | None) -> Counter[str]:
    """Formats for people, and those that are one document: everything is held until the end."""
    from chartulary import batch, formats
    from chartulary.output import as_reports

    snapshot = settings.snapshot()
    worker = batch.Worker(settings, as_reports, snapshot)
    counts: Counter[str] = Counter()
    reports: list[Report] = []
    problems: list[Problem] = []
    with writing(output) as console:
        for step in batch.run(names, lambda: worker):
            counts.update(step.done.outcomes)
            problems += step.done.problems
            if format is Format.table:
                for report in step.done.written:
                    formats.show_report(console, report)
            else:
                reports += step.done.written
        if format is Format.table and counts.total() > 1:
            formats.show_summary(console, {outcome: counts[outcome] for outcome in _OUTCOMES})
        if format is Format.json:
            whole = formats.run_json(
                reports,
                problems,
                revision=snapshot.register.revision,
                as_known_on=settings.as_known_on,
                engine=", ".join(sorted({report.engine for report in reports})) or settings.engine,
            )
            print_text(console, formats.dump(whole))
        elif format is Format.ttl:
            print_text(console, formats.reports_turtle(reports))
        elif format is Format.fhir:
            print_text(console, formats.dump(formats.operation_outcome(reports, problems)))
    tell(problems)
    counts["problem"] = sum(not problem.warning for problem in problems)
    return counts


def _validate_many(
    settings: Settings, names: list[str], format: Format, output: Path | None, jobs: int | None, resume: bool
) -> Counter[str]:
    """Formats that are written as the run goes on, in bounded memory, on all cores."""
    from chartulary import batch
    from chartulary import output as out
    from chartulary.cache import code_revision

    if output is None and (format is Format.parquet or resume):
        raise ChartularyError("--format parquet and --resume need --output FILE")
    snapshot = settings.snapshot()
    write, sink = out.writer(format.value, output)
    sizes = {name: size for name in names if (size := size_of(name)) is not None}
    ledger = None
    if output:
        ledger = out.Ledger(
            output,
            {
                "register": snapshot.register.revision,
                "program": code_revision(),  # another may cut files otherwise
                "as known on": str(settings.as_known_on),
                "unknown": settings.unknown,
                "engine": settings.engine,
                "format": format.value,
                "claims": [[name, *sizes.get(name, ())] for name in names],
            },
        )
        if resume:
            ledger.take_up()
    return batch.write_all(
        names,
        batch.Maker(settings, write, snapshot),
        sink,
        ledger=ledger,
        jobs=jobs or (os.cpu_count() or 1 if sum(size for size, _ in sizes.values()) > batch.LARGE else 1),
        sizes={name: size for name, (size, _) in sizes.items()},
        tell=tell,
    )


@app.command()
def repair(
    file: Annotated[str, typer.Argument(metavar="FILE", help="X12 837, FHIR or claim JSON; - is standard input.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the mended file here, never over FILE.")
    ] = None,
    as_known_on: KnownOn = None,
    unknown: Unknown = UnknownChoice.review,
    format: Annotated[
        RepairFormat, typer.Option("--format", "-f", help="How to tell what was done.")
    ] = RepairFormat.table,
    policies: Policies = None,
) -> None:
    """Mend what the data mends without judgement, write the file back, and prove it; list what needs a person.

    Ends with 1 where something is left to a person, or could not be written.
    """
    from chartulary import formats
    from chartulary import repair as mending
    from chartulary.register import Register

    data = read_bytes(file)
    if output is not None and file != "-" and output.exists() and output.samefile(file):
        raise ChartularyError(f"{output}: is the file that is mended; write to another")
    snapshot = Register.load(policies=policies, cache=cache_folder()).snapshot(
        as_known_on=as_known_on, unknown=unknown.value
    )
    repaired = mending.repair(data, snapshot, source=file)
    if output is not None:
        write_whole(output, repaired.data)
    with writing(None) as console:
        if format is RepairFormat.json:
            print_text(console, formats.dump(mending.repaired_json(repaired, snapshot)))
        else:
            mending.show_repaired(console, repaired)
            if output is not None:
                same = "" if repaired.mended else ": the same bytes"
                console.print(f"wrote {output}{same}", soft_wrap=True, markup=False)
            elif repaired.mended:
                console.print("nothing is written yet: --output FILE writes the mended file")
    tell(repaired.problems)
    if any(not problem.warning for problem in repaired.problems):
        raise typer.Exit(2)
    if repaired.unfinished or (repaired.mended and output is None):
        raise typer.Exit(1)


@app.command()
def verify(
    receipt: Annotated[Path, typer.Argument(metavar="RECEIPT", help="As validate --receipts wrote it.")],
    file: Annotated[
        str, typer.Argument(metavar="CLAIM", help="A file with the claim, in any form; - is standard input.")
    ],
    engine: Annotated[
        EngineChoice, typer.Option(help="What runs the rules; auto is what made the receipt.")
    ] = EngineChoice.auto,
    policies: Policies = None,
) -> None:
    """Make a receipt's decision again, and say whether it is the same. Ends with 1 where it is not."""
    from chartulary import receipts
    from chartulary.claim import Claim
    from chartulary.readers import read_claims
    from chartulary.register import Register

    made = receipts.load(receipt)
    problems: list[Problem] = []

    def claims() -> Iterator[Claim]:
        for item in read_claims(file):
            if isinstance(item, Claim):
                yield item
            else:
                problems.append(item)

    register = Register.load(policies=policies, cache=cache_folder())
    verdict = receipts.verify(made, claims(), register, engine=engine.value)
    with writing(None) as console:
        for line in receipts.in_words(verdict, register):
            console.print(line, soft_wrap=True, markup=False)
    if not verdict.same_claim:
        tell(problems)
        raise typer.Exit(2 if any(not problem.warning for problem in problems) else 1)
    if not verdict.same_result:
        raise typer.Exit(1)


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    epilog="Each question has its own parameters (see --list), such as --code 38228 --payer medicare --dos 2025-06-25.",
)
def ask(
    context: typer.Context,
    question: Annotated[str | None, typer.Argument(metavar="QUESTION")] = None,
    list_them: Annotated[bool, typer.Option("--list", help="List the questions and their parameters.")] = False,
    parameters: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="A parameter by name.")
    ] = None,
    as_known_on: KnownOn = None,
    format: Annotated[
        AnswerFormat, typer.Option("--format", "-f", help="How to write the answer.")
    ] = AnswerFormat.table,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="Ask a SPARQL server that holds an exported snapshot.")
    ] = None,
    policies: Policies = None,
    output: Output = None,
) -> None:
    """Ask what the policies say; every answer cites its sentences and says what changed it."""
    from chartulary import formats
    from chartulary.register import Register

    register = Register.load(policies=policies, cache=cache_folder())
    with writing(output) as console:
        if list_them or question is None:
            for query in register.queries.values():
                console.print(f"[bold]{query.name}[/]: {query.summary}", soft_wrap=True)
                for p in query.parameters:
                    console.print(
                        f"    --{p.name} {p.kind.upper()}" + (f"  (default {p.default})" if p.default else "")
                    )
            return
        given = _parameters([*(parameters or []), *context.args])
        answer = register.ask(question, as_known_on=as_known_on, endpoint=endpoint, **given)
        if format is AnswerFormat.json:
            print_text(console, formats.dump(formats.answer_json(answer)))
        elif format is AnswerFormat.csv:
            print_text(console, formats.answer_csv(answer).rstrip("\n"))
        else:
            title = ": ".join(filter(None, (register.queries[question].summary, " ".join(given.values()))))
            formats.show_answer(console, answer, title)


@app.command()
def export(
    as_known_on: KnownOn = None,
    format: Annotated[
        ExportChoice, typer.Option("--format", "-f", help="How to write it; nq and trig have each file as well.")
    ] = ExportChoice.nt,
    policies: Policies = None,
    output: Output = None,
) -> None:
    """Write the register, as known on a day, for a SPARQL server of your own."""
    from chartulary.register import Register

    snapshot = Register.load(policies=policies, cache=cache_folder()).snapshot(as_known_on=as_known_on)
    with writing(output) as console:
        print_text(console, snapshot.export(format.value).decode().rstrip("\n"))


@app.command()
def table(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Claims in any form; files, folders, patterns.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Ends in .csv or .parquet.")],
) -> None:
    """Write claims as a table in the layout of Tuva's medical_claim, a row for each line."""
    from chartulary import batch
    from chartulary.claim import Claim
    from chartulary.readers import read_claims
    from chartulary.readers.tables import write_table

    problems: list[Problem] = []

    def claims() -> Iterator[Claim]:
        for name in batch.inputs(files, output=output):
            for item in read_claims(name):
                if isinstance(item, Claim):
                    yield item
                else:
                    problems.append(item)
                    tell([item])

    count = write_table(claims(), output)
    print(f"{output}: {count:,} claims", file=sys.stderr)
    if any(not problem.warning for problem in problems):
        raise typer.Exit(2)


@app.command("compile")
def compile_rules(
    dialect: Annotated[DialectChoice, typer.Option(help="The SQL to write.")],
    as_known_on: KnownOn = None,
    unknown: Unknown = UnknownChoice.review,
    policies: Policies = None,
    output: Output = None,
) -> None:
    """Write the rules and the register as one SQL script, to run in a warehouse over claims of your own."""
    from chartulary.compiler import script
    from chartulary.register import Register

    register = Register.load(policies=policies, cache=cache_folder())
    snapshot = register.snapshot(as_known_on=as_known_on, unknown=unknown.value)
    with writing(output) as console:
        print_text(console, script.write(snapshot, dialect=dialect.value))


@app.command()
def timeline(
    code: Annotated[str, typer.Option(help="A code or a product.")],
    payer: Annotated[str, typer.Option(help="Who pays.")],
    setting: Annotated[str, typer.Option(help="Where it is given.")] = "",
    lob: Annotated[str, typer.Option(help="The member's line of business.")] = "",
    request: Annotated[str, typer.Option(help="What is sent: a claim, or prior-authorization.")] = "",
    first: Annotated[
        date | None, typer.Option("--from", parser=day, metavar="DATE", help="The first day of service to show.")
    ] = None,
    last: Annotated[
        date | None, typer.Option("--until", parser=day, metavar="DATE", help="The last day of service to show.")
    ] = None,
    as_known_on: KnownOn = None,
    policies: Policies = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="A picture, .svg or .png, instead of the terminal."),
    ] = None,
) -> None:
    """Draw what was asked over dates of service, when each change came out, and since when one could know it."""
    from chartulary import history, picture
    from chartulary.register import Register

    if output and output.suffix.lower() not in (".svg", ".png"):
        raise ChartularyError(f"{output}: a picture ends in .svg or .png")
    register = Register.load(policies=policies, cache=cache_folder())
    given = {"code": code, "payer": payer, "setting": setting, "lob": lob, "request": request}
    found = history.read(register, given, first=first, last=last, as_known_on=as_known_on)
    if output is None:
        with writing(None) as console:
            picture.show(console, found)
        return
    text = picture.svg(found)
    output.write_bytes(picture.png(text) if output.suffix.lower() == ".png" else text.encode())


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on; any but this machine's own needs a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    token: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="Callers must show the token in this file.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let in whoever reaches the port, from wherever.")
    ] = False,
    query_seconds: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="The longest time that a SPARQL query may take.")
    ] = 10.0,
    query_rows: Annotated[
        int, typer.Option(metavar="ROWS", min=1, help="The most rows of an answer to a SPARQL query.")
    ] = 100_000,
    policies: Policies = None,
) -> None:
    """Serve an API, a SPARQL endpoint and pages to explore, until interrupted."""
    try:
        from chartulary.service.settings import Settings, is_loopback, read_token
        from chartulary.service.start import run
    except ImportError as fault:
        raise ChartularyError(f"serve needs {fault.name}: pip install 'chartulary[serve]'") from None

    if not (is_loopback(host) or token or insecure):
        raise ChartularyError(f"{host} can be reached from elsewhere: give --token-file FILE, or --insecure")
    run(
        Settings(
            host=host,
            port=port,
            policies=policies,
            cache=cache_folder(),
            token=read_token(token) if token else None,
            query_seconds=query_seconds,
            query_rows=query_rows,
        )
    )


commands.add_to(app)
hindsight_commands.add_to(app)


def _parameters(words: list[str]) -> dict[str, str]:
    """``--name value``, ``--name=value`` and ``name=value`` alike."""
    given: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.removeprefix("--").partition("=")
        if not equals:
            if not word.startswith("--"):
                raise ChartularyError(f"'{word}' is no parameter; write --name value")
            value = next(rest, "")
            if not value or value.startswith("--"):
                raise ChartularyError(f"--{name} needs a value")
        if name in ("as_known_on", "endpoint"):
            raise ChartularyError(f"'{name}' is no parameter of a question; write --{name.replace('_', '-')} {value}")
        given[name.replace("-", "_")] = value
    return given


def main() -> None:
    """Entry point: every fault a user can cause ends in one line and exit code 2."""
    logging.getLogger("rdflib").setLevel(logging.CRITICAL)  # its warnings come with tracebacks and quote the data
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without our quotation marks shows ? instead
    try:
        code = app(standalone_mode=False)
    except TyperException as fault:
        if message := fault.format_message():  # it is empty where only help was shown
            print(f"chartulary: {' '.join(message.split())}", file=sys.stderr)
        code = 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Interrupted as fault:
        print(f"chartulary: {fault}", file=sys.stderr)
        code = 130
    except (ChartularyError, OSError) as fault:
        print(f"chartulary: {fault}", file=sys.stderr)
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()

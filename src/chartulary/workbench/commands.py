"""The authors' commands. Exit 0: nothing found; 1: something found; 2: bad input or usage, said in one line."""

from __future__ import annotations

import os
import sys
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from chartulary.errors import ChartularyError
from chartulary.options import Engine, EngineChoice, Policies, writing


def add_to(app: typer.Typer) -> None:
    """Makes the commands below part of the command line."""
    app.command()(fmt)
    app.command()(lint)
    app.command()(diff)
    app.command()(test)
    app.add_typer(new, name="new")
    app.command()(watch)
    app.command()(lsp)


# --- fmt --------------------------------------------------------------------------------------------------------------


def fmt(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="Files, or folders with .ttl files; here, if none.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; name what would be, and exit 1 if there is any.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Change nothing; show what would be, as a unified diff.")
    ] = False,
) -> None:
    """Write Turtle files in their one form; comments stay with what they are about."""
    from chartulary.workbench import fmt as formatter

    written = not (check or diff)
    outcome = formatter.format_files(paths or [Path()], write=written, diff=diff)
    print("".join(outcome.differences), end="")
    print(formatter.summary(outcome, written=written, named=not diff), file=sys.stderr if diff else sys.stdout)
    for line in outcome.refused:
        print(f"chartulary: {line}", file=sys.stderr)
    if outcome.refused:
        raise typer.Exit(2)
    if outcome.changed and (check or diff):
        raise typer.Exit(1)


# --- lint -------------------------------------------------------------------------------------------------------------


class LintFormat(StrEnum):
    """How findings are written."""

    text = "text"
    github = "github"
    sarif = "sarif"
    json = "json"


def lint(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]...",
            help="Policy files or folders; if none, the current folder, or the register where that has no policies.",
        ),
    ] = None,
    policies: Annotated[
        Path | None,
        typer.Option("--policies", metavar="DIR", help="A folder of your own policies that PATH speaks of."),
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A folder with the documents' texts (.txt), to look up quotes in."),
    ] = None,
    reasoner: Annotated[
        bool, typer.Option("--reasoner", help="Look for contradictions with an OWL reasoner as well (some seconds).")
    ] = False,
    format: Annotated[LintFormat, typer.Option("--format", "-f", help="How to write what is found.")] = LintFormat.text,
    explain: Annotated[
        str | None, typer.Option(metavar="RULE", help="Say what a rule is about, and do nothing else.")
    ] = None,
) -> None:
    """Say what is wrong in policy files: where, by which rule, and what to do. Warnings alone exit 0."""
    from chartulary.workbench import lint as linter
    from chartulary.workbench import lint_formats

    if explain is not None:
        print(lint_formats.explained(linter.explain(explain)))
        return
    found = linter.lint(linter.what_to_lint(paths or ()), policies=policies, sources=sources, reasoner=reasoner)
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print(lint_formats.write(found, format.value, colour=colour))
    if found.errors:
        raise typer.Exit(1)


# --- test -------------------------------------------------------------------------------------------------------------


class TestFormat(StrEnum):
    """How the result is written."""

    text = "text"
    json = "json"


def test(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="[PATH]", help="A policy's folder, its suite.toml, or a folder of policies."),
    ] = None,
    policies: Policies = None,
    engine: Engine = EngineChoice.auto,
    mutate: Annotated[
        bool, typer.Option("--mutate", help="Put in one fault after another, and name those that no suite notices.")
    ] = False,
    at_least: Annotated[
        float, typer.Option(metavar="PERCENT", min=0, max=100, help="So many faults must be noticed.")
    ] = 100,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Processes to work with (all cores).")] = None,
    format: Annotated[TestFormat, typer.Option("--format", "-f", help="How to write the result.")] = TestFormat.text,
) -> None:
    """Run the suites beside policies: exact findings, what no claim exercises, faults that no suite notices."""
    from chartulary import formats
    from chartulary.workbench import trial

    place = trial.find(path, policies=policies)
    told = trial.run(place, engine=engine.value, mutate=mutate, jobs=jobs, tell=trial.progress)
    with writing(None) as console:
        if format is TestFormat.json:
            console.file.write(formats.dump(trial.as_json(told)) + "\n")
        else:
            trial.show(console, told)
    if mutate and told.tried is None:
        print("chartulary: no mutants were tried: the suites must pass first", file=sys.stderr)
    killed, rest = trial.score(told.tried or ())
    if told.differences or 100 * killed < at_least * rest:
        raise typer.Exit(1)


# --- diff -------------------------------------------------------------------------------------------------------------


class DiffFormat(StrEnum):
    """How differences are written."""

    text = "text"
    json = "json"
    markdown = "markdown"


def diff(
    old: Annotated[
        str,
        typer.Argument(metavar="OLD", help="A folder of policies, or a git revision (main, HEAD~3, main:my/policies)."),
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The same; left out, the folder one stands in.")] = ".",
    claims: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Hold these claims against both, instead of those beside the policies."),
    ] = None,
    format: Annotated[
        DiffFormat, typer.Option("--format", "-f", help="How to write the differences.")
    ] = DiffFormat.text,
) -> None:
    """Say in words what differs between two registers, and which claims fare otherwise."""
    from chartulary import formats
    from chartulary.cache import default_folder
    from chartulary.workbench import diff as differ
    from chartulary.workbench import diff_formats, sides

    with sides.sides(old, new, cache=default_folder()) as (before, after):
        found = differ.compare(before, after, claims=claims)
    with writing(None) as console:
        if format is DiffFormat.json:
            console.file.write(formats.dump(diff_formats.as_json(found)) + "\n")
        elif format is DiffFormat.markdown:
            console.file.write(diff_formats.markdown(found))
        else:
            diff_formats.show(console, found)
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if found.changes or found.claims:
        raise typer.Exit(1)


# --- new --------------------------------------------------------------------------------------------------------------

new = typer.Typer(no_args_is_help=True, help="Start something new from a skeleton that passes lint and test.")


@new.command("policy")
def new_policy(
    name: Annotated[
        str | None,
        typer.Argument(metavar="PAYER/NAME", help="Its folder: the payer as the register calls it, and a short name."),
    ] = None,
    publisher: Annotated[str | None, typer.Option(metavar="TEXT", help="Who publishes it.")] = None,
    published: Annotated[
        str | None, typer.Option(metavar="DATE", help="The day on which the document came out.")
    ] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="What the document is called.")] = None,
    effective: Annotated[
        str | None, typer.Option(metavar="DATE", help="The first day of service, where the document gives one.")
    ] = None,
    policies: Annotated[
        Path, typer.Option("--policies", metavar="DIR", help="The folder of policies to write into.")
    ] = Path("policies"),
) -> None:
    """Write a policy's files: sources, payer, scope, a first version, a suite with two claims. Overwrites nothing."""
    from chartulary.cache import default_folder
    from chartulary.workbench import new as skeletons

    asks = sys.stdin.isatty() and sys.stdout.isatty()
    missing = [
        word
        for word, given in (("PAYER/NAME", name), ("--publisher", publisher), ("--published", published))
        if not given
    ]
    if missing and not asks:
        raise ChartularyError(f"say {' and '.join(missing)}: chartulary new policy --help")
    name = name or typer.prompt("Payer and a short name for the policy (PAYER/NAME)")
    publisher = publisher or typer.prompt("Who publishes it")
    published = published or typer.prompt("Published on (yyyy-mm-dd)")
    if missing and asks:
        title = title or typer.prompt("What the document is called", default=f"{publisher}: {name.partition('/')[2]}")
        effective = effective or typer.prompt(
            "First day of service (empty: none given)", default="", show_default=False
        )
    skeleton = skeletons.policy(
        name,
        publisher=publisher,
        published=_day(published),
        folder=policies,
        title=title,
        effective=_day(effective) if effective else None,
        cache=default_folder(),
    )
    skeleton.write()
    for file in skeleton.files:
        print(f"wrote {policies / file}")
    for note in skeleton.notes:
        print(f"note: {note}")
    place = policies / name if policies.name == "policies" else policies
    print(
        "\nReplace the example in these files, in this order, and see what you have with\n"
        f"  chartulary watch {place}\n  chartulary lint {place}\n  chartulary test {place}"
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ChartularyError(f"'{text}' is not a day (yyyy-mm-dd)") from None


# --- watch ------------------------------------------------------------------------------------------------------------


def watch(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A policy's folder, or a folder of policies.")] = Path(),
) -> None:
    """Lint, and run the suites, again on each save; Ctrl-C ends."""
    from chartulary.workbench import watch as watcher

    with writing(None) as console:
        watcher.follow(watcher.Watch(path), console)


# --- lsp --------------------------------------------------------------------------------------------------------------


def lsp() -> None:
    """Serve an editor: lint while you type, names to complete, what names stand for (needs the extra “editor”)."""
    try:
        from chartulary.workbench.lsp import make
    except ModuleNotFoundError as fault:
        raise ChartularyError(f"{fault.name} is not installed: pip install 'chartulary[editor]'") from None
    make().start_io()

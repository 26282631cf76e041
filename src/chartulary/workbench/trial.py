"""``chartulary test``: runs suites, says what differs, what no suite exercises, and which mutants no suite notices."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chartulary.engines import EngineName
from chartulary.errors import ChartularyError
from chartulary.register import Register, data_folder
from chartulary.suites import Difference, Suite, differences, find_suites, root_of
from chartulary.terms import ROOT
from chartulary.workbench.coverage import Coverage, coverage
from chartulary.workbench.sides import is_register

if TYPE_CHECKING:
    from chartulary.workbench.mutate import Tried

_POLICY = f"{ROOT}policy/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a path names: suites to run, and the register that they are run against."""

    register: Register
    suites: tuple[Suite, ...]
    """Every suite of the folder of policies that the path stands in: any of them exercises a provision."""
    chosen: tuple[Suite, ...]
    """Those under the path."""

    @property
    def own(self) -> tuple[str, ...]:
        """What the names of the chosen suites' provisions begin with."""
        return tuple(suite.own for suite in self.chosen)

    @property
    def whole(self) -> bool:
        """Whether the path names every suite there is."""
        return len(self.chosen) == len(self.suites)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of it."""

    revision: str
    engine: str
    told: tuple[tuple[Suite, tuple[Difference, ...]], ...]
    """Each suite with what differs from it."""
    coverage: Coverage
    tried: tuple[Tried, ...] | None
    """Mutants; None where none were wanted, or where the suites must be mended first."""

    @property
    def differences(self) -> int:
        return sum(len(found) for _, found in self.told)


def find(path: Path | None, *, policies: Path | None = None) -> Place:
    """The suites under a path, and the register they belong to.

    Without a path it is the folder one stands in, or the shipped register where that has no suites. A folder of one's
    own lies on top of the shipped register, unless it is a register itself. ``policies`` is such a folder as well.

    Raises:
        ChartularyError: there is no suite there, or it cannot be read.
    """
    shipped = data_folder("policies").resolve()
    here = shipped if path is None and not _has_suites(Path()) else (path or Path()).resolve()
    if not here.exists():
        raise ChartularyError(f"{path}: no such file or folder")
    if here.is_file() or not _has_suites(here):
        above = next((folder for folder in here.parents if (folder / "suite.toml").is_file()), None)
        if above is None:
            raise ChartularyError(f"{path or here}: no suite.toml in or above it")
        here = above
    elif _has_suites(here / "policies"):
        here = here / "policies"
    laid = policies.resolve() if policies else None
    if laid and not laid.is_dir():
        raise ChartularyError(f"{policies}: no such folder of policies")
    root = next((folder for folder in (shipped, laid) if folder and here.is_relative_to(folder)), None) or root_of(here)
    if laid and root not in (shipped, laid):
        raise ChartularyError(f"{path or here}: not in {policies}")
    if root == shipped:
        register = Register.load(policies=laid)
    elif is_register(root):
        register = Register.load(ground=root)
    else:
        register = Register.load(policies=root)
    suites = find_suites(root)
    chosen = [suite for suite in suites if suite.folder.resolve().is_relative_to(here)]
    return Place(register=register, suites=tuple(suites), chosen=tuple(chosen))


def _has_suites(folder: Path) -> bool:
    return folder.is_dir() and next(folder.rglob("suite.toml"), None) is not None


def run(
    place: Place,
    *,
    engine: EngineName = "auto",
    mutate: bool = False,
    jobs: int | None = None,
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> Trial:
    """Runs the suites; ``tell`` hears how many mutants were tried of how many."""
    told = tuple((suite, tuple(differences(suite, place.register, engine))) for suite in place.chosen)
    tried: tuple[Tried, ...] | None = None
    if mutate and not any(found for _, found in told):
        tried = tuple(_mutants(place, jobs, tell))
    seen = coverage(place.register, place.suites)
    return Trial(
        revision=place.register.revision,
        engine=engine,
        told=told,
        coverage=seen.of(place.own),
        tried=tried,
    )


def _mutants(place: Place, jobs: int | None, tell: Callable[[int, int], None]) -> Iterator[Tried]:
    from chartulary.workbench import mutate

    bench = mutate.Bench(place.register, place.suites)
    chosen = [mutant for mutant in mutate.mutants(place.register) if _belongs(place, mutant.node)]
    for number, tried in enumerate(mutate.attempt_all(bench, chosen, jobs=jobs), 1):
        tell(number, len(chosen))
        yield tried


def _belongs(place: Place, node: str) -> bool:
    """Whether a fault in a node is for the chosen suites to notice: it is of their policies, or shared by all of them.

    What the shipped register's policies share is not for the suites of a folder on top of it to notice.
    """
    if node.startswith(place.own):
        return True
    shipped = place.suites[0].folder.resolve().is_relative_to(data_folder("policies").resolve())
    return place.whole and shipped and not node.startswith(tuple(suite.own for suite in place.suites))


# --- How it is written ------------------------------------------------------------------------------------------------


def percent(part: int, whole: int) -> str:
    """A share with one decimal, never rounded up: 100 % is all of it."""
    return f"{math.floor(1000 * part / whole) / 10:.1f} %" if whole else "–"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def show(console: Console, trial: Trial) -> None:
    """For people."""
    for suite, found in trial.told:
        size = " and ".join(
            _count(number, noun)
            for number, noun in ((len(suite.examples), "claim"), (len(suite.questions), "question"))
            if number
        )
        console.print(
            Text.assemble((suite.name, "bold"), f": {size}, ", (_differ(found), "red" if found else "green")),
            soft_wrap=True,
        )
        where = ""
        for difference in found:
            if difference.where != where:
                where = difference.where
                console.print(Text(f"  {where}"), soft_wrap=True)
            console.print(Text(f"    {difference.text}"), soft_wrap=True)
    _show_coverage(console, trial.coverage)
    if trial.tried is not None:
        _show_mutants(console, trial.tried)
    _show_summary(console, trial)


def _differ(found: tuple[Difference, ...]) -> str:
    places = len({difference.where for difference in found})
    return f"{places} not as the suite says" if found else "as the suite says"


def _gaps(seen: Coverage) -> Iterator[tuple[str, str, frozenset[str]]]:
    """A key, the words for it, and what it is true of."""
    yield "provisions_never", "in scope of no claim, in no answer", seen.never
    yield "provisions_never_broken", "provisions that no claim breaks", seen.never_broken
    yield "provisions_never_kept", "provisions that no claim keeps", seen.never_kept
    yield "criteria_never", "criteria that are worked out for no claim", seen.criteria_never
    yield "criteria_never_met", "criteria that are met on no claim", seen.criteria_never_met
    yield "criteria_never_not_met", "criteria that no claim leaves unmet", seen.criteria_never_not_met


def _shares(seen: Coverage) -> Iterator[tuple[str, int, int]]:
    provisions, criteria = seen.provisions.values(), seen.criteria.values()
    obliging = [use for use in provisions if use.obliges]
    yield "provisions exercised", sum(use.exercised for use in provisions), len(provisions)
    yield "provisions kept and broken", sum(bool(use.kept and use.broken) for use in obliging), len(obliging)
    yield "criteria met and not met", sum(bool(use.met and use.not_met) for use in criteria), len(criteria)


def _show_coverage(console: Console, seen: Coverage) -> None:
    console.print()
    console.print(Text("Coverage", "bold"))
    for words, part, of in _shares(seen):
        console.print(f"  {percent(part, of):>7}  {words} ({part} of {of})")
    for _, words, names in _gaps(seen):
        if names:
            console.print(Text(f"  {words}:", "yellow"))
            for name in sorted(names):
                console.print(Text(f"    {_short(name)}"), soft_wrap=True)


def _show_mutants(console: Console, tried: Iterable[Tried]) -> None:
    tried = list(tried)
    counts = Counter((each.policy, each.verdict) for each in tried)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("Mutants", no_wrap=True)
    for heading in ("tried", "killed", "survived", "equivalent", "killed of the rest"):
        table.add_column(heading, justify="right")
    policies = sorted({each.policy for each in tried})
    for policy in [*policies, None] if len(policies) > 1 else policies:
        killed, survived, equivalent = (
            sum(counts[name, verdict] for name in ([policy] if policy is not None else policies))
            for verdict in ("killed", "survived", "equivalent")
        )
        table.add_row(
            "all" if policy is None else policy or "(shared)",
            *map(str, (killed + survived + equivalent, killed, survived, equivalent)),
            percent(killed, killed + survived),
            style="bold" if policy is None else "",
        )
    console.print()
    console.print(table)
    for verdict, words in (
        ("survived", "No suite notices"),
        ("equivalent", "No suite could notice: rules and questions read the same, whatever the day"),
    ):
        if some := [each for each in tried if each.verdict == verdict]:
            console.print()
            console.print(Text(words, "yellow" if verdict == "survived" else "dim"))
            for each in some:
                line = f"  {_short(each.mutant.node)}: {each.mutant.text}"
                console.print(Text(line, "" if verdict == "survived" else "dim"), soft_wrap=True)


def _show_summary(console: Console, trial: Trial) -> None:
    claims = sum(len(suite.examples) for suite, _ in trial.told)
    questions = sum(len(suite.questions) for suite, _ in trial.told)
    differ = sum(len({difference.where for difference in found}) for _, found in trial.told)
    asked = f" and {_count(questions, 'question')}" if questions else ""
    said = f"{differ} not as the suites say" if differ else "all as the suites say"
    console.print()
    text = f"{_count(claims, 'claim')}{asked} in {_count(len(trial.told), 'suite')}: {said}"
    if trial.tried is not None:
        killed, rest = score(trial.tried)
        text += f"; {killed} of {rest} mutants noticed ({percent(killed, rest)})"
    console.print(Text(text, "bold red" if differ else "bold"))


def score(tried: Iterable[Tried]) -> tuple[int, int]:
    """Mutants killed, and how many could be."""
    verdicts = Counter(each.verdict for each in tried)
    return verdicts["killed"], verdicts["killed"] + verdicts["survived"]


def _short(iri: str) -> str:
    return iri.removeprefix(_POLICY).removeprefix(ROOT)


def as_json(trial: Trial) -> dict[str, Any]:
    """The same as plain JSON values."""
    whole: dict[str, Any] = {
        "register_revision": trial.revision,
        "engine": trial.engine,
        "suites": [
            {
                "policy": suite.name,
                "claims": len(suite.examples),
                "questions": len(suite.questions),
                "differences": [{"where": each.where, "text": each.text} for each in found],
            }
            for suite, found in trial.told
        ],
        "coverage": {
            **{
                words.replace(" ", "_"): {"count": part, "of": of, "percent": math.floor(1000 * part / of) / 10}
                for words, part, of in _shares(trial.coverage)
                if of
            },
            **{key: sorted(names) for key, _, names in _gaps(trial.coverage)},
        },
    }
    if trial.tried is not None:
        killed, rest = score(trial.tried)
        whole["mutants"] = {
            "tried": len(trial.tried),
            "killed": killed,
            "survived": rest - killed,
            "equivalent": len(trial.tried) - rest,
            "percent": math.floor(1000 * killed / rest) / 10 if rest else None,
            "of": [
                {
                    "policy": each.policy or None,
                    "node": each.mutant.node,
                    "kind": each.mutant.kind,
                    "fault": each.mutant.text,
                    "verdict": each.verdict,
                    "by": each.by or None,
                }
                for each in trial.tried
            ],
        }
    return whole


def progress(done: int, of: int) -> None:
    """Says on a terminal how far mutants are; nothing elsewhere."""
    if sys.stderr.isatty() and (done % 10 == 0 or done == of):
        print(f"\r{done} of {of} mutants tried", end="\n" if done == of else "", file=sys.stderr, flush=True)

"""Holds many claims against the register: files are cut into parts, and all cores work on them."""

from __future__ import annotations

import gc
import hashlib
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import date
from glob import glob, has_magic
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from chartulary.claim import Claim
from chartulary.errors import ChartularyError, Interrupted, Problem
from chartulary.output import Item, Ledger, Sink
from chartulary.readers import MOST_PROBLEMS_WITHOUT_CLAIM, Part, parts, read_part
from chartulary.register import Register, Snapshot

if TYPE_CHECKING:
    from chartulary.engines import EngineName
    from chartulary.snapshot import Unknown

_FEW = 100
"""Claims that are not worth a set-at-a-time engine."""
_AT_ONCE = 10_000
"""Claims that an engine is given together."""
LARGE = 2_000_000
"""Bytes of input from which more than one core is worth its start."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How claims are judged; enough for another process to prepare the same."""

    policies: Path | None = None
    cache: Path | None = None
    as_known_on: date | None = None
    unknown: Unknown = "review"
    engine: EngineName = "auto"
    receipts: Path | None = None
    """A folder for a receipt of each decision."""

    def snapshot(self) -> Snapshot:
        register = Register.load(policies=self.policies, cache=self.cache)
        return register.snapshot(as_known_on=self.as_known_on, unknown=self.unknown)


@dataclass(slots=True)
class Done:
    """What came of one part."""

    written: Any = None
    """Its results in the form that was asked for."""
    outcomes: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)


Write = Callable[[list[Item]], Any]
"""Puts what came of a part into the form that goes to the output."""


def inputs(names: Iterable[str], *, output: Path | None = None) -> Iterator[str]:
    """The files behind names: a folder stands for every file under it, a pattern for what it matches, in order.

    What is neither is passed on, to be a problem when it is opened. ``output``, and what lies beside it while a run
    goes on, is not read where a folder or pattern only happens to hold it.
    """
    own = str(output.resolve()) if output else None

    def is_claims(path: Path) -> bool:
        name = str(path.resolve())
        return path.is_file() and not (own and (name == own or name.startswith((f"{own}.resume", f"{own}.parts"))))

    for name in names:
        if name != "-" and Path(name).is_dir():
            found = [path for path in sorted(Path(name).rglob("*")) if is_claims(path)]
            shown = [str(p) for p in found if not any(x.startswith(".") for x in p.relative_to(name).parts)]
            yield from shown or [name]
        elif name != "-" and has_magic(name) and not Path(name).exists():
            yield from sorted(path for path in glob(name, recursive=True) if is_claims(Path(path))) or [name]  # noqa: PTH207
        else:
            yield name


def key_of(claim: Claim) -> str:
    """Names a claim by file, place and identifier: the same file gives the same keys in every run."""
    text = "\0".join((claim.source, claim.where, claim.id))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


class Worker:
    """Reads, judges and writes parts; one in each process."""

    def __init__(self, settings: Settings, write: Write, snapshot: Snapshot | None = None) -> None:
        self._settings, self._write = settings, write
        self._snapshot = snapshot or settings.snapshot()

    def work(self, part: Part | Problem, source: str) -> Done:
        items: list[Item | Claim] = []
        waiting: list[int] = []
        claims = 0
        for item in [part] if isinstance(part, Problem) else read_part(part, source=source):
            items.append(item)
            if isinstance(item, Claim):
                claims += 1
                waiting.append(len(items) - 1)
                if len(waiting) == _AT_ONCE:
                    self._judge(items, waiting)
                    waiting = []
            elif len(items) == MOST_PROBLEMS_WITHOUT_CLAIM and not claims:
                break
        self._judge(items, waiting)
        judged = cast("list[Item]", items)
        return Done(
            self._write(judged),
            Counter(item[1].outcome for item in judged if not isinstance(item, Problem)),
            [item for item in judged if isinstance(item, Problem)],
        )

    def judge(self, claims: Iterable[Claim]) -> list[Item]:
        """Reports on claims, in their order; a claim on which the rules fail is a problem."""
        items: list[Item | Claim] = list(claims)
        for start in range(0, len(items), _AT_ONCE):
            self._judge(items, list(range(start, min(start + _AT_ONCE, len(items)))))
        return cast("list[Item]", items)

    def _judge(self, items: list[Item | Claim], places: list[int]) -> None:
        """Puts reports where claims were."""
        claims = [cast(Claim, items[place]) for place in places]
        engine: EngineName = self._settings.engine
        if engine == "auto":
            engine = "python" if len(claims) < _FEW else "sql"
        try:
            reports = list(self._snapshot.validate_all(claims, engine=engine)) if claims else []
        except Exception as fault:  # a bug, or too little memory: it costs only the claims that it is about
            if len(claims) > 1:
                half = len(claims) // 2
                self._judge(items, places[:half])
                self._judge(items, places[half:])
                return
            what = f"the rules failed on this claim ({type(fault).__name__}); this is a bug in Chartulary"
            items[places[0]] = Problem(claims[0].source, claims[0].where, what)
            return
        if self._settings.receipts and reports:
            from chartulary import receipts

            made = (
                receipts.receipt(c, r, unknown=self._settings.unknown) for c, r in zip(claims, reports, strict=True)
            )
            receipts.write(made, self._settings.receipts)
        for place, claim, report in zip(places, claims, reports, strict=True):
            items[place] = key_of(claim), report


_worker: Worker | None = None


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the worker of a process; a forked one has the snapshot already."""

    settings: Settings
    write: Write
    snapshot: Snapshot | None = None

    def __call__(self) -> Worker:
        return Worker(self.settings, self.write, self.snapshot)

    def __reduce__(self) -> tuple[type[Maker], tuple[Settings, Write]]:
        return Maker, (self.settings, self.write)


def _begin(make: Callable[[], Worker]) -> None:
    """What each process does first: an interrupt is for the parent to deal with."""
    global _worker
    gc.disable()  # claims hold no cycles, and looking for some in millions of facts takes as long as the work itself
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _worker = make()


def _work(part: Part | Problem, source: str) -> Done:
    assert _worker is not None
    return _worker.work(part, source)


@dataclass(frozen=True, slots=True)
class Step:
    """A part that is done, and where it stood."""

    source: str
    number: int
    """Of the part in its file, from 0."""
    size: int
    """Bytes of the file that it stood for."""
    done: Done


def run(
    files: Iterable[str], make: Callable[[], Worker], *, jobs: int = 1, skip: Callable[[str, int], bool] | None = None
) -> Iterator[Step]:
    """Works through files, in order. ``skip`` says which parts of which files need not be done again.

    A file without a claim or a problem is a problem; of one that has a thousand problems and no claim the rest is left.
    """
    claims: Counter[str] = Counter()
    problems: Counter[str] = Counter()

    def tasks() -> Iterator[tuple[str, int, Part | Problem | None]]:
        for source in files:
            number = -1
            for number, part in enumerate(parts(source)):
                if skip is not None and skip(source, number):
                    claims[source] += 1  # it had something, or the run would not have gone on
                elif not claims[source] and problems[source] >= MOST_PROBLEMS_WITHOUT_CLAIM:
                    break
                else:
                    yield source, number, part
            yield source, number + 1, None

    def ended(source: str, number: int) -> Iterator[Step]:
        message = ""
        if not claims[source] and not problems[source]:
            message = "no claim in this file"
        elif not claims[source] and problems[source] >= MOST_PROBLEMS_WITHOUT_CLAIM:
            message = f"{problems[source]} problems and not one claim: the rest is not read"
        if message:
            yield step(source, number, 0, make().work(Problem(source, "", message), source))

    def step(source: str, number: int, size: int, done: Done) -> Step:
        claims[source] += done.outcomes.total()
        problems[source] += len(done.problems)
        return Step(source, number, size, done)

    if jobs <= 1:
        worker = make()
        make = lambda: worker  # noqa: E731
        gc.disable()  # as in the other processes
        try:
            for source, number, part in tasks():
                if part is None:
                    yield from ended(source, number)
                else:
                    yield step(source, number, _size(part), worker.work(part, source))
        finally:
            gc.enable()
        return
    going: deque[tuple[str, int, int, Future[Done] | None]] = deque()

    def first() -> Iterator[Step]:
        source, number, size, future = going.popleft()
        if future is None:
            yield from ended(source, number)
        else:
            yield step(source, number, size, future.result())

    with _pool(jobs, make) as pool:
        try:
            for source, number, part in tasks():
                future = None if part is None else pool.submit(_work, part, source)
                going.append((source, number, _size(part), future))
                if len(going) > 2 * jobs:  # what is read ahead is held in memory
                    yield from first()
            while going:
                yield from first()
        except BrokenProcessPool:
            raise ChartularyError("a process that worked on claims was stopped by the system (memory?)") from None
        finally:
            pool.shutdown(cancel_futures=True)


def _size(part: Part | Problem | None) -> int:
    return part.size if isinstance(part, Part) else 0


def _pool(jobs: int, make: Callable[[], Worker]) -> Executor:
    # Forked processes have the register already; nothing here has started a thread by now.
    method = "fork" if sys.platform == "linux" and "fork" in get_all_start_methods() else "spawn"
    return ProcessPoolExecutor(jobs, mp_context=get_context(method), initializer=_begin, initargs=(make,))


def write_all(
    files: Sequence[str],
    make: Maker,
    sink: Sink,
    *,
    ledger: Ledger | None,
    jobs: int,
    sizes: Mapping[str, int],
    tell: Callable[[Iterable[Problem]], None],
) -> Counter[str]:
    """Works through files into a sink; gives how many claims had which outcome, and how many problems there were.

    ``ledger`` notes each part that is written, so that an interrupted run can be taken up. ``sizes`` are those of the
    files in bytes, for the progress that a terminal shows.

    Raises:
        Interrupted: the user or the system stopped the run; what is written is whole.
    """
    counts: Counter[str] = Counter(ledger.counts if ledger else {})
    sink.start(ledger.position if ledger else None)
    if make.snapshot and make.settings.engine in ("auto", "sql") and jobs > 1:
        _ = make.snapshot.statements, make.snapshot.reader  # once, before processes are forked
    was = signal.signal(signal.SIGTERM, _stop)
    place = ""
    try:
        with _Progress(sum(sizes.values())) as progress:
            for step in run(files, make, jobs=jobs, skip=ledger.is_done if ledger else None):
                position = sink.add(step.done.written)
                counts.update(step.done.outcomes)
                counts["problem"] += sum(not problem.warning for problem in step.done.problems)
                tell(step.done.problems)
                place = f"{step.source}, part {step.number + 1}"
                if ledger:
                    ledger.note(step.source, step.number, position, counts)
                progress.add(step.size, counts.total() - counts["problem"])
        sink.finish()
    except KeyboardInterrupt:
        held = counts.total() - counts["problem"]
        on = "; --resume goes on from there" if ledger and held else ""
        raise Interrupted(f"stopped after {held:,} claims ({place or 'none read'}){on}") from None
    finally:
        signal.signal(signal.SIGTERM, was)
    if ledger:
        ledger.close()
    return counts


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt


class _Progress:
    """Claims, rate and time left, on a terminal; nothing where errors go elsewhere."""

    def __init__(self, total: int) -> None:
        self._bar: Any = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.fields[claims]:,} claims"),
                BarColumn(),
                TextColumn("{task.fields[rate]:,.0f} claims/s"),
                TimeElapsedColumn(),
                TextColumn("left:"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("", total=total, claims=0, rate=0.0)

    def __enter__(self) -> _Progress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def add(self, size: int, claims: int) -> None:
        """So many bytes more are done, and so many claims in all."""
        if self._bar:
            elapsed = self._bar.tasks[0].elapsed or 0
            self._bar.update(self._task, advance=size, claims=claims, rate=claims / elapsed if elapsed else 0.0)

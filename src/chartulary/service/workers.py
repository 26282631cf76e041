"""A pool of processes that answer SPARQL queries: one that takes too long is killed and replaced, the others go on."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path

import msgspec

from chartulary.service.worker import Answer, Ask, Limits, Need, Part, Refusal, frame

log = logging.getLogger("chartulary.service")

_PARTS_KEPT = 6
_PAUSE = 1.0
_SOURCE = str(Path(__file__).resolve().parents[2])
_REPLIES: msgspec.msgpack.Decoder[Answer | Refusal | Need] = msgspec.msgpack.Decoder(Answer | Refusal | Need)


class Busy(Exception):
    """More queries wait than may, or one has waited for too long; its text is one line."""


class Workers:
    """Answers queries in processes of their own. Start it and close it in the same event loop."""

    def __init__(
        self,
        make: Callable[[str, date | None], bytes],
        *,
        count: int = 2,
        seconds: float = 10.0,
        patience: float = 20.0,
        rows: int = 100_000,
        size: int = 64 * 1024 * 1024,
        memory: int = 1024 * 1024 * 1024,
        waiting: int = 32,
    ) -> None:
        """``make`` gives data to ask: N-Triples of the ``snapshot`` as known on a day (None: of all that is known), or
        N-Quads of the ``files``; it is called in a thread.

        ``seconds`` is the longest time for a query, ``patience`` (seconds) the longest wait for its turn; ``rows`` and
        ``size`` (bytes) limit an answer, ``memory`` (bytes) a process, and ``waiting`` the queries that wait.
        """
        self.seconds = seconds
        self._patience = patience
        self._make = make
        self._count = count
        self._limits = Limits(rows, size, memory)
        self._most_waiting = waiting
        self._waiting = 0
        self._free: asyncio.Queue[_Worker] = asyncio.Queue()
        self._all: set[_Worker] = set()
        self._hiring: set[asyncio.Task[None]] = set()
        self._parts: dict[Need, asyncio.Task[bytes]] = {}
        self._closed = False

    async def start(self) -> None:
        """Starts every process, and loads what is known into each."""
        await asyncio.gather(*(self._hire() for _ in range(self._count)))

    async def close(self) -> None:
        """Ends every process, at once."""
        self._closed = True
        for task in self._hiring:
            task.cancel()
        await asyncio.gather(*self._hiring, return_exceptions=True)
        await asyncio.gather(*(self._dismiss(worker) for worker in list(self._all)))

    @property
    def ready(self) -> bool:
        """Whether a query would be answered."""
        return not self._closed and bool(self._all)

    async def run(self, ask: Ask) -> Answer | Refusal:
        """Answers a query, in its turn. Whoever cancels this stops the query.

        Raises:
            Busy: it cannot be taken on now.
        """
        worker = await self._next()
        kept = False
        try:
            reply = await worker.ask(ask, self.seconds)
            kept = True
            return reply
        except TimeoutError:
            return Refusal(504, f"the query took longer than {self.seconds:g} seconds, and was stopped")
        except (EOFError, OSError):
            log.warning("a SPARQL query ended its process")
            return Refusal(422, "the query was too much: too deep, or more memory than it may take")
        finally:
            if kept and not self._closed:
                self._free.put_nowait(worker)
            else:
                worker.kill()
                self._replace(worker)

    async def _next(self) -> _Worker:
        if self._waiting >= self._most_waiting:
            raise Busy("too many queries wait; send it again")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    worker = await self._free.get()
                    if worker.alive:
                        return worker
                    self._replace(worker)
        except TimeoutError:
            raise Busy("other queries take all the time; send it again") from None
        finally:
            self._waiting -= 1

    def _replace(self, worker: _Worker) -> None:
        async def anew() -> None:
            await self._dismiss(worker)
            while True:
                try:
                    return await self._hire()
                except Exception as fault:  # whatever it is, the pool must not shrink for good
                    log.error("a SPARQL process cannot be started: %s", type(fault).__name__)
                    await asyncio.sleep(_PAUSE)

        if not self._closed:
            task = asyncio.create_task(anew())
            self._hiring.add(task)
            task.add_done_callback(self._hiring.discard)

    async def _hire(self) -> None:
        worker = _Worker(await _spawn(self._limits), self._part)
        self._all.add(worker)
        try:
            reply = await worker.ask(Ask(query="ASK {}"), 60)
            if not isinstance(reply, Answer):
                raise RuntimeError(reply.reason)
        except BaseException:
            await self._dismiss(worker)
            raise
        self._free.put_nowait(worker)

    async def _dismiss(self, worker: _Worker) -> None:
        self._all.discard(worker)
        worker.kill()
        await worker.process.wait()

    async def _part(self, need: Need) -> bytes:
        """Data for a process; what several ask for at once is made once."""
        task = self._parts.pop(need, None)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            day = None if need.day == "all" else date.fromisoformat(need.day)
            task = asyncio.create_task(asyncio.to_thread(self._make, need.what, day))
        self._parts[need] = task
        for old in list(self._parts)[:-_PARTS_KEPT]:
            del self._parts[old]
        return await asyncio.shield(task)


class _Worker:
    """A process, and the talk with it."""

    def __init__(self, process: Process, part: Callable[[Need], Awaitable[bytes]]) -> None:
        assert process.stdin is not None and process.stdout is not None
        self.process = process
        self._sink, self._source = process.stdin, process.stdout
        self._part = part

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    def kill(self) -> None:
        """Ends the process, whatever it does."""
        if self.alive:
            self.process.kill()

    async def ask(self, ask: Ask, seconds: float) -> Answer | Refusal:
        """Has a query answered.

        Raises:
            TimeoutError: it takes longer than that; what it waits for its data does not count.
            EOFError, OSError: the process ended.
        """
        clock = asyncio.get_running_loop().time
        async with asyncio.timeout(seconds) as limit:
            message: Ask | Part = ask
            while True:
                self._sink.write(frame(message))
                await self._sink.drain()
                length = int.from_bytes(await self._source.readexactly(8), "big")
                reply = _REPLIES.decode(await self._source.readexactly(length))
                if not isinstance(reply, Need):
                    return reply
                left = (limit.when() or 0.0) - clock()
                limit.reschedule(None)
                message = Part(await self._part(reply))
                limit.reschedule(clock() + left)


async def _spawn(limits: Limits) -> Process:
    found = os.environ.get("PYTHONPATH")
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "chartulary.service.worker",
        *(str(limit) for limit in (limits.rows, limits.size, limits.memory)),
        stdin=PIPE,
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([_SOURCE, *([found] if found else [])])},
    )

"""Loads a real service on this machine: ``python benchmarks/service.py [--seconds 60] [--connections 16]``.

One claim a request, over kept connections: how many a second, how long each takes, whether any fails, whether memory
stays flat. Then it is killed in the midst of requests and started again; and asked a query without an end while others
are answered. Client and service share the machine: take times as upper bounds.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import generate
from rich.console import Console
from rich.table import Table

from chartulary.readers.claim_json import claim_to_json

ENDLESS = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . FILTER(?c != ?f && ?f != ?i) }"


class Server:
    """A service in a process of its own."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self.start()

    def start(self) -> float:
        """Seconds until it answers."""
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chartulary", "serve", "--port", "0", *self._options],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr
        found = re.search(r":(\d+)/", self.process.stderr.readline())
        if not found:
            sys.exit("the service did not start")
        self.port = int(found[1])
        while True:
            try:
                if self.get("/readyz") == 200:
                    return time.perf_counter() - began
            except OSError:
                time.sleep(0.02)

    def get(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    def memory(self) -> int:
        """Bytes held by the process and its children."""
        pids = [self.process.pid]
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid:
                pids.append(int(path.parent.name))
        pages = 0
        for pid in pids:
            try:
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            except OSError:
                continue
        return pages * os.sysconf("SC_PAGE_SIZE")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def load(
    server: Server, bodies: list[bytes], *, connections: int, seconds: float, each: Callable[[], None] = lambda: None
) -> tuple[list[float], list[str]]:
    """Times of all requests, and what went wrong."""
    end = time.monotonic() + seconds
    times: list[float] = []
    faults: list[str] = []

    def one(offset: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        for body in itertools.islice(itertools.cycle(bodies), offset, None):
            if time.monotonic() > end:
                return
            began = time.perf_counter()
            try:
                connection.request("POST", "/v1/validate", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                content = answer.read()
                if answer.status != 200 or not content.endswith(b"}"):
                    faults.append(str(answer.status))
            except (OSError, http.client.HTTPException) as fault:
                faults.append(type(fault).__name__)
                return
            times.append(time.perf_counter() - began)

    threads = [threading.Thread(target=one, args=(n * 7,)) for n in range(connections)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        each()
        time.sleep(min(5.0, seconds / 10))
    return times, faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    bodies = [json.dumps(claim_to_json(claim)).encode() for claim in generate.claims(500, seed=7)]
    server = Server("--query-seconds", "2")
    try:
        load(server, bodies, connections=2, seconds=3)  # warm
        memory: list[int] = []
        times, faults = load(
            server,
            bodies,
            connections=options.connections,
            seconds=options.seconds,
            each=lambda: memory.append(server.memory()),
        )
        times.sort()
        table = Table("measure", "value", title=f"{options.connections} connections, {options.seconds:g} s")
        table.add_row("requests a second", f"{len(times) / options.seconds:,.0f}")
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            table.add_row(f"{name}, ms", f"{times[int(len(times) * share)] * 1000:.1f}")
        table.add_row("longest, ms", f"{times[-1] * 1000:.1f}")
        table.add_row("faults", str(len(faults)))
        table.add_row(
            "memory, MB: first, last, most", " ".join(f"{m / 1e6:.0f}" for m in (memory[0], memory[-1], max(memory)))
        )

        killer = threading.Timer(1.0, server.kill)
        killer.start()
        _, broken = load(server, bodies, connections=options.connections, seconds=2)
        table.add_row("killed with requests on the way", f"{len(broken)} connections ended")
        table.add_row("started again, s to the first answer", f"{server.start():.2f}")

        statuses: list[tuple[int, float]] = []

        def endless() -> None:
            began = time.perf_counter()
            statuses.append((server.get(f"/sparql?query={quote(ENDLESS)}"), time.perf_counter() - began))

        runaway = threading.Thread(target=endless)
        runaway.start()
        others: list[tuple[int, float]] = []
        while runaway.is_alive():
            asked = time.perf_counter()
            status = server.get(f"/sparql?query={quote('ASK { ?s ?p ?o }')}")
            others.append((status, time.perf_counter() - asked))
        table.add_row("query without an end: status, s", f"{statuses[0][0]}, {statuses[0][1]:.2f}")
        table.add_row(
            "queries answered meanwhile, slowest ms",
            f"{sum(status == 200 for status, _ in others)} of {len(others)}, {max(t for _, t in others) * 1000:.0f}",
        )
        Console().print(table)
    finally:
        server.kill()


if __name__ == "__main__":
    main()

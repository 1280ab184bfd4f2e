"""Measures the CPU time of server processes, not of the client, in rounds, and prints the table."""

import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

ROUNDS, PER_ROUND, WARM_UP = 25, 20, 2
Steps = Iterator[None]  # the first step of a round prepares and is not measured; each step after it is one request


def machine() -> str:
    """Returns a description of the machine in one line."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} x {model}, Python {platform.python_version()}, {platform.system()} {platform.release()}"


def compare(servers: Sequence[int], first: Steps, second: Steps) -> tuple[list[float], list[float]]:
    """Returns the milliseconds of CPU per request of two kinds, one value for each round.

    Rounds of both kinds alternate, so that other load on the machine affects both.
    """
    of_first, of_second = [], []
    for _ in range(WARM_UP + ROUNDS):
        of_first.append(_round(servers, first, PER_ROUND))
        of_second.append(_round(servers, second, PER_ROUND))
    return of_first[WARM_UP:], of_second[WARM_UP:]


def measure(servers: Sequence[int], steps: Steps, *, per_round: int = PER_ROUND) -> list[float]:
    """Returns the milliseconds of CPU per request, one value for each round."""
    rounds = [_round(servers, steps, per_round) for _ in range(WARM_UP + ROUNDS)]
    return rounds[WARM_UP:]


def show(name: str, values: list[float], unit: str = "ms") -> None:
    """Prints one line of the table: the median and the middle half of the rounds."""
    low, middle, high = statistics.quantiles(values, n=4)
    print(f"  {name:<58} {middle:8.2f} {unit:<2}  ({low:.2f} to {high:.2f})")


def _round(servers: Sequence[int], steps: Steps, per_round: int) -> float:
    next(steps)
    before = cpu_seconds(servers)
    for _ in range(per_round):
        next(steps)
    return (cpu_seconds(servers) - before) / per_round * 1000


def cpu_seconds(servers: Sequence[int]) -> float:
    """Returns the CPU seconds used so far by these processes and their children, all threads."""
    processes: list[int] = []
    for root in servers:
        processes += [root, *_children(root)]
    return sum(map(_cpu_of, processes))


def _children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in children.split()]


def _cpu_of(pid: int) -> float:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        nanoseconds = [int((thread / "schedstat").read_text(encoding="ascii").split()[0]) for thread in threads]
    except (FileNotFoundError, ProcessLookupError):  # the process has ended
        return 0.0
    return sum(nanoseconds) / 1e9

"""A progress bar on standard error for work that takes more than two seconds."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress

SHOW_AFTER_SECONDS = 2.0


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Yields a function to call with (done, total). Draws nothing if standard error is not a terminal."""
    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task(label, total=None)
    began = time.monotonic()

    def show(done: int, total: int) -> None:
        is_slow = time.monotonic() - began > SHOW_AFTER_SECONDS
        if is_slow and bar.console.is_terminal and not bar.live.is_started:
            bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield show
    finally:
        if bar.live.is_started:  # stopping a bar that never started prints an empty line
            bar.stop()

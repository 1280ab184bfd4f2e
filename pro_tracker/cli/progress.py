"""A progress bar on standard error for work that turns out to take more than two seconds."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress

SHOW_AFTER_SECONDS = 2.0


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Gives a function to call with (done, total). Into a file or pipe nothing is drawn."""
    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task(label, total=None)
    began = time.monotonic()

    def show(done: int, total: int) -> None:
        if not bar.live.is_started and time.monotonic() - began > SHOW_AFTER_SECONDS and bar.console.is_terminal:
            bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield show
    finally:
        if bar.live.is_started:  # stopping a bar that never showed would print an empty line
            bar.stop()

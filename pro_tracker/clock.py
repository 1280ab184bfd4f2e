"""The one clock. Views, tasks and commands ask it; below the edge `now` is an argument. A simulation drives it."""

from collections.abc import Callable
from datetime import UTC, datetime

_source: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731


def now() -> datetime:
    """The current moment, aware, in UTC."""
    return _source()


def drive(source: Callable[[], datetime]) -> Callable[[], datetime]:
    """Let `source` tell the time from now on; returns the source it replaces, to be put back."""
    global _source
    previous, _source = _source, source
    return previous

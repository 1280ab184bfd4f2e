"""The clock of views, tasks and commands. Services take `now` as an argument; a simulation replaces the clock."""

from collections.abc import Callable
from datetime import UTC, datetime

_source: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731


def now() -> datetime:
    """Returns the current time, aware, in UTC."""
    return _source()


def drive(source: Callable[[], datetime]) -> Callable[[], datetime]:
    """Replaces the time source of this process. Returns the previous one, with which the caller restores it."""
    global _source
    previous, _source = _source, source
    return previous

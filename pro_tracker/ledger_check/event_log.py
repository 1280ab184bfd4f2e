"""The event log: events outside the service's own tables, one JSON object per line, in the order of occurrence.

Fake providers log each message that they accept. The simulation logs patient and staff actions. docs/ledger-check.md
defines every event type.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One logged event: its line number, its time, its type and the data of that type."""

    number: int
    at: datetime
    event: str
    data: dict[str, Any]


class EventLog:
    """An append-only log file. Each entry is a single write, so entries of several processes never interleave."""

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._file = os.open(path, flags, 0o600)

    def add(self, event: str, at: datetime, *, durable: bool = False, **data: Any) -> None:
        """Appends one entry. `durable` waits for the disk, as a provider does before it confirms a message."""
        entry = {"at": at.isoformat(), "event": event, **data}
        text = json.dumps(entry, default=str, separators=(",", ":"))
        os.write(self._file, f"{text}\n".encode())
        if durable:
            os.fdatasync(self._file)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)


def read_log(path: Path, *, skip_bytes: int = 0) -> Iterator[LogEntry]:
    """Yields the entries after `skip_bytes` in order.

    Ignores an incomplete last line: its writer was killed before the event was complete.
    """
    with path.open("rb") as file:
        file.seek(skip_bytes)
        for number, line in enumerate(file):
            if line.endswith(b"\n"):
                yield _parse(number, line)


def _parse(number: int, line: bytes) -> LogEntry:
    data = json.loads(line)
    at = datetime.fromisoformat(data.pop("at"))
    event = data.pop("event")
    return LogEntry(number, at, event, data)

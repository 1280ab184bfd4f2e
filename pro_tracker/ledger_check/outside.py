"""The outside record: what happened beyond the service's own tables, one JSON object a line, in the order it happened.

Providers write what they accepted, a simulation writes what people did and what was told to the service.
docs/ledger-check.md lists every kind of line.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class EventLogLine:
    """One thing that happened: its place in the record, its moment, what it was and its particulars."""

    number: int
    at: datetime
    what: str
    facts: dict[str, Any]


class OutsideRecord:
    """Appends to a record and reads it. Each line is one write and reaches the disk before `add` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def add(self, what: str, at: datetime, *, durable: bool = False, **facts: Any) -> None:
        """Append one line. `durable`: wait for the disk, as a provider does before it says that it accepted."""
        line = json.dumps({"at": at.isoformat(), "what": what, **facts}, default=str, separators=(",", ":"))
        os.write(self._file, f"{line}\n".encode())
        if durable:
            os.fdatasync(self._file)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def read(path: Path, *, skip_bytes: int = 0) -> Iterator[EventLogLine]:
    """Every line from `skip_bytes` on, in order. One that its writer's death cut off in the middle did not happen."""
    with path.open("rb") as file:
        file.seek(skip_bytes)
        for number, line in enumerate(file):
            if line.endswith(b"\n"):
                facts = json.loads(line)
                yield EventLogLine(number, datetime.fromisoformat(facts.pop("at")), facts.pop("what"), facts)

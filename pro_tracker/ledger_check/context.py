"""Input and output of the checks."""

from dataclasses import dataclass
from pathlib import Path

from pro_tracker.ledger_check.ledger_snapshot import LedgerSnapshot
from pro_tracker.ledger_check.recorded_state import RecordedState
from pro_tracker.ledger_check.schedule import ProtocolSchedule, load_schedule


@dataclass(frozen=True)
class CheckContext:
    """The two sources that the checks compare, and the folders with the protocol files."""

    recorded: RecordedState
    ledger: LedgerSnapshot
    protocol_folders: tuple[Path, ...]

    def schedule_of(self, course: str) -> ProtocolSchedule:
        """Returns the protocol version of a course. Raises LookupError when no file contains it."""
        code, version = self.ledger.protocols[course]
        return load_schedule(self.protocol_folders, code, version)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check: how many cases it examined, and a line per violation. Lines contain ids only."""

    check: str
    examined: int
    findings: list[str]

"""Input and output of the checks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pro_tracker.ledger_check.ledger_snapshot import LedgerSnapshot, LedgerVisit
from pro_tracker.ledger_check.recorded_state import RecordedState
from pro_tracker.ledger_check.schedule import ProtocolSchedule, load_schedule
from pro_tracker.ledger_check.stored_answers import VisitAnswers
from pro_tracker.ledger_check.stored_consents import StoredConsents
from pro_tracker.ledger_check.stored_sites import StoredSites


@dataclass(frozen=True)
class CheckContext:
    """The sources that the checks compare, and the folders with the protocol files."""

    recorded: RecordedState
    ledger: LedgerSnapshot
    answers: Mapping[int, VisitAnswers]  # by visit id
    sites: StoredSites
    consents: StoredConsents
    protocol_folders: tuple[Path, ...]

    def schedule_of(self, course: str) -> ProtocolSchedule:
        """Returns the protocol version of a course. Raises LookupError when no file contains it."""
        return load_schedule(self.protocol_folders, *self.ledger.protocols[course])

    def schedule_of_visit(self, visit: LedgerVisit) -> ProtocolSchedule:
        """Returns the protocol version of a visit. Raises LookupError when no file contains it."""
        return load_schedule(self.protocol_folders, *visit.protocol)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check: how many cases it examined, and a line per violation. Lines contain ids only."""

    check: str
    examined: int
    findings: list[str]

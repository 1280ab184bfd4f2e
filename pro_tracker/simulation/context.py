"""Objects that all parts of a simulation share."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.services.audit import Actor
from pro_tracker.simulation.event_queue import EventQueue
from pro_tracker.simulation.event_recorder import EventRecorder

STAFF = Actor(ActorKind.COMMAND, "simulate")


@dataclass(frozen=True)
class SimulationContext:
    """The database session, the simulated clock, the counts to report and the event recorder."""

    session: Session
    queue: EventQueue
    counts: Counter[str]
    record_event: EventRecorder

    @property
    def now(self) -> datetime:
        """Returns the current simulated time."""
        return self.queue.now

"""Completes visits at the moment at which messages about them are being sent. Commits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from sqlalchemy import select

from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.models.message import Attempt, Message
from pro_tracker.simulation.context import STAFF, SimulationContext
from pro_tracker.simulation.patients import SimulatedPatients

KEYS_IN_FLIGHT = select(Message.key).join(Attempt).where(Attempt.outcome.is_(None))


@dataclass
class ConcurrentAnswers:
    """Selects a visit to answer in a share of the minutes in which messages are sent (`share`: 0 to 1)."""

    context: SimulationContext
    patients: SimulatedPatients
    share: float
    seed: int

    def prepare(self, message_ids: Sequence[int]) -> Callable[[], None] | None:
        """Saves the answers that one of the messages asks for. Returns the function that completes the visit.

        Returns None when no answer is due in this minute.
        """
        random = Random(f"{self.seed}:{self.context.now}:concurrent-answer")
        if not message_ids or random.random() >= self.share:
            return None
        message = self.context.session.get_one(Message, random.choice(message_ids))
        visit_id = message.visit_id
        is_saved = self.patients.sessions.save_all(visit_id)
        self.context.session.commit()
        return partial(self._complete, visit_id) if is_saved else None

    def _complete(self, visit_id: int) -> None:
        """Completes the visit and records the messages in flight.

        Completing locks the visit until the commit, so that no attempt can begin between the two log entries. A message
        whose attempt began before is either already recorded as accepted, or listed as in flight.
        """
        context = self.context
        subject_id = self.patients.sessions.complete(visit_id, STAFF, ResponseMode.TELEPHONE)
        in_flight = self._keys_in_flight(visit_id)
        context.record_event("answer-pending", subject=subject_id, visit=visit_id, in_flight=in_flight)
        context.session.commit()
        context.record_event("answered", subject=subject_id, visit=visit_id)
        context.counts["answers concurrent with sending"] += 1
        context.counts["messages in flight during an answer"] += len(in_flight)

    def _keys_in_flight(self, visit_id: int) -> list[str]:
        """Returns the keys of the visit's messages with an open attempt."""
        query = KEYS_IN_FLIGHT.where(Message.visit_id == visit_id)
        keys = self.context.session.scalars(query)
        return [str(key) for key in keys]

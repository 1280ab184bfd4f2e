"""Answers sent at the very moment at which a message about the same visit is handed over. An edge: it commits."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.models.message import Attempt, Message
from pro_tracker.simulation.calendar import Calendar
from pro_tracker.simulation.patient import Patients
from pro_tracker.simulation.telling import Tell
from pro_tracker.simulation.treatment import STAFF


@dataclass
class Races:
    """Between the people of a hard simulation and its workers, in a share of the minutes with messages."""

    session: Session
    calendar: Calendar
    patients: Patients
    share: float
    seed: int
    counts: Counter[str]
    tell: Tell

    def with_one_of(self, message_ids: Sequence[int]) -> Callable[[], None] | None:
        """Have somebody fill in what a message asks for, and return how they send it; None when nobody does now."""
        random = Random(f"{self.seed}:{self.calendar.now}:race")
        if not message_ids or random.random() >= self.share:
            return None
        visit_id = self.session.get_one(Message, random.choice(message_ids)).visit_id
        filled = self.patients.fill_in(visit_id)
        self.session.commit()
        return partial(self._send_in, visit_id) if filled else None

    def _send_in(self, visit_id: int) -> None:
        """The answers hold the visit's lock from when they are stored, so no attempt begins between the two lines.

        What had begun before either stands in the record as accepted by now, or is listed as under way.
        """
        subject_id = self.patients.send_in(visit_id, STAFF, ResponseMode.TELEPHONE)
        under_way = self._under_way(visit_id)
        self.tell("answering", subject=subject_id, visit=visit_id, under_way=under_way)
        self.session.commit()
        self.tell("answered", subject=subject_id, visit=visit_id)
        self.counts["answers racing a message"] += 1
        self.counts["messages under way then"] += len(under_way)

    def _under_way(self, visit_id: int) -> list[str]:
        keys = select(Message.key).join(Attempt).where(Message.visit_id == visit_id, Attempt.outcome.is_(None))
        return [str(key) for key in self.session.scalars(keys)]

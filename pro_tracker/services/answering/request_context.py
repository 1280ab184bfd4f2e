"""The context of a request that saves or sends answers: who acts, when, and in which mode the answers are given."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.services.audit import Actor


class Given(NamedTuple):
    """The moment of an answer that its device kept for a while, by the server's clock, and the device's count of it.

    `asked_in`: the language of the page it was given on, which may have changed since; None: the visit's.
    """

    at: datetime
    sequence: int
    asked_in: str | None = None


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Passed along the answering path as one argument; the visit's side of a request is in visit_context.py.

    The language of pages is the visit's. `device` tells the devices apart on which one visit is answered.
    """

    actor: Actor
    now: datetime
    mode: ResponseMode = ResponseMode.SELF_WEB
    device: str = ""
    given: Given | None = None  # None: now

    @property
    def given_at(self) -> datetime:
        """The moment at which the answers were given: never after `now`, when they arrived."""
        return self.now if self.given is None else min(self.given.at, self.now)

    @property
    def sequence(self) -> int:
        """The number of the answers, as counted by their device; 0 where it does not count."""
        return 0 if self.given is None else self.given.sequence

    def language_of_answers(self, visit_language: str) -> str:
        """The language in which the answers were asked, given that of the visit now."""
        return self.given.asked_in or visit_language if self.given else visit_language

    @property
    def taken_by_id(self) -> int | None:
        """The account id of the staff member who asks; None where the patient answers alone."""
        if self.actor.kind != ActorKind.ACCOUNT:
            return None
        return int(self.actor.id)


def of_patient(link_id: int | None, now: datetime, mode: ResponseMode = ResponseMode.SELF_WEB) -> RequestContext:
    """The context of a patient who answers in a browser; the audit trail knows patients by their link's id."""
    patient = Actor(ActorKind.PATIENT, str(link_id))
    return RequestContext(patient, now, mode)

"""The context of a request that saves or sends answers: who acts, when, and in which mode the answers are given."""

from dataclasses import dataclass
from datetime import datetime

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.services.audit import Actor


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Passed along the answering path as one argument; the visit's side of a request is in visit_context.py.

    The language is not here: it is the subject's, or that of the wording in which the visit was begun.
    """

    actor: Actor
    now: datetime
    mode: ResponseMode = ResponseMode.SELF_WEB

    @property
    def taken_by_id(self) -> int | None:
        """The account id of the staff member who asks; None where the patient answers alone."""
        return int(self.actor.id) if self.actor.kind == ActorKind.ACCOUNT else None


def of_patient(link_id: int | None, now: datetime) -> RequestContext:
    """The context of a patient who answers on the web; the audit trail knows patients by their link's id."""
    return RequestContext(Actor(ActorKind.PATIENT, str(link_id)), now)

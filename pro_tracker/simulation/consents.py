"""The consent of synthetic patients, where their protocol has a form: on paper, to everything that it asks for."""

from datetime import datetime

from sqlalchemy.orm import Session

from pro_tracker.domain.consent import ConsentMode, ConsentOutcome
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.subject import Subject
from pro_tracker.services.audit import Actor
from pro_tracker.services.enrolment import consent_decisions
from pro_tracker.services.enrolment.consent_decisions import ConsentFacts
from pro_tracker.services.wording import consent_forms


def agree(session: Session, actor: Actor, subject: Subject, protocol: Protocol, *, now: datetime) -> None:
    """Records the consent of a subject who was enrolled just now; nothing where the protocol has no form."""
    if not protocol.consent:
        return
    form = consent_forms.form(protocol.consent)
    facts = ConsentFacts(
        form,
        ConsentOutcome.GIVEN,
        ConsentMode.PAPER,
        subject.language,
        dict.fromkeys(form.purposes, True),
        signed_on=local_date(now, subject.time_zone),
    )
    consent_decisions.record(session, actor, subject, facts, now=now)

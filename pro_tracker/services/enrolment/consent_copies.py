"""Queues the mail that leads a person to the copy of what they agreed to. It says nothing about it by itself."""

import uuid
from datetime import datetime

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import MessageKind
from pro_tracker.domain.wall_time import local
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit


def queue(session: Session, subject: Subject, visit_id: int, *, now: datetime) -> None:
    """Queues the mail where a mail address is on file that works. Its link belongs to this visit.

    The caller holds the lock on the subject, and queues once for each decision that it recorded.
    """
    if not _has_mail(session, subject.id):
        return
    wall = local(now, subject.time_zone)
    session.add(
        Message(
            subject_id=session.get_one(Visit, visit_id).subject_id,
            visit_id=visit_id,
            kind=MessageKind.CONSENT_COPY,
            step=_next_step(session, visit_id),
            template=MessageKind.CONSENT_COPY,
            channel=Channel.EMAIL,
            local_on=wall.date(),
            local_time=wall.time().replace(microsecond=0),
            send_at=now,
            created_at=now,
        )
    )
    session.flush()


def _has_mail(session: Session, subject_id: uuid.UUID) -> bool:
    active = exists().where(
        Contact.subject_id == subject_id,
        Contact.channel == Channel.EMAIL,
        Contact.state == ContactState.ACTIVE,
    )
    return bool(session.scalar(select(active)))


def _next_step(session: Session, visit_id: int) -> int:
    """Returns the number of the next copy of the visit, from 0: visit, kind, step and channel are unique."""
    copies = select(func.count()).where(Message.visit_id == visit_id, Message.kind == MessageKind.CONSENT_COPY)
    return session.scalar(copies) or 0

"""What of a subject decides when and how messages go: contacts, own hour, all that holds messages back. Reads only."""

import uuid
from collections.abc import Iterator, Sequence
from datetime import time

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.reminder_times import Hold, Recipient, Snoozed
from pro_tracker.domain.wall_time import days_later, moment
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.interruption import Pause, Snooze
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services import protocols


def recipient(session: Session, subject: Subject) -> Recipient:
    """The subject as the rules of sending see them. Holds that are over count, too: planning again changes nothing."""
    return Recipient(
        zone=subject.time_zone,
        preferred_channel=subject.preferred_channel,
        usable=usable_channels(session, subject.id),
        message_time=subject.message_time,
        holds=(*_pauses(session, subject), *_after_infusions(session, subject)),
    )


def usable_channels(session: Session, subject_id: uuid.UUID) -> frozenset[str]:
    """The channels on which the subject has a contact that neither bounced nor said stop."""
    active = select(Contact.channel).where(Contact.subject_id == subject_id, Contact.state == "active")
    return frozenset(session.scalars(active))


def snoozes(session: Session, visit_ids: Sequence[int]) -> dict[int, list[Snoozed]]:
    """Every "not today" about these visits, in the order they were said; each visit has a list."""
    found: dict[int, list[Snoozed]] = {visit_id: [] for visit_id in visit_ids}
    rows = select(Snooze).where(Snooze.visit_id.in_(visit_ids)).order_by(Snooze.asked_at, Snooze.id)
    for each in session.scalars(rows):
        found[each.visit_id].append(Snoozed(each.asked_at, each.until_on))
    return found


def _pauses(session: Session, subject: Subject) -> Iterator[Hold]:
    """From the beginning of its first day to the end of its last, as the subject's clocks show them now."""
    for each in session.scalars(select(Pause).where(Pause.subject_id == subject.id)):
        after = None if each.until_on is None else days_later(each.until_on, 1)
        until_at = None if after is None else moment(after, time.min, subject.time_zone)
        yield Hold(moment(each.from_on, time.min, subject.time_zone), until_at, "pause")


def _after_infusions(session: Session, subject: Subject) -> Iterator[Hold]:
    """From an infusion's start, or the beginning of its day, until a morning: thinking is impaired for hours after."""
    given = select(Infusion.given_on, Infusion.started_at_local, Course.protocol_code, Course.protocol_version)
    rows = given.join(Course, Course.id == Infusion.course_id).where(Course.subject_id == subject.id)
    for given_on, started_at, code, version in session.execute(rows):
        protocol = protocols.protocol(code, version)
        if protocol.hold_days:
            from_at = moment(given_on, started_at or time.min, subject.time_zone)
            morning = days_later(given_on, protocol.hold_days)
            yield Hold(from_at, moment(morning, protocol.quiet_until, subject.time_zone), "infusion")

"""What of a subject decides when and how messages go: contacts, own hour, all that holds messages back. Reads only."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import time

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import HoldReason
from pro_tracker.domain.reminder_times import Hold, Recipient, SnoozeRequest
from pro_tracker.domain.wall_time import days_later, moment
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.interruption import Pause, Snooze
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services.protocols import protocol_catalog

Zones = Mapping[uuid.UUID, str]  # subject -> IANA zone


def recipient(session: Session, subject: Subject) -> Recipient:
    """The subject as the rules of sending see them. Holds that are over count, too: planning again changes nothing."""
    return recipients(session, [subject])[subject.id]


def recipients(session: Session, subjects: Collection[Subject]) -> dict[uuid.UUID, Recipient]:
    """`recipient` of many, in as many statements as of one."""
    zones = {subject.id: subject.time_zone for subject in subjects}
    usable, holds = _usable_channels(session, zones), defaultdict[uuid.UUID, list[Hold]](list)
    for subject_id, hold in (*_pauses(session, zones), *_after_infusions(session, zones)):
        holds[subject_id].append(hold)
    return {
        subject.id: Recipient(
            zone=subject.time_zone,
            preferred_channel=subject.preferred_channel,
            usable=frozenset(usable[subject.id]),
            message_time=subject.message_time,
            holds=tuple(holds[subject.id]),
        )
        for subject in subjects
    }


def _usable_channels(session: Session, zones: Zones) -> dict[uuid.UUID, set[Channel]]:
    """The channels on which each subject has a contact that neither bounced nor said stop."""
    active = select(Contact.subject_id, Contact.channel).where(
        Contact.subject_id.in_(zones), Contact.state == ContactState.ACTIVE
    )
    found: dict[uuid.UUID, set[Channel]] = {subject_id: set() for subject_id in zones}
    for subject_id, channel in session.execute(active):
        found[subject_id].add(channel)
    return found


def snoozes(session: Session, visit_ids: Sequence[int]) -> dict[int, list[SnoozeRequest]]:
    """Every "not today" about these visits, in the order they were said; each visit has a list."""
    found: dict[int, list[SnoozeRequest]] = {visit_id: [] for visit_id in visit_ids}
    rows = select(Snooze).where(Snooze.visit_id.in_(visit_ids)).order_by(Snooze.requested_at, Snooze.id)
    for each in session.scalars(rows):
        found[each.visit_id].append(SnoozeRequest(each.requested_at, each.until_on))
    return found


def _pauses(session: Session, zones: Zones) -> Iterator[tuple[uuid.UUID, Hold]]:
    """From the beginning of its first day to the end of its last, as the subject's clocks show them now."""
    for each in session.scalars(select(Pause).where(Pause.subject_id.in_(zones)).order_by(Pause.id)):
        zone = zones[each.subject_id]
        after = None if each.until_on is None else days_later(each.until_on, 1)
        until_at = None if after is None else moment(after, time.min, zone)
        yield each.subject_id, Hold(moment(each.from_on, time.min, zone), until_at, HoldReason.PAUSE)


def _after_infusions(session: Session, zones: Zones) -> Iterator[tuple[uuid.UUID, Hold]]:
    """From an infusion's start, or the beginning of its day, until a morning: thinking is impaired for hours after."""
    given = select(Course, Infusion.given_on, Infusion.started_at_local).join(Infusion, Infusion.course_id == Course.id)
    rows = given.where(Course.subject_id.in_(zones), Infusion.voided_at.is_(None)).order_by(Infusion.id)
    for course, given_on, started_at in session.execute(rows):
        protocol = protocol_catalog.protocol(course.protocol_code, course.protocol_version)
        if protocol.hold_days:
            zone = zones[course.subject_id]
            morning = days_later(given_on, protocol.hold_days)
            from_at, until_at = (
                moment(given_on, started_at or time.min, zone),
                moment(morning, protocol.quiet_until, zone),
            )
            yield course.subject_id, Hold(from_at, until_at, HoldReason.INFUSION)

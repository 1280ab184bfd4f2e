"""Reads the facts about a subject that decide when and on which channel messages are sent. Read only."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, time
from operator import attrgetter

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.channels import Channel, address_channel
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.infusion_times import InfusionTimes, hold_from, hold_until
from pro_tracker.domain.message_codes import HoldReason
from pro_tracker.domain.reminder_times import Hold, Recipient, SnoozeRequest
from pro_tracker.domain.wall_time import days_later, moment
from pro_tracker.models.course import COUNTS, Course, Infusion
from pro_tracker.models.interruption import Pause, Snooze
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services.clinic import channels_in_service, person
from pro_tracker.services.protocols import protocol_catalog

Zones = Mapping[uuid.UUID, str]  # subject -> IANA zone


def recipient(session: Session, subject: Subject) -> Recipient:
    """Returns the contacts, message time and holds of a subject; past holds are included, so re-planning is stable."""
    return recipients(session, [subject])[subject.id]


def recipients(session: Session, subjects: Collection[Subject]) -> dict[uuid.UUID, Recipient]:
    """Returns subject id -> `recipient`, with as many SQL statements as for one subject."""
    zones = {subject.id: subject.time_zone for subject in subjects}
    usable = _usable_channels(session, zones)
    holds = defaultdict[uuid.UUID, list[Hold]](list)
    all_holds = (*_pauses(session, zones), *_after_infusions(session, zones))
    for subject_id, hold in all_holds:
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


def last_infusion_hold(recipient: Recipient) -> tuple[datetime | None, datetime | None]:
    """Returns from when until when nothing is asked after the last infusions (UTC); None twice without an infusion.

    Holds that overlap are one.
    """
    found = [hold for hold in recipient.holds if hold.reason is HoldReason.INFUSION]
    held_from = held_until = None
    for hold in sorted(found, key=attrgetter("from_at")):
        if held_until is None or hold.from_at > held_until:
            held_from = hold.from_at
        held_until = hold.until_at
    return held_from, held_until


def _usable_channels(session: Session, zones: Zones) -> dict[uuid.UUID, set[Channel]]:
    """Returns the channels in service for which each subject has an active contact."""
    active = select(Contact.subject_id, Contact.channel)
    active = active.where(Contact.subject_id.in_(zones), Contact.state == ContactState.ACTIVE)
    users = _channels_by_address()
    found: dict[uuid.UUID, set[Channel]] = {subject_id: set() for subject_id in zones}
    for subject_id, channel in session.execute(active):
        usable = users[channel]
        found[subject_id].update(usable)
    return found


def _channels_by_address() -> Mapping[Channel, Sequence[Channel]]:
    """The channels in service by the channel whose contact they use."""
    found = defaultdict[Channel, list[Channel]](list)
    for channel in channels_in_service.channels_in_service():
        found[address_channel(channel)].append(channel)
    return found


def snoozes(session: Session, visit_ids: Sequence[int]) -> dict[int, list[SnoozeRequest]]:
    """Returns visit id -> snoozes in the order of request; each visit has a list, empty without a snooze.

    Without those that were undone, which happens before their day begins: no message of theirs was sent.
    """
    found: dict[int, list[SnoozeRequest]] = {visit_id: [] for visit_id in visit_ids}
    rows = select(Snooze).where(Snooze.visit_id.in_(visit_ids), Snooze.undone_at.is_(None))
    rows = rows.order_by(Snooze.requested_at, Snooze.id)
    for each in session.scalars(rows):
        snooze = SnoozeRequest(each.requested_at, each.until_on)
        found[each.visit_id].append(snooze)
    return found


def _pauses(session: Session, zones: Zones) -> Iterator[tuple[uuid.UUID, Hold]]:
    """Yields the holds of pauses, from the start of the first day to the end of the last, in the subject's zone."""
    rows = select(Pause).where(Pause.subject_id.in_(zones))
    rows = rows.order_by(Pause.id)
    for pause in session.scalars(rows):
        zone = zones[pause.subject_id]
        from_at = moment(pause.from_on, time.min, zone)
        until_at = None
        if pause.until_on is not None:
            day_after = days_later(pause.until_on, 1)
            until_at = moment(day_after, time.min, zone)
        yield pause.subject_id, Hold(from_at, until_at, HoldReason.PAUSE)


def _after_infusions(session: Session, zones: Zones) -> Iterator[tuple[uuid.UUID, Hold]]:
    """Yields the holds after infusions."""
    people = person.persons_by_record(session, zones)
    times = (Infusion.given_on, Infusion.started_at_local, Infusion.recorded_at)
    given = select(Course, Site.time_zone, *times)
    given = given.join(Infusion, Infusion.course_id == Course.id)
    given = given.join(Site, Site.id == Course.site_id)
    given = given.where(Course.subject_id.in_(people), Infusion.voided_at.is_(None), COUNTS)
    given = given.order_by(Infusion.id)
    for course, site_zone, given_on, started_at, recorded_at in session.execute(given):
        protocol = protocol_catalog.bound_to(course)
        if not protocol.hold_days:
            continue
        person_id = people[course.subject_id]
        infusion = InfusionTimes(given_on, started_at, recorded_at)
        from_at = hold_from(infusion, site_zone)
        until_at = hold_until(given_on, protocol, zones[person_id])
        yield person_id, Hold(from_at, until_at, HoldReason.INFUSION)

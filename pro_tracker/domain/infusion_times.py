"""The times of an infusion: its start, and until when the patient is asked nothing after it. Pure."""

from dataclasses import dataclass
from datetime import date, datetime, time

from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.wall_time import END_OF_DAY, days_later, moment


@dataclass(frozen=True, slots=True)
class InfusionTimes:
    """The stored times of one infusion: its date and start (wall time at the site, or None), when it was recorded."""

    given_on: date
    started_at_local: time | None
    recorded_at: datetime


def starts_at(infusion: InfusionTimes, site_zone: str) -> datetime:
    """Returns when the infusion began (UTC); `site_zone`: IANA name.

    Without a start time: the latest moment possible, which is when it was recorded or the end of its day. Answers of
    that day are not taken for answers under treatment without evidence.
    """
    if infusion.started_at_local is not None:
        return moment(infusion.given_on, infusion.started_at_local, site_zone)
    day_from, day_until = (moment(infusion.given_on, at, site_zone) for at in (time.min, END_OF_DAY))
    return max(day_from, min(infusion.recorded_at, day_until))


def hold_from(infusion: InfusionTimes, site_zone: str) -> datetime:
    """Returns from when messages are held (UTC): from the start, or all day where the start is not recorded."""
    return moment(infusion.given_on, infusion.started_at_local or time.min, site_zone)


def hold_until(given_on: date, protocol: Protocol, zone: str) -> datetime:
    """Returns the morning (UTC) on which the subject in `zone` may be asked again after an infusion.

    The protocol sets the number of days, since thinking is impaired for hours after an infusion.
    """
    return moment(days_later(given_on, protocol.hold_days), protocol.quiet_until, zone)

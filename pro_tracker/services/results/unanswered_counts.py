"""Counts the reasons of visits without answers by study event, small cells suppressed.

calling/unanswered.py records the reasons.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from pro_tracker.domain.disclosure import suppress_small
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.course import Course
from pro_tracker.models.site import Site
from pro_tracker.models.subject import DATA_MAY_BE_USED, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.planning.visit_filters import DISCONTINUED
from pro_tracker.services.results.aggregates import ALL_SITES


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The visits of one event without answers."""

    by_reason: Mapping[UnansweredReason, int]  # reason code -> visits, the most frequent first
    others: int | None  # visits with any other reason; None: suppressed


NONE_UNANSWERED = Unanswered({}, 0)
EventKey = tuple[str, str]  # protocol and event code
CountsBySite = Mapping[str, Mapping[UnansweredReason, int]]  # site code -> reason code -> visits


def by_event(session: Session, site_codes: Sequence[str], chosen: str) -> Mapping[tuple[str, str], Unanswered]:
    """Protocol and event code -> unanswered visits at the chosen site, or at all of these sites. One statement."""
    sites = site_codes if chosen == ALL_SITES else [chosen]
    counted = _counted(session, sites)
    return {event: _suppressed(by_site, sites) for event, by_site in counted.items()}


def _counted(session: Session, sites: Sequence[str]) -> Mapping[EventKey, CountsBySite]:
    reason = func.coalesce(Visit.void_reason, Visit.missed_reason)
    keys = (Course.protocol_code, Visit.event_code, Site.code, reason)
    rows = select(*keys, func.count()).select_from(Visit).join(Course, Course.id == Visit.course_id)
    rows = rows.join(Subject, Subject.id == Visit.subject_id).join(Site, Site.id == Subject.site_id)
    rows = rows.where(
        Visit.completed_at.is_(None),
        reason.is_not(None),
        or_(Visit.voided_at.is_(None), DISCONTINUED),
        DATA_MAY_BE_USED,
        Site.code.in_(sites),
    )
    counted: dict[EventKey, dict[str, dict[UnansweredReason, int]]] = defaultdict(lambda: defaultdict(dict))
    for protocol_code, event_code, site, code, n in session.execute(rows.group_by(*keys)):
        counted[protocol_code, event_code][site][code] = n
    return counted


def _suppressed(by_site: CountsBySite, sites: Sequence[str]) -> Unanswered:
    by_reason, others = suppress_small([by_site.get(site, {}) for site in sites])
    return Unanswered(by_reason, others)

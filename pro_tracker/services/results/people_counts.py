"""Counts people apart from courses: those behind the visits of a study event whose time is over."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from pro_tracker.domain.disclosure import Suppressed, why_people_hidden
from pro_tracker.models.assessment import Assessment
from pro_tracker.models.site import Site
from pro_tracker.services.results import assessments
from pro_tracker.services.results.assessments import EVENT_KEY, EventKey

PeopleAndCourses = tuple[int, int]


@dataclass(frozen=True, slots=True)
class People:
    """The people behind the courses of one event, or why their number is not shown; then `courses` must not be, too."""

    n: int | Suppressed
    courses: int


def by_event(session: Session, protocol_code: str, sites: Sequence[str], *, now: datetime) -> Mapping[EventKey, People]:
    """Protocol and event code -> the people of these sites together, each counted once. Two statements."""
    at_sites: dict[EventKey, list[PeopleAndCourses]] = defaultdict(list)
    rows = _counted(protocol_code, sites, now)
    of_each = rows.add_columns(*_COUNTS).group_by(*EVENT_KEY, Site.code)
    for code, event_code, _site, n_people, n_courses in session.execute(of_each):
        at_sites[code, event_code].append((n_people, n_courses))
    found: dict[EventKey, People] = {}
    together = rows.with_only_columns(*EVENT_KEY, *_COUNTS).group_by(*EVENT_KEY)
    for code, event_code, n_people, n_courses in session.execute(together):
        why = why_people_hidden(n_people, at_sites[code, event_code])
        found[code, event_code] = People(why or n_people, n_courses)
    return found


_COUNTS = (
    func.count(Assessment.person_id.distinct()),
    func.count(Assessment.course_id.distinct()),
)


def _counted(protocol_code: str, sites: Sequence[str], now: datetime) -> Select[*tuple[Any, ...]]:
    rows = select(*EVENT_KEY, Site.code).join(Site, Site.id == Assessment.site_id)
    return rows.where(
        Assessment.protocol_code == protocol_code,
        Site.code.in_(sites),
        assessments.OF_VISIT,
        assessments.is_over(now),
    )

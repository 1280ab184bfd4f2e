"""Counts why visits ended without answers, by study event, without small cells. Who gives the reason: unanswered.py."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from pro_tracker.domain.disclosure import shown_and_rest
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.course import Course
from pro_tracker.models.site import Site
from pro_tracker.models.subject import DATA_MAY_BE_USED, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.planning.visit_filters import DISCONTINUED
from pro_tracker.services.results.aggregates import ALL_SITES


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Reason code -> visits, the most frequent first, and the visits with any other reason; None: too few to tell."""

    by_reason: Mapping[UnansweredReason, int]
    others: int | None


NONE_UNANSWERED = Unanswered({}, 0)


def by_event(session: Session, site_codes: Sequence[str], chosen: str) -> Mapping[tuple[str, str], Unanswered]:
    """Protocol and event code -> what became of it at the chosen site, or at all of these. One statement."""
    sites = site_codes if chosen == ALL_SITES else [chosen]
    reason = func.coalesce(Visit.void_reason, Visit.missed_reason)
    asked = or_(Visit.voided_at.is_(None), DISCONTINUED)
    rows = select(Course.protocol_code, Visit.event_code, reason, Site.code, func.count()).select_from(Visit)
    rows = rows.join(Course, Course.id == Visit.course_id).join(Subject, Subject.id == Visit.subject_id)
    rows = rows.join(Site, Site.id == Subject.site_id).where(
        and_(Visit.completed_at.is_(None), reason.is_not(None), asked),
        DATA_MAY_BE_USED,
        Site.code.in_(sites),
    )
    counted: dict[tuple[str, str], dict[str, dict[UnansweredReason, int]]] = defaultdict(lambda: defaultdict(dict))
    for protocol_code, event_code, code, site, n in session.execute(rows.group_by(*rows.selected_columns[:4])):
        counted[protocol_code, event_code][site][code] = n
    return {key: Unanswered(*shown_and_rest([of[site] for site in sites])) for key, of in counted.items()}

"""Counts the reasons of visits without answers by study event, small cells suppressed.

A visit that was never sent has answers where an instrument of it was completed as given, or moved there: it counts as
answered there. calling/unanswered.py records the reasons.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import String, and_, case, func, literal, or_, select, type_coerce
from sqlalchemy.orm import Session

from pro_tracker.domain.disclosure import Suppressed, suppress_small
from pro_tracker.domain.unanswered import UncountedReason
from pro_tracker.models.course import COUNTS
from pro_tracker.models.site import Site
from pro_tracker.models.subject import DATA_MAY_BE_USED
from pro_tracker.models.visit import Visit
from pro_tracker.services import stored_scores
from pro_tracker.services.planning.visit_filters import DISCONTINUED
from pro_tracker.services.results.aggregates import from_visits

Reason = str  # an UnansweredReason or UncountedReason


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The visits of one event without answers."""

    by_reason: Mapping[Reason, int]  # reason code -> visits, the most frequent first
    others: int | Suppressed  # visits with any other reason


# Every answer was given after treatment had begun, so none counts where there is no other.
_UNDER_TREATMENT = and_(Visit.completed_at.is_not(None), Visit.counts_until <= Visit.completed_at)
NONE_UNANSWERED = Unanswered({}, 0)
EventKey = tuple[str, str]  # protocol and event code
CountsBySite = Mapping[str, Mapping[Reason, int]]  # site code -> reason code -> visits


def by_event(
    session: Session, sites: Sequence[str], asked: Mapping[EventKey, Mapping[str, int]]
) -> Mapping[EventKey, Unanswered]:
    """Protocol and event code -> unanswered visits at these sites together. One statement.

    `asked` has the visits that were asked, by event and site code, of the sites that hide how many of them were
    answered: the number must not follow from those without answers.
    """
    counted = _counted(session, sites)
    events = dict.fromkeys((*counted, *asked))
    return {event: _suppressed(counted.get(event, {}), asked.get(event, {}), sites) for event in events}


def _counted(session: Session, sites: Sequence[str]) -> Mapping[EventKey, CountsBySite]:
    ended = type_coerce(func.coalesce(Visit.void_reason, Visit.missed_reason), String)
    reason = case((_UNDER_TREATMENT, literal(UncountedReason.UNDER_TREATMENT.value)), else_=ended)
    keys = (Visit.protocol_code, Visit.event_code, Site.code, reason)
    visits = select(*keys, func.count()).group_by(*keys)
    visits = from_visits(visits).where(
        or_(Visit.completed_at.is_(None), _UNDER_TREATMENT),
        reason.is_not(None),
        or_(Visit.voided_at.is_(None), DISCONTINUED),
        ~stored_scores.has_counted(Visit.id),
        DATA_MAY_BE_USED,
        COUNTS,
        Site.code.in_(sites),
    )
    counted: dict[EventKey, dict[str, dict[Reason, int]]] = defaultdict(lambda: defaultdict(dict))
    for protocol_code, event_code, site, code, n in session.execute(visits):
        counted[protocol_code, event_code][site][code] = n
    return counted


def _suppressed(by_site: CountsBySite, asked: Mapping[str, int], sites: Sequence[str]) -> Unanswered:
    counts = [by_site.get(site, {}) for site in sites]
    limits = [asked.get(site) for site in sites]
    by_reason, others = suppress_small(counts, asked=limits)
    return Unanswered(by_reason, others)

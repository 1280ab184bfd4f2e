"""Counts the reasons of visits without answers by study event, small cells suppressed.

A visit that was never sent has answers where an instrument of it was completed as given, or moved there: it counts as
answered there. calling/unanswered.py records the reasons.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Select, String, case, func, select, type_coerce
from sqlalchemy.orm import Session

from pro_tracker.domain.assessment_codes import AssessmentOutcome
from pro_tracker.domain.disclosure import Suppressed, suppress_small
from pro_tracker.domain.unanswered import UncountedReason
from pro_tracker.models.assessment import Assessment
from pro_tracker.models.site import Site
from pro_tracker.services import stored_scores
from pro_tracker.services.results import assessments
from pro_tracker.services.results.assessments import EVENT_KEY, EventKey

WITHOUT_ANSWERS = (AssessmentOutcome.UNANSWERED, AssessmentOutcome.WAITING)
Reason = str  # an UnansweredReason or UncountedReason


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The visits of one event without answers."""

    by_reason: Mapping[Reason, int]  # reason code -> visits, the most frequent first
    others: int | Suppressed  # visits with any other reason
    total: int = 0  # never shown but where it follows from what is

    def where_answers_are_shown(self) -> "Unanswered":
        """These counts where the page shows how many visits were answered of those whose time is over.

        So it shows how many were not, and only their reasons can be hidden.
        """
        return replace(self, others=self.total - sum(self.by_reason.values()))


NONE_UNANSWERED = Unanswered({}, 0)
CountsBySite = Mapping[str, Mapping[Reason, int]]  # site code -> reason code -> visits


def by_event(
    session: Session, sites: Sequence[str], asked: Mapping[EventKey, Mapping[str, int]]
) -> Mapping[EventKey, Unanswered]:
    """Protocol and event code -> unanswered visits at these sites together, of all occurrences. One statement.

    `asked` has the visits that were asked, by event and site code, of the sites that hide how many of them were
    answered: the number must not follow from those without answers.
    """
    counted = _counted(session, sites)
    events = dict.fromkeys((*counted, *asked))
    return {event: _suppressed(counted.get(event, {}), asked.get(event, {}), sites) for event in events}


def _counted(session: Session, sites: Sequence[str]) -> Mapping[EventKey, CountsBySite]:
    visits = _without_answers(sites).subquery()
    keys = (visits.c.protocol_code, visits.c.event_code, visits.c.code, visits.c.reason)
    has_reason = visits.c.reason.is_not(None)
    rows = select(*keys, func.count()).where(has_reason)
    rows = rows.group_by(*keys)
    counted: dict[EventKey, dict[str, dict[Reason, int]]] = defaultdict(lambda: defaultdict(dict))
    for protocol_code, event_code, site, code, n in session.execute(rows):
        counted[protocol_code, event_code][site][code] = n
    return counted


def _without_answers(sites: Sequence[str]) -> Select[*tuple[Any, ...]]:
    """SQL: the reason of each visit that was due and has no answers in effect, and of each that was never planned."""
    under_treatment = stored_scores.has_uncounted(Assessment.visit_id)
    of_visit = func.coalesce(Assessment.ended_reason, Assessment.reason)
    reason = case((under_treatment, UncountedReason.UNDER_TREATMENT.value), else_=type_coerce(of_visit, String))
    columns = (*EVENT_KEY, Site.code, Assessment.course_id, Assessment.visit_id, reason.label("reason"))
    rows = select(*columns).join(Site, Site.id == Assessment.site_id)
    return rows.where(
        assessments.OF_VISIT,
        Assessment.outcome.in_(WITHOUT_ANSWERS),
        ~Assessment.is_optional,
        ~stored_scores.has_counted(Assessment.visit_id),
        Site.code.in_(sites),
    ).distinct()


def _suppressed(by_site: CountsBySite, asked: Mapping[str, int], sites: Sequence[str]) -> Unanswered:
    counts = [by_site.get(site, {}) for site in sites]
    limits = [asked.get(site) for site in sites]
    by_reason, others = suppress_small(counts, asked=limits)
    total = sum(sum(each.values()) for each in counts)
    return Unanswered(by_reason, others, total)

"""The results that a patient sees: the clinician's trend of the scales that the protocol names, in their language.

Change is judged there (`domain/change.py`), once for both: nothing is computed here.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from operator import attrgetter
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.typical_answer import typical_option
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import stored_scores
from pro_tracker.services.answer_corrections import acknowledgements
from pro_tracker.services.clinic import person
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.record import subject_records, trends
from pro_tracker.services.record.trends import Point, ScaleTrend, Series
from pro_tracker.services.wording import text_packs


@dataclass(frozen=True, slots=True)
class OwnResult:
    """One scale of the newest course with a score. `typical`: what people with the latest score mostly answer.

    `title_language`, `typical_language`: that of the scale's title and of `typical`.
    """

    trend: ScaleTrend
    title_language: str
    typical: str | None = None
    typical_language: str = ""

    @property
    def series(self) -> Series:
        return self.trend.current

    @property
    def answered(self) -> tuple[Point, ...]:
        """The visits with answers, with a score or without, in their order."""
        return tuple(point for point in self.series.points if point.answered)

    @property
    def latest(self) -> Point:
        """The newest visit with answers; it may have no score, where too few items were answered."""
        return self.answered[-1]


def named_scales(protocol: Protocol) -> list[tuple[str, str]]:
    """The scales that a protocol shows to patients: instrument and scale code, in the order of the file.

    Without instruments that came to raise alerts after the protocol was released.
    """
    names = (name.split(".", 1) for name in protocol.for_patients.results)
    return [(code, scale_code) for code, scale_code in names if not instrument_catalog.instrument(code).alerts]


def has_earlier(session: Session, person_id: uuid.UUID, protocol: Protocol) -> bool:
    """Returns whether there is a page of results for this person: the protocol shows some, and answers came before."""
    if not protocol.for_patients.results and not protocol.for_patients.goal:
        return False
    earlier = select(QuestionnaireResponse.id).where(
        QuestionnaireResponse.subject_id.in_(person.records_of(person_id)), stored_scores.is_in_effect()
    )
    return session.scalar(earlier.limit(1)) is not None


def of_person(session: Session, subject: Subject, protocol: Protocol, language: str) -> list[OwnResult]:
    """The results of the scales that `protocol` names, those with answers; judged as the clinician's page judges."""
    scales = named_scales(protocol)
    if not scales:
        return []
    courses = subject_records.courses_of(session, subject.id)
    visits = select(Visit).where(Visit.subject_id.in_(person.records_of(subject.id)))
    in_order = session.scalars(visits.order_by(Visit.opens_at, Visit.visit_number)).all()
    trend = trends.subject_trend(session, subject, courses, in_order, language=language)
    by_scale = {(each.instrument.code, each.scale.code): each for each in trend.scales} if trend else {}
    found = [by_scale[scale] for scale in scales if scale in by_scale]
    return list(_results(session, found, language))


@dataclass(frozen=True, slots=True)
class LookedAt:
    """The newest answers that the clinic looked at: of which event, and on which day, local to the patient."""

    event_title: str
    event_language: str
    on: date


def looked_at(session: Session, subject: Subject, protocol: Protocol, language: str) -> LookedAt | None:
    """Returns when the clinic last looked at answers; None without, and where the protocol does not show it."""
    found = acknowledgements.of_person(session, subject.id) if protocol.for_patients.looked_at else {}
    if not found:
        return None
    newest = max(found.values(), key=attrgetter("acknowledged_at", "id"))
    visit = session.get_one(Visit, newest.visit_id)
    event = protocol_catalog.bound_to(visit).event(visit.event_code)
    day = newest.acknowledged_at.astimezone(ZoneInfo(subject.time_zone)).date()
    return LookedAt(event.name(visit.infusion_day, language), event.title_language(language), day)


def _results(session: Session, found: list[ScaleTrend], language: str) -> Iterator[OwnResult]:
    wording = text_packs.in_effect(session)
    for trend in found:
        title = instrument_catalog.text_pack(trend.instrument.code, language)
        result = OwnResult(trend, title.language)
        if not result.answered:
            continue
        value = result.latest.value
        option = typical_option(trend.instrument, trend.scale, value) if value is not None else None
        if option is None:
            yield result
            continue
        response_set, code = option
        pack = wording.pack(trend.instrument.code, language)
        yield OwnResult(trend, title.language, pack.options[response_set][code], pack.language)

"""The acts of staged patients, who answer, stop or report an effect at set times through the services; staff react."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from random import Random

from sqlalchemy import select

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import visit_context
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.audit import Actor
from pro_tracker.simulation.answering_sessions import PHONE, TO_ANSWER, AnsweringSessions, AnswersByItem
from pro_tracker.simulation.context import SimulationContext
from pro_tracker.simulation.scenario import PatientScenario, StagedAct, StagedKind

PATIENT = Actor(ActorKind.PATIENT, "0")
CHECKLIST = "adverse-effects-infusion-day"
NAUSEA, HEADACHE, DREAMS = "AED2", "AED7", "AED12"
NONE, MILD, SEVERE = 0, 1, 3
WRITTEN = "It began in the car on the way home"
MISSED_AND_REACHED = (timedelta(minutes=50), timedelta(hours=2))  # from the answer
REACHED_AT_ONCE = (timedelta(minutes=40),)
TRIES = 10  # until a drawn answer differs
BEGUN = 2  # instruments that were answered before the patient stopped


@dataclass(frozen=True, slots=True)
class StagedAnswers:
    """Differences from an ordinary session. `reported`: the item of the checklist with a severe effect.

    `changes_at`, `stops_at`: the number of the instrument, from 0, before which the language changes, or nothing more
    is answered. `by_mistake`: the effect was tapped by mistake and corrected.
    """

    changes_at: int | None = None
    stops_at: int | None = None
    reported: str = ""
    by_mistake: bool = False
    written: str = ""


SESSIONS: Mapping[StagedKind, StagedAnswers] = {
    StagedKind.ANSWER: StagedAnswers(),
    StagedKind.ANSWER_IN_TWO_LANGUAGES: StagedAnswers(changes_at=BEGUN),
    StagedKind.BEGIN: StagedAnswers(stops_at=BEGUN),
    StagedKind.TAP_BY_MISTAKE: StagedAnswers(reported=HEADACHE, by_mistake=True),
    StagedKind.REPORT_EFFECT: StagedAnswers(reported=NAUSEA, written=WRITTEN),
    StagedKind.REPORT_OPEN_EFFECT: StagedAnswers(reported=DREAMS),
}
REPORTING = (StagedKind.TAP_BY_MISTAKE, StagedKind.REPORT_EFFECT, StagedKind.REPORT_OPEN_EFFECT)
CALLS: Mapping[StagedKind, Sequence[timedelta]] = {
    StagedKind.TAP_BY_MISTAKE: REACHED_AT_ONCE,
    StagedKind.REPORT_EFFECT: MISSED_AND_REACHED,
}


@dataclass
class StagedSessions:
    """Schedules and performs the acts of all staged patients."""

    context: SimulationContext
    sessions: AnsweringSessions
    random: Random = field(default_factory=partial(Random, 1))

    def schedule(self, scenario: PatientScenario, subject_id: uuid.UUID) -> None:
        """Schedules the acts of a patient who was just enrolled."""
        for act in scenario.staged_acts:
            self.context.queue.schedule(act.at, partial(self._perform, act, subject_id))

    def _perform(self, act: StagedAct, subject_id: uuid.UUID) -> None:
        visit = self._newest_visit(subject_id, asks_effects=act.kind in REPORTING)
        if act.kind == StagedKind.AMEND:
            self.sessions.amend(visit.visit_id, self.random)
        elif act.kind == StagedKind.ANSWER_LATE:
            self._answer_late(visit.visit_id)
        else:
            self._answer(visit, SESSIONS[act.kind])
            delays = CALLS.get(act.kind, ())
            if delays:
                self.sessions.alert_calls.schedule_at(visit.visit_id, delays, self.random)

    def _answer_late(self, visit_id: int) -> None:
        """Sends a late answer; draws another one where it equals the one that was sent, which is not kept."""
        for _ in range(TRIES):
            if self.sessions.answer_late(visit_id, self.random):
                return

    def _newest_visit(self, subject_id: uuid.UUID, *, asks_effects: bool) -> VisitContext:
        """Returns the visit that opened last, of those that ask for adverse effects or of the others."""
        opened = self._opened(subject_id)
        return next(visit for visit in opened if _asks(visit, CHECKLIST) is asks_effects)

    def _opened(self, subject_id: uuid.UUID) -> Iterator[VisitContext]:
        """Yields the visits that have opened, the newest first."""
        session = self.context.session
        opened = select(Visit.id)
        opened = opened.where(
            Visit.subject_id == subject_id,
            Visit.opens_at <= self.context.now,
            Visit.voided_at.is_(None),
        )
        newest_first = opened.order_by(Visit.opens_at.desc(), Visit.id.desc())
        for visit_id in session.scalars(newest_first).all():
            yield visit_context.by_visit(session, visit_id)

    def _answer(self, visit: VisitContext, staged: StagedAnswers) -> None:
        """Answers the visit and sends it, unless the patient stops on the way."""
        now = self.context.now
        drawn = list(self.sessions.drawn(visit))
        for number, (code, answers) in enumerate(drawn[: staged.stops_at]):
            visit = visit_context.by_visit(self.context.session, visit.visit_id)
            if number == staged.changes_at:
                visit = self.sessions.change_language(visit)
            given_at = now - TO_ANSWER * (len(drawn) - number)
            for given in _in_turn(code, answers, staged):
                written = {CHECKLIST: staged.written} if staged.written and code == CHECKLIST else {}
                self.sessions.give(visit, {code: given}, self._context(visit, given_at), written)
        if staged.stops_at is not None:
            self.context.counts["visits begun and not sent"] += 1
            return
        self.sessions.complete(visit.visit_id, PATIENT, ResponseMode.SELF_WEB)
        self.context.record_event("answered", subject=visit.subject_id, visit=visit.visit_id)

    def _context(self, visit: VisitContext, given_at: datetime) -> RequestContext:
        given = self.sessions.given(visit, given_at)
        return RequestContext(PATIENT, self.context.now, device=PHONE, given=given)


def _asks(visit: VisitContext, instrument_code: str) -> bool:
    return instrument_code in [instrument.code for instrument, _pack in visit.questionnaire.parts]


def _in_turn(code: str, answers: AnswersByItem, staged: StagedAnswers) -> list[AnswersByItem]:
    """Returns the answers to one instrument in the order in which they are given: once, or corrected a moment later."""
    if code != CHECKLIST:
        return [answers]
    felt: AnswersByItem = {link_id: min(value or NONE, MILD) for link_id, value in answers.items()}
    if not staged.reported:
        return [felt]
    reported = {**felt, staged.reported: SEVERE}
    return [reported, {staged.reported: NONE}] if staged.by_mistake else [reported]

"""Synthetic patients answer visits: in two languages, on two devices, in part only, or once more when it is too late.

Every answer given is an event of the log, so that check-ledger can tell where it must be stored.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from random import Random

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.consent import ASKED_IN, ConsentState
from pro_tracker.domain.errors import AlreadyAnswered, WindowClosed
from pro_tracker.domain.instrument import Instrument
from pro_tracker.domain.response_codes import EditSource, ResponseMode, ResponseStatus
from pro_tracker.languages import patient_languages
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.services.answer_corrections import amendments
from pro_tracker.services.answer_corrections.amendments import AmendmentFacts
from pro_tracker.services.answering import drafts, late_answers, responses, saving, visit_context
from pro_tracker.services.answering.free_texts import Texts
from pro_tracker.services.answering.request_context import Given, RequestContext
from pro_tracker.services.answering.saving import AlsoSaved
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.audit import Actor
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.simulation import own_goals
from pro_tracker.simulation.alert_calls import AlertCalls
from pro_tracker.simulation.answers import AnswerGenerator
from pro_tracker.simulation.consents import SimulatedConsents
from pro_tracker.simulation.context import STAFF, SimulationContext
from pro_tracker.simulation.parameters import SimulationParameters
from pro_tracker.simulation.scenario import PatientScenario

AnswersByItem = Mapping[str, int | None]
NOTHING_WRITTEN: Texts = {}
TAPPED_NEXT_TO_IT = "The patient called the next day: the answer next to it was meant."
TO_ANSWER = timedelta(minutes=2)  # one instrument
TO_CORRECT = timedelta(seconds=20)  # an answer that was tapped by mistake
TO_CORRECTION = timedelta(days=1)
OFFLINE_BEFORE = timedelta(minutes=30)  # before the visit was answered on another device
PHONE, OTHER_PHONE, CALLER = "access-phone", "access-other-phone", "account-caller"


@dataclass
class AnsweringSessions:
    """The sessions in which patients answer their visits. `scenarios`: subject id -> scenario."""

    context: SimulationContext
    parameters: SimulationParameters
    scenarios: Mapping[uuid.UUID, PatientScenario]
    consents: SimulatedConsents
    sequences: dict[int, int] = field(default_factory=dict)  # visit id -> number of answers given

    def __post_init__(self) -> None:
        self.alert_calls = AlertCalls(self.context, self.parameters.alerts)

    def answer(self, visit_id: int, actor: Actor, mode: ResponseMode) -> None:
        """Answers a visit and sends it, unless the patient stops on the way."""
        visit = self._open_visit(visit_id)
        if visit is None or not self.consents.is_asked(self.scenarios[visit.subject_id], visit, mode):
            return
        random = self._random(visit)
        stops = mode == ResponseMode.SELF_WEB and random.random() < self.parameters.answering.not_sent
        self._save(visit, RequestContext(actor, self.context.now, mode, device=_device(mode)), random, stops=stops)
        self.alert_calls.schedule(visit, random)
        if stops:
            self.context.counts["visits begun and not sent"] += 1
            return
        subject_id = self.complete(visit_id, actor, mode)
        self.context.record_event("answered", subject=subject_id, visit=visit_id)
        self._schedule_what_follows(visit_id, random)

    def _schedule_what_follows(self, visit_id: int, random: Random) -> None:
        """Schedules an answer that arrives late, and a correction by staff."""
        shares, queue, now = self.parameters.answering, self.context.queue, self.context.now
        if random.random() < shares.late:
            queue.schedule(now + OFFLINE_BEFORE, partial(self.answer_late, visit_id, random))
        if random.random() < shares.amended:
            queue.schedule(now + TO_CORRECTION, partial(self.amend, visit_id, random))

    def save_all(self, visit_id: int) -> bool:
        """Saves an answer to every item of the visit. Returns False when nothing can be answered, or not any more."""
        visit = self._open_visit(visit_id)
        if visit is None or visit.consent_state not in ASKED_IN:
            return False
        context = RequestContext(STAFF, self.context.now, ResponseMode.TELEPHONE, device=CALLER)
        self._save(visit, context, self._random(visit), stops=False)
        return True

    def complete(self, visit_id: int, actor: Actor, mode: ResponseMode) -> uuid.UUID:
        """Completes a visit with its saved answers; returns the subject's id."""
        session = self.context.session
        visit = visit_context.by_visit(session, visit_id)
        answered = RequestContext(actor, self.context.now, mode)
        responses.complete(session, visit, answered)
        own_goals.after_visit(self.context, self.parameters.own_goals, visit_id, answered)
        self.context.counts["answered"] += 1
        return visit.subject_id

    def _open_visit(self, visit_id: int) -> VisitContext | None:
        visit = visit_context.by_visit(self.context.session, visit_id)
        try:
            visit.require_open(self.context.now)
        except WindowClosed:
            self.context.counts["answers after the window closed"] += 1
            return None
        except AlreadyAnswered:
            self.context.counts["answers to completed visits"] += 1
            return None
        return visit

    def _random(self, visit: VisitContext) -> Random:
        """Returns a stream of the visit's own, so that the scenario stays the same whatever is answered how."""
        facts = self.scenarios[visit.subject_id].facts
        return Random(f"{facts.record_number}:{visit.event_code}:{visit.closes_at}")  # nosec B311  synthetic data

    def _save(self, visit: VisitContext, context: RequestContext, random: Random, *, stops: bool) -> None:
        """Saves the answers to one instrument after the other; perhaps an older one of another device comes last."""
        drawn = dict(self.drawn(visit))
        shares = self.parameters.answering
        given = _up_to_a_stop(drawn, random) if stops else drawn
        changes_at = _second_or_later(drawn, random) if random.random() < shares.language_change else ""
        for number, (code, answers) in enumerate(given.items()):
            visit = visit_context.by_visit(self.context.session, visit.visit_id)
            if code == changes_at:
                visit = self.change_language(visit)
            given_at = context.now - TO_ANSWER * (len(drawn) - number)
            self._save_one(visit, code, answers, replace(context, given=self.given(visit, given_at)), random)
        if random.random() < shares.older_device:
            code, answers = next(iter(drawn.items()))
            self._give_older(visit, code, answers, context)

    def _save_one(
        self, visit: VisitContext, code: str, answers: AnswersByItem, context: RequestContext, random: Random
    ) -> None:
        written = self._written(visit, code, random)
        self.give(visit, {code: answers}, context, written)
        self._correct_mistake(visit, {code: answers}, context, random)

    def drawn(self, visit: VisitContext) -> Iterator[tuple[str, AnswersByItem]]:
        """Yields each instrument of the visit with the answers that the patient's scenario gives."""
        scenario = self.scenarios[visit.subject_id]
        generator = AnswerGenerator(self.parameters, scenario.traits, scenario.random)
        for instrument, _pack in visit.questionnaire.parts:
            yield instrument.code, generator.draw_answers(instrument, visit.event_code)

    def change_language(self, visit: VisitContext) -> VisitContext:
        """Changes the visit to another language; returns it as it is then."""
        other = next(language for language in patient_languages() if language != visit.language)
        drafts.change_language(self.context.session, visit.subject_id, other)
        self.context.counts["languages changed on the way"] += 1
        return replace(visit, language=other)

    def _written(self, visit: VisitContext, code: str, random: Random) -> Texts:
        """Draws what is written in the free line of an instrument that has one."""
        lines = self.parameters.free_lines
        if lines is None or not instrument_catalog.instrument(code).free_text or random.random() >= lines.share:
            return NOTHING_WRITTEN
        return {code: random.choice(lines.in_language(visit.language))}

    def _correct_mistake(
        self, visit: VisitContext, answers: Mapping[str, AnswersByItem], context: RequestContext, random: Random
    ) -> None:
        """Corrects, a moment later, answers that raised alerts and were perhaps tapped by mistake."""
        for code, given in answers.items():
            instrument = instrument_catalog.instrument(code)
            raised = {each.link_id: _mildest(instrument, each.link_id) for each in instrument.alerts_in(given)}
            if not raised or self.parameters.alerts is None:
                continue
            if random.random() < self.parameters.alerts.by_mistake:
                later = context.given_at + TO_CORRECT
                self.give(visit, {code: raised}, replace(context, given=self.given(visit, later)))

    def _give_older(self, visit: VisitContext, code: str, answers: AnswersByItem, context: RequestContext) -> None:
        """Sends an answer that another device kept since before this session: the newer one stays."""
        given = self.given(visit, context.now - OFFLINE_BEFORE)
        older = replace(context, device=OTHER_PHONE, given=given)
        other = _other_answer(visit, code, answers)
        self.give(visit, {code: other}, older)
        self.context.counts["older answers that arrived later"] += 1

    def answer_late(self, visit_id: int, random: Random) -> bool:
        """Sends an answer that another device kept since before the visit was sent; returns whether it was kept."""
        session, now = self.context.session, self.context.now
        visit = visit_context.by_visit(session, visit_id)
        has_consent = visit.consent_state in (*ASKED_IN, ConsentState.OUTDATED)
        if visit.has_died or not has_consent or not late_answers.is_over(visit, now):
            return False
        instrument, _pack = random.choice(visit.questionnaire.parts)
        patient = Actor(ActorKind.PATIENT, "0")
        given = self.given(visit, now - OFFLINE_BEFORE)
        context = RequestContext(patient, now, device=OTHER_PHONE, given=given)
        answers = {instrument.code: _one_answer(instrument, random)}
        self._record(visit, answers, context)
        if not late_answers.keep(session, visit, answers, context):
            return False
        self.context.counts["answers after sending"] += 1
        self.alert_calls.schedule(visit, random)
        return True

    def amend(self, visit_id: int, random: Random) -> None:
        """Lets staff correct one answer of a sent visit, on the word of the patient."""
        session = self.context.session
        response = random.choice(_responses(session, visit_id))
        instrument = instrument_catalog.instrument(response.instrument_code, response.instrument_version)
        link_id = random.choice(list(response.answers))
        answers = {link_id: _next_to(instrument, link_id, response.answers[link_id])}
        facts = AmendmentFacts(answers, EditSource.PATIENT, TAPPED_NEXT_TO_IT)
        amendments.amend(session, STAFF, response, facts, now=self.context.now)
        known = {"subject": response.subject_id, "visit": visit_id, "instrument": instrument.code}
        self.context.record_event("amended", **known, answers=answers)
        self.context.counts["answers corrected by staff"] += 1
        self.alert_calls.schedule(visit_context.by_visit(session, visit_id), random)

    def give(
        self,
        visit: VisitContext,
        answers: Mapping[str, AnswersByItem],
        context: RequestContext,
        written: Texts = NOTHING_WRITTEN,
    ) -> None:
        """Saves answers, and what was written in the free line, and records them."""
        self._record(visit, answers, context)
        also = AlsoSaved(free_texts=written)
        saving.save_answers(self.context.session, visit, answers, context, also=also)

    def _record(self, visit: VisitContext, answers: Mapping[str, AnswersByItem], context: RequestContext) -> None:
        for code, given in answers.items():
            self.context.record_event(
                "answer",
                subject=visit.subject_id,
                visit=visit.visit_id,
                instrument=code,
                answers=given,
                language=visit.language,
                given_at=context.given_at,
                device=context.device,
                sequence=context.sequence,
            )

    def given(self, visit: VisitContext, moment: datetime) -> Given:
        """Returns when an answer is given, and its number among those of the visit."""
        number = self.sequences.get(visit.visit_id, 0) + 1
        self.sequences[visit.visit_id] = number
        return Given(moment, number)


def _responses(session: Session, visit_id: int) -> Sequence[QuestionnaireResponse]:
    """Returns the responses in effect, in a fixed order."""
    rows = select(QuestionnaireResponse).where(
        QuestionnaireResponse.visit_id == visit_id,
        QuestionnaireResponse.status != ResponseStatus.ENTERED_IN_ERROR,
    )
    return session.scalars(rows.order_by(QuestionnaireResponse.id)).all()


def _device(mode: ResponseMode) -> str:
    return CALLER if mode == ResponseMode.TELEPHONE else PHONE


def _up_to_a_stop(drawn: Mapping[str, AnswersByItem], random: Random) -> Mapping[str, AnswersByItem]:
    """Returns the instruments that a patient answers who stops on the way: the last one in part."""
    codes = list(drawn)
    most = max(1, len(codes) - 1)
    reached = codes[: random.randint(1, most)]
    answered = {code: drawn[code] for code in reached}
    last = reached[-1]
    answered[last] = _in_part(drawn[last])
    return answered


def _second_or_later(drawn: Mapping[str, AnswersByItem], random: Random) -> str:
    """Returns the instrument before which the language changes; "" if there is one instrument only."""
    _first, *others = drawn
    return random.choice(others) if others else ""


def _in_part(answers: AnswersByItem) -> AnswersByItem:
    """Returns the first half of the answers, one at least."""
    items = list(answers.items())
    return dict(items[: max(1, len(items) // 2)])


def _other_answer(visit: VisitContext, code: str, answers: AnswersByItem) -> AnswersByItem:
    """Returns another answer to the first item."""
    link_id, value = next(iter(answers.items()))
    item = next(item for item in visit.questionnaire.items if (item.instrument_code, item.link_id) == (code, link_id))
    values: Sequence[int] = [option for option, _label in item.options if option != value]
    return {link_id: values[0]}


def _next_to(instrument: Instrument, link_id: str, value: int | None) -> int:
    """Returns the option next to this one."""
    values = instrument.item(link_id).response_set.values
    if value is None:
        return values[0]
    place = values.index(value)
    nearest = place - 1 if place else 1
    return values[nearest]


def _mildest(instrument: Instrument, link_id: str) -> int:
    return min(instrument.item(link_id).response_set.values)


def _one_answer(instrument: Instrument, random: Random) -> AnswersByItem:
    item = random.choice(instrument.items)
    return {item.link_id: random.choice(item.response_set.values)}

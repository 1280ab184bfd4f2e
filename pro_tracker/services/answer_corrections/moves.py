"""Moves responses to the visit, or the person, whose answers they are."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from sqlalchemy import Select, and_, delete, or_, select, update
from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.response_codes import GIVEN_STATES, EditSource, MoveWarning
from pro_tracker.domain.visit_windows import answerable_until
from pro_tracker.models.draft_answer import DraftAnswer, LateAnswer
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.services import audit, corrections
from pro_tracker.services.answer_corrections import alerts, replacements, visit_states, voids
from pro_tracker.services.answer_corrections.replacements import Edit
from pro_tracker.services.answering import visit_accesses
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import subject_lock
from pro_tracker.services.wording import text_packs

Responses = Sequence[QuestionnaireResponse]
NOT_TARGET = "These answers cannot be moved there: the visit does not ask for them, or has its own. Choose another one."


@dataclass(frozen=True, slots=True)
class MoveFacts:
    """The visit whose answers they are, why they are moved, and whether the warnings about it were confirmed."""

    target: Visit
    reason: str
    confirmed: bool = False


def targets(session: Session, subject: Subject, responses: Responses) -> Sequence[Visit]:
    """The subject's visits that ask all these instruments and have no response to them, in the order of time."""
    rows = (
        select(Visit)
        .where(Visit.subject_id.in_(person.records_of(subject.id)))
        .order_by(Visit.opens_at, Visit.visit_number)
    )
    codes = _codes(visit_states.with_set_aside(session, responses))
    visits = session.scalars(rows)
    return [visit for visit in visits if _can_take(session, visit, codes)]


def _codes(responses: Responses) -> list[str]:
    return [response.instrument_code for response in responses]


def _can_take(session: Session, visit: Visit, codes: Collection[str]) -> bool:
    moved = set(codes)
    protocol = replacements.protocol_of(session, visit)
    if not moved <= set(protocol.asked_at(visit.event_code)):
        return False
    answered = visit_states.current_responses(session, visit.id)
    return moved.isdisjoint(answered)


def warnings(session: Session, source: Visit, target: Visit, responses: Responses) -> Sequence[MoveWarning]:
    """Warnings about a move of these responses from one visit to the other."""
    return list(_warnings(session, source, target, responses))


def _warnings(session: Session, source: Visit, target: Visit, responses: Responses) -> Iterator[MoveWarning]:
    if source.subject_id != target.subject_id:
        yield MoveWarning.PERSON
    if source.event_code != target.event_code:
        yield MoveWarning.EVENT
    authored = [response.authored_at for response in responses]
    if min(authored) < target.opens_at or max(authored) > answerable_until(target):
        yield MoveWarning.TIME
    if session.scalars(_drafted(target, responses)).first() is not None:
        yield MoveWarning.DRAFT


def move(
    session: Session, actor: Actor, responses: Responses, facts: MoveFacts, *, now: datetime
) -> Sequence[QuestionnaireResponse]:
    """Moves these responses of one visit; returns the rows at the target, which replace them.

    The target is completed when its whole battery is answered; the former visit is treated as in `voids.void`. Answers
    that the target had begun itself are kept as late answers. Raises ChangedSince if a response is not in effect any
    more, InvalidInput for a missing reason, a target that cannot take them, and warnings that were not confirmed.
    """
    reason = corrections.require_reason(facts.reason, "Say why these answers are moved.")
    target = facts.target
    if not responses:
        raise InvalidInput("There are no answers here.")
    source = session.get_one(Visit, responses[0].visit_id)
    _lock(session, source, target)
    replacements.require_current(session, responses)
    responses = visit_states.with_set_aside(session, responses)
    if not _can_take(session, target, _codes(responses)):
        raise InvalidInput(NOT_TARGET, field="target")
    if warnings(session, source, target, responses) and not facts.confirmed:
        raise InvalidInput("Confirm that you have checked this.", field="sure")
    edit = Edit(actor, now, EditSource.WRONG_VISIT, reason)
    _keep_drafted(session, target, responses, now)
    moved = [_move_one(session, response, target, edit) for response in responses]
    visit_states.complete_if_answered(session, target, now=now)
    visit_states.after_removal(session, source, now=now)
    if source.subject_id != target.subject_id:
        alerts.move_away(session, edit, source, moved)
        _move_late(session, source, moved)
    _audit(session, edit, source, moved)
    return moved


def _lock(session: Session, source: Visit, target: Visit) -> None:
    """Locks both subjects and both visits, each in the same order in every request.

    The lock of a visit waits for a patient who sends or saves answers to it.
    """
    people = {person.kept(session, source.subject_id), person.kept(session, target.subject_id)}
    for subject in sorted(people, key=lambda each: each.id):
        subject_lock.lock(session, subject)
    for visit in sorted((source, target), key=attrgetter("id")):
        session.refresh(visit, with_for_update={"of": Visit})


def _move_one(session: Session, response: QuestionnaireResponse, target: Visit, edit: Edit) -> QuestionnaireResponse:
    voids.record_former_status(session, response, reason=edit.reason, now=edit.now)
    moved = replacements.replace(session, response, edit, visit_id=target.id, subject_id=target.subject_id)
    if moved.subject_id != response.subject_id:
        alerts.raise_for(session, moved, moved.answers, now=edit.now)
    return moved


def _drafted(target: Visit, responses: Responses) -> Select[DraftAnswer]:
    answers = select(DraftAnswer)
    return answers.where(
        DraftAnswer.visit_id == target.id,
        DraftAnswer.instrument_code.in_(_codes(responses)),
    )


def _keep_drafted(session: Session, target: Visit, responses: Responses, now: datetime) -> None:
    """Keeps what the target's patient had answered to these instruments as late answers: staff decide about them."""
    draft = session.get(VisitDraft, target.id)
    if draft is None:
        return
    wording = text_packs.as_of(session, draft.text_generation)
    for answer in session.scalars(_drafted(target, responses)):
        if answer.state in GIVEN_STATES:
            pack = wording.pack(answer.instrument_code, answer.language)
            session.add(_late(answer, pack.version, draft.saved_at))
    of_moved = delete(DraftAnswer).where(
        DraftAnswer.visit_id == target.id,
        DraftAnswer.instrument_code.in_(_codes(responses)),
    )
    session.execute(of_moved)
    draft.saved_at = now  # a request that is sending these answers now reads the visit again


def _move_late(session: Session, source: Visit, moved: Responses) -> None:
    """Takes late answers along: they were given by the same person, and are shown where staff decide about them.

    Where the responses had been moved to the source before, what its own patient had answered until then stays.
    """
    arrived = replacements.arrivals(session, moved)
    came_along = replacements.came_along(LateAnswer.instrument_code, LateAnswer.received_at, arrived)
    given_elsewhere = and_(
        LateAnswer.instrument_code.in_(arrived),
        LateAnswer.device.startswith(visit_accesses.DEVICE),
        LateAnswer.device.not_in(visit_accesses.devices_of(session, source.id)),
    )
    late = update(LateAnswer).where(LateAnswer.visit_id == source.id, or_(came_along, given_elsewhere))
    session.execute(late.values(visit_id=moved[0].visit_id), execution_options={"synchronize_session": "fetch"})


def _late(answer: DraftAnswer, text_pack_version: str, received_at: datetime) -> LateAnswer:
    return LateAnswer(
        visit_id=answer.visit_id,
        instrument_code=answer.instrument_code,
        link_id=answer.link_id,
        state=answer.state,
        value=answer.value,
        language=answer.language,
        text_pack_version=text_pack_version,
        given_at=answer.given_at,
        device=answer.device,
        sequence=answer.sequence,
        received_at=received_at,
    )


def _audit(session: Session, edit: Edit, source: Visit, moved: Responses) -> None:
    """Records the move with each of the two visits. The row of one person does not name the other."""
    instruments = [response.instrument_code for response in moved]
    away: audit.Detail = {
        "visit": source.id,
        "instruments": instruments,
        "responses": [response.replaces_id or 0 for response in moved],
    }
    here: audit.Detail = {
        "visit": moved[0].visit_id,
        "instruments": instruments,
        "responses": [response.id for response in moved],
    }
    target_subject = moved[0].subject_id
    audit.record(session, edit.actor, "response.move-away", now=edit.now, subject_id=source.subject_id, detail=away)
    audit.record(session, edit.actor, "response.move-here", now=edit.now, subject_id=target_subject, detail=here)

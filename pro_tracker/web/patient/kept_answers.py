"""Takes the answers that the script of a page kept on the phone, as JSON, and names the outcome of each."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from flask import Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pro_tracker import clock
from pro_tracker.domain.consent import ConsentState
from pro_tracker.domain.errors import (
    AlreadyAnswered,
    ConsentNeeded,
    IdentityNotConfirmed,
    InvalidInput,
    NoLongerAsked,
    UnusableLink,
    WindowClosed,
)
from pro_tracker.domain.kept_answer_codes import BY_STATUS, KeptAnswerOutcome, ReplyState
from pro_tracker.domain.visit_windows import visit_status
from pro_tracker.services.answering import kept_answers, responses
from pro_tracker.services.answering.kept_answers import KeptAnswer
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.answering.visit_context import VisitContext, reread
from pro_tracker.web import access, given_times
from pro_tracker.web.patient import current
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.session import commit, db_session

Reply = tuple[Response, int]
REFUSED: dict[type[Exception], ReplyState] = {
    IdentityNotConfirmed: ReplyState.UNCONFIRMED,
    UnusableLink: ReplyState.UNCONFIRMED,
    ConsentNeeded: ReplyState.UNCONFIRMED,  # the start page leads to the consent form, and the device keeps its answers
    NoLongerAsked: ReplyState.NO_LONGER_ASKED,
    WindowClosed: ReplyState.PLANNED,  # all other ways in which a window is closed leave answers late
}
HTTP_STATUS = {
    ReplyState.OPEN: 200,
    ReplyState.SENT: 200,
    ReplyState.OVER: 200,
    ReplyState.HELD: 200,
    ReplyState.PLANNED: 409,
    ReplyState.NO_LONGER_ASKED: 410,
    ReplyState.UNCONFIRMED: 401,
    ReplyState.UNREADABLE: 400,
}
MOST_ANSWERS = 500  # of one request; a device sends the others with the next one
Milliseconds = Field(ge=0, lt=10**15)


class _Kept(BaseModel):
    """One answer of the request. `given_at` and `sequence` are the device's."""

    model_config = ConfigDict(extra="forbid", strict=True)

    item: str = Field(max_length=200)
    value: int | None
    given_at: int = Milliseconds
    sequence: int = Milliseconds
    asked_in: str = Field("", max_length=20)
    free_text: str | None = Field(None, max_length=2000)


class _Request(BaseModel):
    """Content of a request: answers, `sent_at` by its own clock, and whether the person has sent the visit.

    `seen`: the name of the question on its screen; "" for none.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    sent_at: int = Milliseconds
    answers: list[_Kept] = Field(max_length=MOST_ANSWERS)
    seen: str = Field("", max_length=200)
    send: bool = False


@blueprint.post("/visit/<visit>/answers")
@access.patient
def take_kept() -> Reply:
    """Takes kept answers, and sends the visit if the person has asked for it.

    No form token: no form of another site can post JSON, and the cookie of the visit is not sent along with one.
    """
    sent = _request()
    if sent is None:
        return _reply(ReplyState.UNREADABLE)
    now = clock.now()
    try:
        return _take(current.visit_to_send_kept(now), sent, now)
    except tuple(REFUSED) as error:
        return _reply(REFUSED[type(error)])


def _request() -> _Request | None:
    """Returns what the device sent; None for anything else."""
    if not request.is_json:
        return None
    try:
        return _Request.model_validate_json(request.get_data(cache=False))
    except ValidationError:
        return None


def _take(visit: VisitContext, sent: _Request, now: datetime) -> Reply:
    context = current.context(visit, now)
    answers = [_answer(each, sent.sent_at, now) for each in sent.answers]
    outcomes = kept_answers.take(db_session(), visit, answers, context, seen=sent.seen)
    if sent.send and visit.consent_state is ConsentState.OUTDATED:
        commit()  # what was answered stays; the new version of the form is read before anything is sent
        return _reply(ReplyState.UNCONFIRMED)
    if sent.send:
        _send(reread(db_session(), visit), context)
    commit()
    if sent.send or KeptAnswerOutcome.LATE in outcomes:
        visit = reread(db_session(), visit)
    return _reply(_state(visit, now), outcomes)


def _answer(kept: _Kept, sent_at: int, now: datetime) -> KeptAnswer:
    given = given_times.kept(kept.given_at, sent_at, kept.sequence, kept.asked_in, now)
    return KeptAnswer(
        item=kept.item,
        value=kept.value,
        given=given,
        free_text=kept.free_text,
    )


def _send(visit: VisitContext, context: RequestContext) -> None:
    """Completes the visit, unless that is not possible: the state that the reply names says why."""
    with suppress(AlreadyAnswered, UnusableLink, WindowClosed, InvalidInput):
        responses.complete(db_session(), visit, context)


def _state(visit: VisitContext, now: datetime) -> ReplyState:
    if visit.stopped_at is not None:
        return ReplyState.OVER
    if visit.is_held(now):
        return ReplyState.HELD
    return BY_STATUS[visit_status(visit, now)]


def _reply(state: ReplyState, outcomes: Sequence[KeptAnswerOutcome] = ()) -> Reply:
    response = jsonify(visit=state, outcomes=list(outcomes))
    return response, HTTP_STATUS[state]

"""Replaces a response: a new row with its scores, and the row before it becomes entered-in-error, else unchanged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, inspect, or_, select
from sqlalchemy.orm import Session

from pro_tracker.domain import scoring
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import ChangedSince
from pro_tracker.domain.instrument import Instrument
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.response_codes import EditSource, ResponseStatus
from pro_tracker.domain.scoring import ScaleScore, is_complete
from pro_tracker.domain.unanswered import SetAsideReason
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import response_rows
from pro_tracker.services.audit import Actor
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog

OWN_COLUMNS = ("id", "status")  # what a new row does not take from the one it replaces
Scores = Mapping[Instrument, Sequence[ScaleScore]]  # by the version of the instrument that scores
Arrivals = Mapping[str, datetime | None]  # instrument code -> when the answers were moved to a visit; None: given there
CHANGED = "These answers were corrected since you opened the page."


@dataclass(frozen=True, slots=True)
class Edit:
    """The correction of a response: by whom and when, from which source, and why."""

    actor: Actor
    now: datetime
    source: EditSource
    reason: str

    @property
    def account_id(self) -> int | None:
        """Id of the account that corrects; None for a command or a simulation."""
        return int(self.actor.id) if self.actor.kind == ActorKind.ACCOUNT else None


def require_current(session: Session, responses: Sequence[QuestionnaireResponse]) -> None:
    """Reads the responses again, under the subject's lock. Raises ChangedSince if one of them is not in effect."""
    for response in responses:
        session.refresh(response)
        if response.status == ResponseStatus.ENTERED_IN_ERROR:
            raise ChangedSince(CHANGED)


def replace(session: Session, old: QuestionnaireResponse, edit: Edit, **changes: Any) -> QuestionnaireResponse:
    """Adds the response that replaces `old`, with these changes of its columns and with its scores; returns it.

    One that was stopped stays stopped, and without scores, until its scales can be scored; always, if another form of
    the same questions counts.
    """
    was_stopped = old.status == ResponseStatus.STOPPED
    old.status = ResponseStatus.ENTERED_IN_ERROR
    session.flush()  # before the new row, which has the same visit and instrument
    names = [column.key for column in inspect(QuestionnaireResponse).column_attrs if column.key not in OWN_COLUMNS]
    copied = {name: getattr(old, name) for name in names}
    edited = {
        "replaces_id": old.id,
        "edited_at": edit.now,
        "edited_by_id": edit.account_id,
        "edit_source": edit.source,
        "edit_reason": edit.reason,
    }
    new = QuestionnaireResponse(**{**copied, **edited, **changes}, status=ResponseStatus.AMENDED)
    scores = _scores(session, old, new)
    counts = old.stop_reason != SetAsideReason.OTHER_FORM and all(is_complete(found) for found in scores.values())
    if was_stopped and not counts:
        new.status = ResponseStatus.STOPPED
    session.add(new)
    session.flush()
    _add_scores(session, new, scores, edit.now)
    return new


def arrivals(session: Session, moved: Sequence[QuestionnaireResponse]) -> Arrivals:
    """Returns instrument code -> when the answers of moved responses had come to the visit that they left."""
    former = [session.get_one(QuestionnaireResponse, response.replaces_id) for response in moved]
    return {response.instrument_code: _arrived_at(session, response) for response in former}


def _arrived_at(session: Session, response: QuestionnaireResponse) -> datetime | None:
    """The time at which a response, or one that it replaces, was moved to its visit; None: it was given there."""
    while response.replaces_id is not None:
        before = session.get_one(QuestionnaireResponse, response.replaces_id)
        if before.visit_id != response.visit_id:
            return response.edited_at
        response = before
    return None


def came_along(code: Any, recorded_at: Any, arrived: Arrivals) -> ColumnElement[bool]:
    """SQL: a row of this instrument code and time belongs to answers that arrived then, not to those given there."""
    conditions: list[ColumnElement[bool]] = []
    for instrument_code, at in arrived.items():
        of_instrument = code == instrument_code
        if at is not None:
            of_instrument = and_(of_instrument, recorded_at >= at)
        conditions.append(of_instrument)
    return or_(*conditions)


def protocol_of(session: Session, visit: Visit) -> Protocol:
    """The protocol version that a visit was planned with."""
    return protocol_catalog.bound_to(visit)


def _scores(session: Session, old: QuestionnaireResponse, new: QuestionnaireResponse) -> Scores:
    """The scores of the new answers by every scoring version that the old ones were scored by, in the same order."""
    visit = session.get_one(Visit, new.visit_id)
    prorate = protocol_of(session, visit).prorate
    given = {link_id: value for link_id, value in new.answers.items() if value is not None}
    return {each: scoring.score(each, given, prorate=prorate) for each in _scored_by(session, old)}


def _add_scores(session: Session, response: QuestionnaireResponse, scores: Scores, now: datetime) -> None:
    is_stopped = response.status == ResponseStatus.STOPPED
    for instrument, found in scores.items():
        for score in found:
            if not is_stopped or score.reason is not None:
                session.add(Score(response_id=response.id, **response_rows.score_row(instrument, score, now)))
    session.flush()


def _scored_by(session: Session, response: QuestionnaireResponse) -> Sequence[Instrument]:
    """The versions of the instrument that scored a response, oldest scoring first; without any, the version asked."""
    rows = select(Score.scoring_version, Score.instrument_version)
    rows = rows.where(Score.response_id == response.id)
    in_order = session.execute(rows.order_by(Score.id))
    by_scoring = dict(iter(in_order))
    versions = list(by_scoring.values()) or [response.instrument_version]
    return [instrument_catalog.instrument(response.instrument_code, version) for version in versions]

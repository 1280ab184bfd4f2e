"""The context that a request about answering needs, read in one statement: link, visit, subject, clinic, draft.

Reads, and checks whether answering is possible now; responses.py writes. It holds no identity of the subject.
"""

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

from sqlalchemy import FromClause, Row, ScalarSelect, Select, Table, bindparam, func, select
from sqlalchemy.orm import Session

from pro_tracker.domain.errors import AlreadyAnswered, NotFound, UnusableLink, WindowClosed
from pro_tracker.domain.visit_windows import VisitStatus, visit_status
from pro_tracker.models.course import Course
from pro_tracker.models.link import Link
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.models.text_pack import LoadedTextPack
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.services.answering import questionnaires
from pro_tracker.services.answering.questionnaires import Answers, AnswersByItem, Questionnaire
from pro_tracker.services.wording import text_packs
from pro_tracker.services.wording.text_packs import WordingSnapshot

# Core tables, and statements built once: SQLAlchemy finds their compiled SQL in its cache, and no ORM object is made.
LINK, VISIT, DRAFT, SUBJECT, SITE, COURSE, TEXT_PACK = (
    cast(Table, model.__table__) for model in (Link, Visit, VisitDraft, Subject, Site, Course, LoadedTextPack)
)


@dataclass(frozen=True, slots=True)
class VisitContext:
    """One visit as needed to answer it. `link_id` and `revoked_at` are None when it was not reached by a link."""

    visit_id: int
    subject_id: uuid.UUID
    event_code: str
    opens_at: datetime
    due_at: datetime
    closes_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    voided_at: datetime | None
    locked_until: datetime | None
    language: str
    time_zone: str
    clinic_name: str
    clinic_phone: str
    protocol_code: str
    protocol_version: str
    answers: Answers
    saved_at: datetime | None  # of the newest of `answers`; None without any
    grace_until: datetime | None  # until when the draft may be sent, past closing
    text_generation: int  # of the wording: the newest when the visit was begun; the newest now before that
    wording: WordingSnapshot
    link_id: int | None = None
    revoked_at: datetime | None = None

    @property
    def questionnaire(self) -> Questionnaire:
        """The items that the visit asks, given the answers so far, in the subject's language."""
        key = (self.protocol_code, self.protocol_version, self.event_code)
        complete = questionnaires.questionnaire(*key, language=self.language, wording=self.wording)
        return complete.reached_by(self.answers)

    def with_answers(self, instrument_code: str, answers: AnswersByItem) -> "VisitContext":
        """The context with these answers to one instrument added to the draft."""
        merged = {**self.answers.get(instrument_code, {}), **answers}
        return replace(self, answers={**self.answers, instrument_code: merged})

    def require_open(self, now: datetime) -> None:
        """Raise AlreadyAnswered, UnusableLink or WindowClosed unless answers may be given now."""
        status = visit_status(self, now)
        if status is VisitStatus.COMPLETED:
            raise AlreadyAnswered("These questions were answered before. The first answers stand.")
        if self.revoked_at is not None:
            raise UnusableLink("This link was replaced. Use the link in the newest message, or ask for a fresh one.")
        if status in (VisitStatus.VOID, VisitStatus.MISSED):
            raise WindowClosed("The time for these questions is over.")
        if status is VisitStatus.PLANNED:
            raise WindowClosed("It is too early for these questions.")


def _newest_text_pack() -> ScalarSelect[Any]:
    return select(func.max(TEXT_PACK.c.id)).scalar_subquery()


def _statement(*, by_link: bool) -> Select[Any]:
    """The statement for one visit, by the id of its link or its own id (parameter "key")."""
    columns = [
        VISIT.c.id.label("visit_id"),
        *(VISIT.c[name] for name in ("subject_id", "event_code", "opens_at", "due_at", "closes_at")),
        *(VISIT.c[name] for name in ("started_at", "completed_at", "voided_at", "locked_until")),
        SUBJECT.c.language,
        SUBJECT.c.time_zone,
        SITE.c.name.label("clinic_name"),
        SITE.c.phone.label("clinic_phone"),
        COURSE.c.protocol_code,
        COURSE.c.protocol_version,
        DRAFT.c.answers,
        DRAFT.c.saved_at,
        DRAFT.c.grace_until,
        func.coalesce(DRAFT.c.text_generation, _newest_text_pack(), 0).label("text_generation"),
    ]
    start: FromClause = VISIT
    key = VISIT.c.id
    if by_link:
        columns += [LINK.c.id.label("link_id"), LINK.c.revoked_at]
        start = LINK.join(VISIT, LINK.c.visit_id == VISIT.c.id)
        key = LINK.c.id
    rows = start.join(SUBJECT, SUBJECT.c.id == VISIT.c.subject_id).join(SITE, SITE.c.id == SUBJECT.c.site_id)
    rows = rows.join(COURSE, COURSE.c.id == VISIT.c.course_id)
    rows = rows.outerjoin(DRAFT, DRAFT.c.visit_id == VISIT.c.id)
    return select(*columns).select_from(rows).where(key == bindparam("key"))


BY_LINK, BY_VISIT = _statement(by_link=True), _statement(by_link=False)


def by_link(session: Session, link_id: int) -> VisitContext:
    """The context of a link's visit. Raises UnusableLink when there is no such link."""
    row = session.execute(BY_LINK, {"key": link_id}).one_or_none()
    if row is None:
        raise UnusableLink("This link is not known here.")
    return _context(session, row)


def by_visit(session: Session, visit_id: int) -> VisitContext:
    """The context of a visit, for staff, imports and simulations. Raises NotFound."""
    row = session.execute(BY_VISIT, {"key": visit_id}).one_or_none()
    if row is None:
        raise NotFound("There is no such visit.")
    return _context(session, row)


def reread(session: Session, visit: VisitContext) -> VisitContext:
    """The context of the same visit as stored now."""
    if visit.link_id is None:
        return by_visit(session, visit.visit_id)
    return by_link(session, visit.link_id)


def _context(session: Session, row: Row[Any]) -> VisitContext:
    # A second statement, but only in the first request after a text pack was loaded.
    wording = text_packs.as_of(session, row.text_generation)
    return VisitContext(**{**row._mapping, "answers": row.answers or {}, "wording": wording})

"""The context that a request about answering needs, read in one statement: link, visit, subject, clinic, draft.

Reads, and checks whether answering is possible now; responses.py writes. It holds no identity of the subject.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never, cast

from sqlalchemy import BindParameter, FromClause, Row, ScalarSelect, Select, Table, bindparam, func, or_, select
from sqlalchemy.orm import Session

from pro_tracker.db import json_rows
from pro_tracker.domain import answering_time
from pro_tracker.domain.consent import ASKED_IN, ConsentForm, ConsentOutcome, ConsentState, FormAnswer, state
from pro_tracker.domain.errors import (
    AlreadyAnswered,
    ConsentNeeded,
    HeldAfterInfusion,
    NoLongerAsked,
    NotFound,
    UnusableLink,
    WindowClosed,
)
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.response_codes import ResponseMode, ResponseStatus
from pro_tracker.domain.subject_labels import shown_label
from pro_tracker.domain.visit_windows import VisitStatus, grace_until, visit_status
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.course import Course
from pro_tracker.models.link import Link
from pro_tracker.models.protocol_event import ProtocolConsent
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.models.text_pack import LoadedTextPack
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.models.visit_access import VisitAccess
from pro_tracker.services import consent_filters
from pro_tracker.services.answering import drafts, questionnaires
from pro_tracker.services.answering.drafts import Draft
from pro_tracker.services.answering.link_tokens import token_hash
from pro_tracker.services.answering.questionnaires import Answers, AnswersByItem, AskedItem, Questionnaire
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.wording import consent_forms, text_packs
from pro_tracker.services.wording.text_packs import WordingSnapshot

# Core tables, and statements built once: SQLAlchemy finds their compiled SQL in its cache, and no ORM object is made.
ACCESS, LINK, VISIT, DRAFT, SUBJECT, SITE, COURSE, TEXT_PACK, RESPONSE = (
    cast(Table, model.__table__)
    for model in (VisitAccess, Link, Visit, VisitDraft, Subject, Site, Course, LoadedTextPack, QuestionnaireResponse)
)
DECISION, PROTOCOL_CONSENT = cast(Table, ConsentDecision.__table__), cast(Table, ProtocolConsent.__table__)
RECORD = SUBJECT.alias("record")
CONFIRMED_FOR = timedelta(hours=4)  # allows a break, but not another person at the same phone the next day
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class VisitContext:
    """One visit as needed to answer it. `link_id` and `revoked_at` are None when it was not reached by a link."""

    visit_id: int
    subject_id: uuid.UUID  # of the record that the visit was planned for
    person_id: uuid.UUID  # of the record that is kept of this person: contacts, birth date, language
    event_code: str
    infusion_day: int | None
    opens_at: datetime
    due_at: datetime
    closes_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    voided_at: datetime | None
    stopped_at: datetime | None
    locked_until: datetime | None
    held_from: datetime | None  # of the subject: asked nothing from then to `held_until`, after an infusion
    held_until: datetime | None
    has_died: bool  # a death is recorded for the subject
    study_code: str
    chosen_label: str
    language: str  # of the visit's pages: of the visit in progress, else the subject's
    time_zone: str
    clinic_name: str
    clinic_phone: str
    emergency_number: str  # of the clinic; "" where none is set
    protocol_code: str
    protocol_version: str
    draft: Draft
    saved_at: datetime | None  # of the newest answers; None without any
    grace_until: datetime | None  # until when the draft may be sent, past closing
    text_generation: int  # of the wording: the newest when the visit was begun; the newest now before that
    wording: WordingSnapshot
    consent_answer: FormAnswer | None  # the newest answer of the person to the consent form of the visit's protocol
    answered_codes: frozenset[str] = frozenset()  # instruments with a response in effect
    link_id: int | None = None
    link_message_id: int | None = None  # the message that the link was sent with; None: opened by staff
    revoked_at: datetime | None = None
    mode: ResponseMode = ResponseMode.SELF_WEB  # of the browser in which the patient answers
    access_id: int | None = None  # of that browser
    confirmed_at: datetime | None = None  # when the birth date was given in it
    remembered_until: datetime | None = None  # until when it is not asked for again in it, if the person chose so
    has_connection: bool = True  # whether the server can choose the items of adaptive tests

    @property
    def answers(self) -> Answers:
        """The items that were answered or declined so far."""
        return self.draft.answers

    @property
    def label(self) -> str:
        """Label that says whose questions these are, without a name."""
        return shown_label(self.chosen_label, self.study_code)

    @property
    def protocol(self) -> Protocol:
        """The protocol version that the visit was planned with."""
        return protocol_catalog.protocol(self.protocol_code, self.protocol_version)

    @property
    def event_title(self) -> str:
        """The name of the study event in `event_language`."""
        return self.protocol.event(self.event_code).name(self.infusion_day, self.language)

    @property
    def event_language(self) -> str:
        """The subject's language, if the protocol names the event in it."""
        return self.protocol.event(self.event_code).title_language(self.language)

    @property
    def minutes(self) -> int:
        """The minutes that the questions take, as the patient is told."""
        return answering_time.minutes(self.questionnaire.at_most)

    @property
    def shown_until(self) -> datetime | None:
        """The moment from which this browser needs the birth date once more; None where it was not given there."""
        if self.confirmed_at is None:
            return None
        return max(self.confirmed_at + CONFIRMED_FOR, self.remembered_until or self.confirmed_at)

    @property
    def can_be_short(self) -> bool:
        """Returns whether questions that matter most are open, and others after them."""
        left = self.questionnaire.first_open(self.answers)
        return left is not None and left.position <= self.questionnaire.n_core

    @property
    def arrive_until(self) -> datetime:
        """The end of the longest grace period: until then a device that was confirmed may send what it kept."""
        return grace_until(self.closes_at, self.closes_at, self.protocol)

    @property
    def questionnaire(self) -> Questionnaire:
        """The items that the visit asks, given the answers so far, in the subject's language.

        What has a response in effect, as after a correction, is not asked again.
        """
        complete = self._complete_questionnaire
        if self.completed_at is None:
            complete = complete.without(self.answered_codes)
        return complete.reached_by(self.answers) if self.has_connection else complete.without_connection(self.answers)

    def require_living(self) -> None:
        """Raises NoLongerAsked if a death is recorded for the subject."""
        if self.has_died:
            raise NoLongerAsked("A death is recorded for this patient, so nothing is asked any more.")

    @property
    def consent_form(self) -> ConsentForm | None:
        """The newest version of the consent form of the visit's protocol; None where that has none."""
        code = protocol_catalog.protocol(self.protocol_code, self.protocol_version).consent
        return consent_forms.form(code) if code else None

    @property
    def consent_state(self) -> ConsentState:
        """The state of the person's consent to that form."""
        return state(self.consent_form, self.consent_answer)

    def require_consent(self, *, any_version: bool = False) -> None:
        """Raises ConsentNeeded unless questions may be asked by the consent form, if there is one.

        `any_version`: for answers that arrive, consent to an earlier version is enough, since that was the newest when
        the question was shown. The next page asks.
        """
        is_outdated = self.consent_state is ConsentState.OUTDATED
        if self.consent_state not in ASKED_IN and not (any_version and is_outdated):
            raise ConsentNeeded("Nothing is asked before the patient has agreed to take part.")

    def late_item(self, name: str) -> AskedItem | None:
        """The item of this name among all that the visit may ask; who answers late may have reached any."""
        return self._complete_questionnaire.possible_item(name)

    def has_response(self, instrument_code: str) -> bool:
        """Returns whether the instrument has a response in effect, or is an offline form whose test has one."""
        forms = self._complete_questionnaire.offline_forms
        of_test = [code for code, form in forms.items() if form.code == instrument_code]
        return not self.answered_codes.isdisjoint([instrument_code, *of_test])

    @property
    def _complete_questionnaire(self) -> Questionnaire:
        key = (self.protocol_code, self.protocol_version, self.event_code)
        return questionnaires.questionnaire(*key, language=self.language, wording=self.wording)

    def with_answers(self, instrument_code: str, answers: AnswersByItem) -> "VisitContext":
        """The context with these answers to one instrument added to the draft."""
        earlier = self.answers.get(instrument_code, {})
        merged = {**earlier, **answers}
        draft = replace(self.draft, answers={**self.answers, instrument_code: merged})
        return replace(self, draft=draft)

    def is_held(self, now: datetime) -> bool:
        """Returns whether the visit waits for the morning after an infusion, although its window is open."""
        if self.held_from is None or self.held_until is None or not self.held_from <= now < self.held_until:
            return False
        return self.protocol.event(self.event_code).held_after_infusion

    def require_open(self, now: datetime) -> None:
        """Raises AlreadyAnswered, UnusableLink, or a kind of WindowClosed, unless answers may be given now."""
        self.require_living()
        status = visit_status(self, now)
        if status is VisitStatus.COMPLETED:
            raise AlreadyAnswered("These questions were answered before. The first answers stand.")
        if self.revoked_at is not None:
            raise UnusableLink("This link was replaced. Use the link in the newest message, or ask for a fresh one.")
        if self.stopped_at is not None:
            raise WindowClosed("The time for these questions is over.")
        match status:
            case VisitStatus.VOID | VisitStatus.MISSED:
                raise WindowClosed("The time for these questions is over.")
            case VisitStatus.PLANNED:
                raise WindowClosed("It is too early for these questions.")
            case VisitStatus.DUE | VisitStatus.OVERDUE:
                if self.is_held(now):
                    raise HeldAfterInfusion(
                        "The patient had an infusion: ask these questions from the morning after it on."
                    )
            case _:
                assert_never(status)


def _newest_text_pack() -> ScalarSelect[Any]:
    return select(func.max(TEXT_PACK.c.id)).scalar_subquery()


def _answered_codes() -> ScalarSelect[Any]:
    """SQL: the instruments of the visit that have a response in effect; NULL without any."""
    in_effect = RESPONSE.c.status != ResponseStatus.ENTERED_IN_ERROR
    codes = select(json_rows(RESPONSE.c.instrument_code)).where(RESPONSE.c.visit_id == VISIT.c.id, in_effect)
    return codes.correlate_except(RESPONSE).scalar_subquery()


def _consent_answer() -> ScalarSelect[Any]:
    """SQL: the newest answer of the person to the consent form of the visit's protocol; NULL without any."""
    newest = consent_filters.newest(DECISION.c.id, SUBJECT.c.id, PROTOCOL_CONSENT.c.form_code)
    rows = select(json_rows(DECISION.c.version, DECISION.c.outcome)).select_from(PROTOCOL_CONSENT)
    rows = rows.join(DECISION, DECISION.c.id == newest).where(
        PROTOCOL_CONSENT.c.protocol_code == VISIT.c.protocol_code,
        PROTOCOL_CONSENT.c.protocol_version == VISIT.c.protocol_version,
    )
    return rows.correlate_except(PROTOCOL_CONSENT, DECISION).scalar_subquery()


def _rows(start: FromClause) -> Select[Any]:
    """The statement for what every context holds. `start` is the table of visits, or joins it to a narrower one."""
    joined = start.join(RECORD, RECORD.c.id == VISIT.c.subject_id)
    joined = joined.join(SUBJECT, SUBJECT.c.id == func.coalesce(RECORD.c.merged_into_id, RECORD.c.id))
    joined = joined.join(SITE, SITE.c.id == SUBJECT.c.site_id)
    joined = joined.join(COURSE, COURSE.c.id == VISIT.c.course_id)
    joined = joined.outerjoin(DRAFT, DRAFT.c.visit_id == VISIT.c.id)
    return select(
        VISIT.c.id.label("visit_id"),
        VISIT.c.subject_id,
        SUBJECT.c.id.label("person_id"),
        VISIT.c.event_code,
        VISIT.c.infusion_day,
        VISIT.c.opens_at,
        VISIT.c.due_at,
        VISIT.c.closes_at,
        VISIT.c.started_at,
        VISIT.c.completed_at,
        VISIT.c.voided_at,
        VISIT.c.stopped_at,
        VISIT.c.locked_until,
        SUBJECT.c.held_from,
        SUBJECT.c.held_until,
        SUBJECT.c.death_recorded_at.is_not(None).label("has_died"),
        SUBJECT.c.study_code,
        SUBJECT.c.label.label("chosen_label"),
        func.coalesce(DRAFT.c.language, SUBJECT.c.language).label("language"),
        SUBJECT.c.time_zone,
        SITE.c.name.label("clinic_name"),
        SITE.c.phone.label("clinic_phone"),
        SITE.c.emergency_number,
        VISIT.c.protocol_code,
        VISIT.c.protocol_version,
        drafts.rows_of(VISIT.c.id).label("draft"),
        _answered_codes().label("answered_codes"),
        _consent_answer().label("consent_answer"),
        DRAFT.c.saved_at,
        DRAFT.c.grace_until,
        func.coalesce(DRAFT.c.text_generation, _newest_text_pack(), 0).label("text_generation"),
    ).select_from(joined)


KEY: BindParameter[Any] = bindparam("key")
LINK_TO_VISIT = LINK.join(VISIT, VISIT.c.id == LINK.c.visit_id)
OF_LINK = (LINK.c.id.label("link_id"), LINK.c.message_id.label("link_message_id"), LINK.c.revoked_at)
BY_VISIT = _rows(VISIT).where(VISIT.c.id == KEY)
BY_LINK = _rows(LINK_TO_VISIT).add_columns(*OF_LINK).where(LINK.c.id == KEY)
# An access through a revoked link ends with it: the same browser may have opened a newer link.
IS_VALID = (
    ACCESS.c.ended_at.is_(None),
    or_(ACCESS.c.confirmed_at > bindparam("confirmed_after"), ACCESS.c.remembered_until > bindparam("now")),
    LINK.c.revoked_at.is_(None),
)
BY_ACCESS = _rows(ACCESS.join(LINK_TO_VISIT, LINK.c.id == ACCESS.c.link_id))
BY_ACCESS = BY_ACCESS.add_columns(*OF_LINK, ACCESS.c.mode, ACCESS.c.id.label("access_id"))
BY_ACCESS = BY_ACCESS.add_columns(ACCESS.c.confirmed_at, ACCESS.c.remembered_until)
BY_ACCESS = BY_ACCESS.where(ACCESS.c.secret_hash == KEY, *IS_VALID)


def by_link(session: Session, link_id: int) -> VisitContext:
    """The context of a link's visit. Raises UnusableLink when there is no such link."""
    row = session.execute(BY_LINK, {"key": link_id}).one_or_none()
    if row is None:
        raise UnusableLink("This link is not known here.")
    return _context(session, row)


def by_access(session: Session, secret: str, *, now: datetime) -> VisitContext | None:
    """The context of the visit that a browser with this secret may read and answer; None once the access has ended."""
    return _by_access(session, secret, confirmed_after=now - CONFIRMED_FOR, now=now)


def by_access_to_write(session: Session, secret: str) -> VisitContext | None:
    """The context of the visit to which a browser with this secret may send the answers that it kept.

    That needs no confirmation of the last hours, since it shows nothing. None once the access was ended.
    """
    return _by_access(session, secret, confirmed_after=LONG_AGO, now=LONG_AGO)


def _by_access(session: Session, secret: str, *, confirmed_after: datetime, now: datetime) -> VisitContext | None:
    key = {"key": token_hash(secret), "confirmed_after": confirmed_after, "now": now}
    row = session.execute(BY_ACCESS, key).one_or_none()
    return None if row is None else _context(session, row)


def by_visit(session: Session, visit_id: int) -> VisitContext:
    """The context of a visit, for staff, imports and simulations. Raises NotFound."""
    row = session.execute(BY_VISIT, {"key": visit_id}).one_or_none()
    if row is None:
        raise NotFound("There is no such visit.")
    return _context(session, row)


def by_visits(session: Session, visit_ids: Collection[int]) -> Sequence[VisitContext]:
    """The contexts of these visits that exist, in the order of their ids. One statement."""
    rows = _rows(VISIT).where(VISIT.c.id.in_(visit_ids)).order_by(VISIT.c.id)
    return [_context(session, row) for row in session.execute(rows)]


def reread(session: Session, visit: VisitContext) -> VisitContext:
    """The context of the same visit as stored now."""
    if visit.link_id is None:
        return by_visit(session, visit.visit_id)
    return by_link(session, visit.link_id)


def _context(session: Session, row: Row[Any]) -> VisitContext:
    # A second statement, but only in the first request after a text pack was loaded.
    wording = text_packs.as_of(session, row.text_generation)
    answered_codes = frozenset(code for (code,) in row.answered_codes or ())
    fields = {
        **row._mapping,
        "draft": drafts.build(row.draft),
        "wording": wording,
        "answered_codes": answered_codes,
        "consent_answer": _form_answer(row.consent_answer),
    }
    return VisitContext(**fields)


def _form_answer(rows: Sequence[tuple[str, str]] | None) -> FormAnswer | None:
    """Returns the one row of `_consent_answer`; None without any."""
    for version, outcome in rows or ():
        return FormAnswer(version, ConsentOutcome(outcome))
    return None

"""Reads what staff see of a person's consent: the form of the newest course, its state, and every decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.consent import ConsentForm, ConsentMode, ConsentState, ConsentText, FormAnswer, state
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.clinic.person import records_of
from pro_tracker.services.enrolment import consent_decisions
from pro_tracker.services.planning import visit_filters
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import courses
from pro_tracker.services.wording import consent_forms


@dataclass(frozen=True, slots=True)
class KnownConsent:
    """The consent of one person. `versions`: of the form of the newest course, the oldest first; none without a form.

    `decisions`: the newest first, voided ones too.
    """

    state: ConsentState
    versions: Sequence[ConsentForm]
    decisions: Sequence[ConsentDecision]
    language: str

    @property
    def form(self) -> ConsentForm | None:
        """The version in effect; None where the study has no consent form."""
        return self.versions[-1] if self.versions else None

    @property
    def text(self) -> ConsentText | None:
        """The text in effect in the language of the person, to be read out."""
        return self.form.text(self.language) if self.form else None

    @property
    def newest(self) -> ConsentDecision | None:
        """The newest answer in effect to the form; None without one."""
        return _newest(self.decisions, self.form.code) if self.form else None

    @property
    def open(self) -> Sequence[ConsentDecision]:
        """The declines and withdrawals that no member of staff has acknowledged."""
        return [each for each in self.decisions if consent_decisions.needs_staff(each)]


def of_subject(session: Session, subject: Subject) -> KnownConsent:
    """Returns the consent of the person to the form that the protocol of the newest course names."""
    code = _form_code(courses.current_course(session, subject))
    return _known(subject, code, consent_decisions.history(session, subject))


def summary(session: Session, subject: Subject, course: Course | None) -> KnownConsent:
    """Returns the same for a page that has read the newest course; without a statement where there is nothing to say.

    Of a person who takes part without a form, earlier decisions are left out.
    """
    code = _form_code(course)
    has_more = bool(code) or subject.withdrawn_at is not None
    return _known(subject, code, consent_decisions.history(session, subject) if has_more else ())


def _form_code(course: Course | None) -> str:
    return protocol_catalog.bound_to(course).consent if course else ""


def _known(subject: Subject, code: str, decisions: Sequence[ConsentDecision]) -> KnownConsent:
    versions = consent_forms.versions(code) if code else ()
    newest = _newest(decisions, code)
    answer = FormAnswer(newest.version, newest.outcome) if newest else None
    form = versions[-1] if versions else None
    withdrawn = subject.withdrawn_at is not None
    return KnownConsent(state(form, answer, withdrawn=withdrawn), versions, decisions, subject.language)


def visit_for_copy(session: Session, subject: Subject, mode: ConsentMode, *, now: datetime) -> int | None:
    """Returns the visit whose link leads to the copy of a consent; None for paper, of which the person has a copy."""
    if mode is ConsentMode.PAPER:
        return None
    visits = select(Visit.id).where(Visit.subject_id.in_(records_of(subject.id)), visit_filters.answerable(now))
    return session.scalar(visits.order_by(Visit.closes_at).limit(1))


def _newest(decisions: Sequence[ConsentDecision], form_code: str) -> ConsentDecision | None:
    for decision in decisions:
        if decision.form_code == form_code and consent_decisions.is_answer_in_effect(decision):
            return decision
    return None

"""The page that records a withdrawal with its scope, changes the scope, and reverts a withdrawal."""

import uuid
from datetime import datetime

from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.subject_codes import WithdrawalScope
from pro_tracker.models.subject import Subject
from pro_tracker.services.enrolment import enrolment, withdrawals
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.planning import subject_lock
from pro_tracker.web import access, labels
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, edit_conflicts, preview
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.edit_conflicts import Changer
from pro_tracker.web.staff.forms.course_forms import RevertReasonForm
from pro_tracker.web.staff.forms.withdrawal_form import WithdrawalForm

REVERT = "revert"  # prefix of field names, since the page of a withdrawn subject has two forms


@blueprint.get("/subjects/<uuid:subject_id>/withdraw")
@access.staff(Role.COORDINATOR)
def withdrawal(subject_id: uuid.UUID) -> Page:
    return _page(subject_id)


@blueprint.post("/subjects/<uuid:subject_id>/withdraw")
@access.staff(Role.COORDINATOR)
def withdraw(subject_id: uuid.UUID) -> Page | Response:
    """Records the withdrawal, or changes its scope if the subject is already withdrawn."""
    form = WithdrawalForm()
    subject = current.subject(subject_id)
    return preview.save(
        subject,
        form,
        lambda now: _withdraw(subject, form, now),
        success_message=_("The withdrawal is recorded. No more messages go out."),
        show_form=lambda: _page(subject_id, form=form),
    )


@blueprint.post("/subjects/<uuid:subject_id>/withdraw/revert")
@access.staff(Role.COORDINATOR)
def revert_withdrawal(subject_id: uuid.UUID) -> Page | Response:
    form = RevertReasonForm(prefix=REVERT)
    subject = current.subject(subject_id)
    return preview.save(
        subject,
        form,
        lambda now: _revert(subject, form, now),
        success_message=_("The withdrawal is reverted."),
        show_form=lambda: _page(subject_id, revert_form=form),
    )


def _withdraw(subject: Subject, form: WithdrawalForm, now: datetime) -> None:
    session = db_session()
    actor = access.actor()
    scope = WithdrawalScope(form.scope.data)
    subject_lock.lock(session, subject)
    requested = _values(scope, form.reason.data)
    changer = Changer(subject.id, subject.time_zone, ("subject.withdraw", "subject.return"))
    recorded = _values(subject.withdrawn_scope, subject.withdrawn_reason)
    edit_conflicts.reject_stale(form, recorded, requested, changer)
    facts = WithdrawalFacts(form.reason.data, scope)
    if subject.withdrawn_at is None:
        enrolment.withdraw(session, actor, subject, facts, now=now)
    else:
        withdrawals.change_scope(session, actor, subject, facts, now=now)


def _values(scope: WithdrawalScope | None, reason: str | None) -> edit_conflicts.RecordedValues:
    return {
        _("withdrawal"): str(labels.WITHDRAWAL_SCOPES[scope]) if scope else _("none"),
        _("reason"): reason or "–",
    }


def _fresh_form(subject: Subject) -> WithdrawalForm:
    form = WithdrawalForm(formdata=None, data={"scope": subject.withdrawn_scope})
    edit_conflicts.remember(form, _values(subject.withdrawn_scope, subject.withdrawn_reason))
    return form


def _revert(subject: Subject, form: RevertReasonForm, now: datetime) -> None:
    withdrawals.revert(
        db_session(),
        access.actor(),
        subject,
        reason=form.reason.data,
        now=now,
    )


def _page(
    subject_id: uuid.UUID, *, form: WithdrawalForm | None = None, revert_form: RevertReasonForm | None = None
) -> Page:
    subject = current.subject(subject_id)
    return current.show(
        "staff/withdraw.html",
        subject,
        form=form or _fresh_form(subject),
        revert_form=revert_form or RevertReasonForm(formdata=None, prefix=REVERT),
    )

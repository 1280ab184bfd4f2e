"""The page on which patients stop taking part. The birth date confirms it; only the clinic can undo it."""

from flask import redirect, render_template, url_for

from pro_tracker import clock
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.subject_codes import WithdrawalScope
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.audit import Actor
from pro_tracker.services.enrolment import patient_withdrawals
from pro_tracker.services.enrolment.consent_decisions import OwnWithdrawal
from pro_tracker.web import access
from pro_tracker.web.answering import Page
from pro_tracker.web.patient import consenting, current, entry
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.patient.taking_part_forms import WithdrawForm
from pro_tracker.web.session import commit, db_session


@blueprint.get("/visit/<visit>/withdraw")
@access.patient
def show_withdrawal() -> Page:
    visit = _visit()
    return _page(visit, WithdrawForm(visit.time_zone, formdata=None))


@blueprint.post("/visit/<visit>/withdraw")
@access.patient
def withdraw() -> Page:
    visit = _visit()
    form = WithdrawForm(visit.time_zone)
    if not form.validate():
        return _page(visit, form), 422
    now = clock.now()
    refused = entry.refusal(visit, form, now, show=lambda: _page(visit, form))
    if refused is not None:
        return refused
    actor = Actor(ActorKind.PATIENT, str(visit.link_id))
    chosen = OwnWithdrawal(WithdrawalScope(form.scope.data), consenting.mode(visit))
    patient_withdrawals.withdraw(db_session(), actor, _subject(visit), chosen, now=now)
    commit()
    return redirect(url_for("patient.withdrawn"), 303)


@blueprint.get("/visit/<visit>/withdrawn")
@access.patient
def withdrawn() -> Page:
    """Says what stops from now on; without a withdrawal, such as after the clinic reverted it, shows the form."""
    visit = _visit()
    scope = _subject(visit).withdrawn_scope
    if scope is None:
        return redirect(url_for("patient.show_withdrawal"))
    return render_template("patient/withdrawn.html", visit=visit, scope=scope)


def _visit() -> VisitContext:
    visit = current.visit(clock.now())
    current.require_valid_link(visit)
    return visit


def _subject(visit: VisitContext) -> Subject:
    return db_session().get_one(Subject, visit.person_id)


def _page(visit: VisitContext, form: WithdrawForm) -> str:
    return render_template("patient/withdraw.html", visit=visit, form=form)

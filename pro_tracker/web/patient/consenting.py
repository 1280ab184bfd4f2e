"""The consent form of a study, before the first question: read, agreed to purpose by purpose or declined."""

from dataclasses import replace

from flask import g, redirect, render_template, request, url_for
from flask_babel import refresh
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.consent import ConsentForm, ConsentMode, ConsentOutcome, ConsentState
from pro_tracker.domain.errors import ConsentNeeded
from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.languages import patient_languages
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering import visit_context
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.audit import Actor
from pro_tracker.services.enrolment import consent_decisions
from pro_tracker.services.enrolment.consent_decisions import ConsentFacts
from pro_tracker.services.planning import subject_lock
from pro_tracker.services.wording import consent_forms
from pro_tracker.web import access
from pro_tracker.web.answering import Page, next_page_url
from pro_tracker.web.patient import current, entry
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.patient.taking_part_forms import ConsentAnswerForm
from pro_tracker.web.session import commit, db_session


@blueprint.errorhandler(ConsentNeeded)
def ask_for_consent(_error: ConsentNeeded) -> Response:
    """Leads to the consent form, whatever was asked for: nothing is asked or stored before it is agreed to."""
    return redirect(url_for("patient.consent", short=_short()), 303)


def _short() -> str | None:
    """Returns the argument of URLs for a patient who asked for the most important questions only."""
    return "" if "short" in request.args else None


@blueprint.get("/visit/<visit>/consent")
@access.patient
def consent() -> Page:
    """Shows the form, or after a decline a page that says so. With `again`, an earlier answer can be changed."""
    visit = _open_visit()
    form = visit.consent_form
    is_again = "again" in request.args
    if form is None or (visit.consent_state is ConsentState.GIVEN and not is_again):
        return redirect(next_page_url(visit))
    if visit.consent_state is ConsentState.DECLINED and not is_again:
        return render_template("patient/consent_declined.html", visit=visit)
    return _page(visit, form, _answer_form(visit, form))


@blueprint.post("/visit/<visit>/consent")
@access.patient
def answer_consent() -> Page:
    visit = _open_visit()
    form = visit.consent_form
    if form is None:
        return redirect(next_page_url(visit))
    answer = _answer_form(visit, form)
    if "decline" in request.form:  # also of a version that is not in effect any more: no is no
        read = _as_read(form, answer.version.data)
        language = read.text_language(visit.language)
        return _record(visit, ConsentFacts(read, ConsentOutcome.DECLINED, mode(visit), language))
    return _answered(visit, form, answer)


def _answered(visit: VisitContext, form: ConsentForm, answer: ConsentAnswerForm) -> Page:
    """Records an agreement, or shows the form again: a newer version, in another language, or with what is missing."""
    if answer.version.data != form.version:
        return _page(visit, form, _answer_form(visit, form, is_new=True), is_newer=True), 422
    language = request.form.get("show_in", "")
    if language in patient_languages():
        return _in_language(visit, form, language)
    if not answer.validate_agreement(form):
        return _page(visit, form, answer), 422
    return _record(visit, _agreement(visit, form, answer))


def _as_read(form: ConsentForm, version: str | None) -> ConsentForm:
    """Returns the version of the form that the page showed; the one in effect if the page names none."""
    shown = [each for each in consent_forms.versions(form.code) if each.version == version]
    return shown[0] if shown else form


def _in_language(visit: VisitContext, form: ConsentForm, language: str) -> str:
    """Shows the form in another language, with what was entered, and keeps it for questions and messages."""
    chosen = replace(visit, language=language)
    g.language, g.visit = language, chosen
    refresh()  # parts of the form were translated already
    entry.keep_language(chosen, clock.now())
    commit()
    return _page(chosen, form, _answer_form(chosen, form))


def _agreement(visit: VisitContext, form: ConsentForm, answer: ConsentAnswerForm) -> ConsentFacts:
    return ConsentFacts(
        form,
        ConsentOutcome.GIVEN,
        mode(visit),
        form.text_language(visit.language),
        answer.agreed(form),
        answer.signed_name.data,
    )


def _open_visit() -> VisitContext:
    now = clock.now()
    visit = current.confirmed_visit(now)
    visit.require_open(now)
    return visit


def _record(visit: VisitContext, facts: ConsentFacts) -> Response:
    """Records the decision, unless staff recorded a withdrawal or a death while the form was on its way."""
    session, now = db_session(), clock.now()
    actor = Actor(ActorKind.PATIENT, str(visit.link_id))
    subject = session.get_one(Subject, visit.person_id)
    subject_lock.lock(session, subject)
    visit_context.by_visit(session, visit.visit_id).require_open(now)
    consent_decisions.record(session, actor, subject, replace(facts, visit_id=visit.visit_id), now=now)
    commit()
    is_given = facts.outcome is ConsentOutcome.GIVEN
    if not is_given:
        return redirect(url_for(".consent"), 303)
    return redirect(next_page_url(visit, is_short="short" in request.args), 303)


def mode(visit: VisitContext) -> ConsentMode:
    """Returns how a decision that is taken in this browser reached the service."""
    return ConsentMode.CLINIC_DEVICE if visit.mode is ResponseMode.CLINIC else ConsentMode.OWN_DEVICE


def _answer_form(visit: VisitContext, form: ConsentForm, *, is_new: bool = False) -> ConsentAnswerForm:
    """Returns the form as posted; `is_new`: as it is shown first, with nothing ticked."""
    answer = ConsentAnswerForm(formdata=None) if is_new else ConsentAnswerForm()
    answer.offer(form, visit.language)
    if is_new or request.method == "GET":
        answer.version.data = form.version
    return answer


def _page(visit: VisitContext, form: ConsentForm, answer: ConsentAnswerForm, *, is_newer: bool = False) -> str:
    return render_template(
        "patient/consent.html",
        form=answer,
        consent_form=form,
        text=form.text(visit.language),
        text_language=form.text_language(visit.language),
        languages=[(code, name) for code, name in entry.offered_languages(visit.language) if code in form.texts],
        is_short=_short() is not None,
        is_outdated=is_newer or visit.consent_state is ConsentState.OUTDATED,
        visit=visit,
    )

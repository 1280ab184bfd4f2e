"""The copy of what a patient agreed to: read again, and kept as a file. The birth date protects it."""

from collections.abc import Iterator

from flask import make_response, redirect, render_template, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.consent import ConsentOutcome, ConsentText
from pro_tracker.domain.errors import NotFound
from pro_tracker.domain.visit_windows import is_open
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.enrolment import consent_decisions
from pro_tracker.services.wording import consent_forms
from pro_tracker.web import access
from pro_tracker.web.answering import Page
from pro_tracker.web.patient import current, entry
from pro_tracker.web.patient.blueprint import blueprint, local_clock, local_date
from pro_tracker.web.patient.forms import BirthDateForm
from pro_tracker.web.session import db_session


@blueprint.get("/v/<token>/consent")
@access.patient
def open_consent_copy(token: str) -> Response:
    """Stores the link of the mail in the cookie of its visit and redirects, as `open_link` does. Changes no data."""
    return entry.remember_link(token, "patient.consent_copy")


@blueprint.get("/visit/<visit>/consent/copy")
@access.patient
def consent_copy() -> Page:
    visit, now = _visit(), clock.now()
    if not current.is_confirmed():
        return _ask_birth_date(BirthDateForm(visit.time_zone, formdata=None))
    decision = _decision(visit)
    if decision is None:
        return redirect(url_for("patient.start"))
    return render_template(
        "patient/consent_copy.html",
        visit=visit,
        decision=decision,
        text=_text(decision),
        can_change=is_open(visit, now),
    )


@blueprint.post("/visit/<visit>/consent/copy")
@access.patient
def confirm_for_copy() -> Page:
    """Checks the birth date for this page, which a visit that is over has, too."""
    visit, now = _visit(), clock.now()
    form = BirthDateForm(visit.time_zone)
    if not form.validate():
        return _ask_birth_date(form), 422
    refused = entry.refusal(visit, form, now, show=lambda: _ask_birth_date(form))
    if refused is not None:
        return refused
    return entry.start_access(visit, now, redirect(url_for("patient.consent_copy"), 303))


@blueprint.get("/visit/<visit>/consent/copy.txt")
@access.patient
def download_consent_copy() -> Response:
    """Returns the copy as a text file, which every phone can keep and print."""
    visit = current.confirmed_visit(clock.now())
    decision = _decision(visit)
    if decision is None:
        raise NotFound(_("There is no copy."))
    response = make_response("\n".join(_lines(visit, decision, _text(decision))))
    response.mimetype = "text/plain"
    response.headers["Content-Disposition"] = f'attachment; filename="consent-{decision.version}.txt"'
    return response


def _visit() -> VisitContext:
    visit = current.visit(clock.now())
    current.require_valid_link(visit)
    return visit


def _ask_birth_date(form: BirthDateForm) -> str:
    return render_template("patient/consent_copy_birth_date.html", form=form)


def _decision(visit: VisitContext) -> ConsentDecision | None:
    """Returns the newest answer to the form of the visit, if it is an agreement."""
    form = visit.consent_form
    if form is None:
        return None
    subject = db_session().get_one(Subject, visit.person_id)
    newest = consent_decisions.newest(db_session(), subject, form.code)
    return newest if newest is not None and newest.outcome is ConsentOutcome.GIVEN else None


def _text(decision: ConsentDecision) -> ConsentText:
    """Returns the text that was read, in the language in which it was read."""
    return consent_forms.form(decision.form_code, decision.version).text(decision.language)


def _lines(visit: VisitContext, decision: ConsentDecision, text: ConsentText) -> Iterator[str]:
    yield from (text.title, visit.clinic_name, "")
    for section in text.sections:
        yield from (section.heading, "", *section.text, "")
    for purpose, agreed in decision.agreed.items():
        yield f"[{'x' if agreed else ' '}] {text.purposes[purpose]}"
    yield from _signature(visit, decision)


def _signature(visit: VisitContext, decision: ConsentDecision) -> Iterator[str]:
    day, time = local_date(decision.given_at, visit.time_zone), local_clock(decision.given_at, visit.time_zone)
    yield from ("", f"{day}, {time}")
    if decision.signed_name:
        yield _("Name: %(name)s", name=decision.signed_name)
    yield from (_("Version %(version)s", version=decision.version), "")

"""Entry to the patient pages: opening the link, confirming the birth date, requesting a fresh link."""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from flask import g, make_response, redirect, render_template, request, url_for
from flask_babel import format_timedelta, gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import UnusableLink
from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.languages import own_name, patient_languages
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import (
    drafts,
    identity_checks,
    links,
    quick_snoozes,
    snoozes,
    visit_accesses,
    visit_context,
)
from pro_tracker.services.answering.identity_checks import BirthDateCheck
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import patient_pages
from pro_tracker.services.contacts import preferences
from pro_tracker.services.record import own_results
from pro_tracker.web import access
from pro_tracker.web.answering import Page, next_page_url
from pro_tracker.web.patient import current, visit_cookies, waiting_forms
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.patient.forms import BirthDateForm
from pro_tracker.web.patient.visit_cookies import OpenedLink
from pro_tracker.web.session import commit, db_session

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@blueprint.get("/v/<token>")
@access.patient
def open_link(token: str) -> Response:
    """Stores the link in the cookie of its visit and redirects, so that the token does not stay in the address bar.

    Changes no data, since mail scanners follow links too.
    """
    return remember_link(token, "patient.start")


def remember_link(token: str, endpoint: str, **values: Any) -> Response:
    """Returns a redirect to a page of the link's visit, with the cookie that this page needs. Raises UnusableLink."""
    return remember(links.find(db_session(), token), endpoint, **values)


def remember(link_id: int, endpoint: str, **values: Any) -> Response:
    """Returns the redirect of `remember_link` for a link that was found by other means."""
    visit_id = visit_context.by_link(db_session(), link_id).visit_id
    response = redirect(url_for(endpoint, visit=visit_cookies.url_part(visit_id), **values))
    visit_cookies.set_link(response, visit_id, OpenedLink(link_id))
    return response


@blueprint.route("/visit", methods=["GET", "POST"])
@blueprint.route("/visit/<path:_page>", methods=["GET", "POST"])
@access.patient
def address_without_visit(_page: str = "") -> Response:
    """Says how to go on from an address that names no visit, such as a bookmark of an earlier release."""
    raise UnusableLink("This address names no visit.")


@blueprint.get("/visit/<visit>/")
@access.patient
def start() -> Page:
    now = clock.now()
    visit = current.in_chosen_language(current.visit(now))
    visit.require_open(now)
    if current.is_confirmed():
        is_short = "short" in request.args
        return redirect(
            url_for("patient.snooze") if "later" in request.args else next_page_url(visit, is_short=is_short)
        )
    if visit.locked_until is not None and now < visit.locked_until:
        return _locked(visit.locked_until, now)
    return start_page(visit, BirthDateForm(visit.time_zone))


@blueprint.post("/visit/<visit>/")
@access.patient
def confirm() -> Page:
    now = clock.now()
    visit = current.in_chosen_language(current.visit(now))
    current.require_valid_link(visit)
    if waiting_forms.destination() is None:
        visit.require_open(now)  # a waiting form may be one that a closed visit takes, too
    if "retry" in request.form:
        return start_page(visit, BirthDateForm(visit.time_zone, formdata=None))
    form = BirthDateForm(visit.time_zone)
    if not form.validate():
        return start_page(visit, form), 422
    refused = refusal(visit, form, now, show=lambda: start_page(visit, form))
    return refused if refused is not None else start_access(visit, now, _next_response(visit))


def refusal(visit: VisitContext, form: BirthDateForm, now: datetime, *, show: Callable[[], str]) -> Page | None:
    """Returns the page for a birth date that differs from the record; None for the right one, which is not committed.

    `show` returns the page of the form.
    """
    outcome = identity_checks.check_birth_date(db_session(), visit, form.birth_date.data, now=now)
    if outcome is BirthDateCheck.RIGHT:
        return None
    commit()
    form.birth_date.errors = [_mismatch(outcome, form, visit)]
    if outcome is BirthDateCheck.LINK_ENDED:
        return redirect(url_for("patient.start"), 303)  # which offers a fresh link
    if outcome is BirthDateCheck.LOCKED:
        return _locked(db_session().get_one(Visit, visit.visit_id).locked_until, now)
    return show(), 422


def _mismatch(outcome: BirthDateCheck, form: BirthDateForm, visit: VisitContext) -> str:
    """Returns the advice for a birth date that differs from the record, which may be the wrong one."""
    if outcome is BirthDateCheck.WRONG:
        return _(
            "This does not match the date of birth we have. Please check month, day and year. If it is right, call"
            " %(clinic)s: the mistake may be ours.",
            clinic=visit.clinic_name,
        )
    if form.birth_date.is_month_first:
        return _("Check the order, please: first the month, then the day.")
    return _("Check the order, please: first the day, then the month.")


def start_access(visit: VisitContext, now: datetime, response: Response) -> Response:
    """Starts an access and commits; returns the response with its cookie."""
    assert visit.link_id is not None  # the page was reached by one
    is_theirs = visit.mode != ResponseMode.CLINIC
    remembered_until = visit.arrive_until if is_theirs and "remember" in request.form else None
    secret = visit_accesses.start(db_session(), visit.link_id, visit.mode, now=now, remembered_until=remembered_until)
    if current.chosen_language():
        keep_language(visit, now)
    commit()
    visit_cookies.set_access(response, visit.visit_id, secret, lasts=visit.arrive_until - now if is_theirs else None)
    return response


def keep_language(visit: VisitContext, now: datetime) -> None:
    """Stores the language that was chosen on a page, once the person is known, as that of questions and messages."""
    subject = db_session().get_one(Subject, visit.person_id)
    requested = replace(preferences.for_subject(subject), language=visit.language)
    actor = Actor(ActorKind.PATIENT, str(visit.link_id))
    preferences.change(db_session(), subject, requested, now=now, actor=actor)
    drafts.change_language(db_session(), subject.id, visit.language)


def _next_response(visit: VisitContext) -> Response:
    """Returns what follows the birth date: the form that waited for it, if there is one."""
    waiting = waiting_forms.destination()
    if waiting is not None:
        return redirect(waiting, 307)  # the browser sends the form's fields once more, to the URL they were meant for
    if "later" in request.form:
        return redirect(url_for("patient.snooze"), 303)
    if "results" in request.form:
        return redirect(url_for("patient.results"), 303)
    return redirect(next_page_url(visit, is_short="short" in request.form), 303)


@blueprint.post("/visit/<visit>/fresh-link")
@access.patient
def request_fresh_link() -> Response:
    now = clock.now()
    visit = current.visit(now)
    links.request_fresh_link(db_session(), visit, now=now)
    commit()
    return redirect(url_for("patient.fresh_link_requested"), 303)


@blueprint.get("/visit/<visit>/fresh-link")
@access.patient
def fresh_link_requested() -> Page:
    """Shows the same text for every outcome, so that it does not disclose whether a contact is on file."""
    current.visit(clock.now())
    return render_template("patient/fresh_link_requested.html")


@blueprint.post("/visit/<visit>/finish")
@access.patient
def finish() -> Response:
    """Ends the access and removes what this browser holds of the visit: cookies here, kept answers by the script.

    Without a cookie of the visit the same page comes, since the button may be pressed twice, or in two tabs.
    """
    if visit_cookies.opened_link() is None:
        return make_response(_finished_page())
    now = clock.now()
    visit = current.visit_to_leave(now)
    secret = visit_cookies.access_secret()
    if secret is not None:
        visit_accesses.end(db_session(), secret, now=now)
        commit()
    g.is_confirmed = False
    response = make_response(_finished_page(visit=visit))
    visit_cookies.delete(response, visit.visit_id)
    return response


def _finished_page(**values: Any) -> str:
    """Returns the last page. Answers that the server refused stay on the device, encrypted, until it opens the link."""
    return render_template(
        "patient/finished.html", visit_url_part=g.visit_url_part, keeps_answers="refused" in request.form, **values
    )


def start_page(visit: VisitContext, form: BirthDateForm) -> str:
    now = clock.now()
    postponement = quick_snoozes.postponement(db_session(), visit, now=now)
    return render_template(
        "patient/start.html",
        form=form,
        visit=visit,
        questionnaire=visit.questionnaire,
        postponement=postponement,
        chooses_day="later" in request.values,
        later=bool(postponement.offer or snoozes.choices(db_session(), visit, now=now)),
        has_results=own_results.has_earlier(db_session(), visit.person_id, visit.protocol),
        in_grace=now >= visit.closes_at,
        remembers="remember" in request.form,
        languages=offered_languages(visit.language),
        chosen_language=current.chosen_language(),
        waiting=waiting_forms.fields(),
        clinic=patient_pages.of_subject(db_session(), visit.person_id, visit.language),
    )


def offered_languages(shown: str) -> list[tuple[str, str]]:
    """Returns the other languages of the page as (code, own name), the browser's first."""
    preferred = request.accept_languages.best_match(patient_languages())
    others = sorted((code for code in patient_languages() if code != shown), key=lambda code: code != preferred)
    return [(code, own_name(code)) for code in others]


def _locked(until: datetime | None, now: datetime) -> tuple[str, int]:
    """Says how long to wait: in minutes, from two hours on in hours, rounded up. A waiting form goes on waiting."""
    wait = max((until or now) - now, MINUTE)
    unit = MINUTE if wait < 2 * HOUR else HOUR
    rounded_up = format_timedelta(math.ceil(wait / unit) * unit, "minute", threshold=2)
    return render_template("patient/locked.html", wait=rounded_up, waiting=waiting_forms.fields()), 403

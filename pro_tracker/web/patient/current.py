"""The visit of a patient page: named by its URL, and readable with the cookies of this visit."""

from dataclasses import replace
from datetime import datetime

from flask import g, request
from flask_wtf.csrf import CSRFError

from pro_tracker.domain.errors import IdentityNotConfirmed, UnusableLink
from pro_tracker.languages import patient_languages
from pro_tracker.services.answering import late_answers, request_context, visit_accesses, visit_context
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.web import given_times
from pro_tracker.web.patient import visit_cookies
from pro_tracker.web.session import commit_each_statement, db_session


def visit(now: datetime) -> VisitContext:
    """Returns the visit of the URL, open or not, and sets the language of the page.

    Raises UnusableLink without a cookie of this visit, CSRFError for a form of another page, NoLongerAsked after a
    death: every page of every visit says the same then.
    """
    if request.method == "GET":
        commit_each_statement()
    return _read(now)


def chosen_language() -> str:
    """Returns the language that was chosen on the visit's first page; "" for none."""
    language = request.values.get("page_language", "")
    return language if language in patient_languages() else ""


def in_chosen_language(found: VisitContext) -> VisitContext:
    """Returns the visit, and sets the page, in the language that was chosen on its first page.

    Stores nothing: before the birth date anybody may have opened the link.
    """
    language = chosen_language()
    if not language:
        return found
    g.language = language
    g.visit = replace(found, language=language)
    return g.visit


def is_confirmed() -> bool:
    """Returns whether the visit was read with an access: the person was confirmed in this browser."""
    return bool(g.is_confirmed)


def confirmed_visit(now: datetime) -> VisitContext:
    """Returns the visit after identity confirmation, open or not. Raises UnusableLink, IdentityNotConfirmed."""
    found = visit(now)
    require_valid_link(found)
    _require_confirmation()
    return found


def require_valid_link(found: VisitContext) -> None:
    """Raises UnusableLink if the link of the visit was revoked, whether the visit is open or not."""
    if found.revoked_at is not None:
        raise UnusableLink("This link was replaced. Use the link in the newest message, or ask for a fresh one.")


def open_visit(now: datetime) -> VisitContext:
    """Returns the visit if the patient may answer it now.

    Raises UnusableLink, AlreadyAnswered, WindowClosed, IdentityNotConfirmed, ConsentNeeded. The request may write a
    single statement only, since each one is committed by itself.
    """
    commit_each_statement()
    found = _read(now)
    found.require_open(now)
    _require_confirmation()
    found.require_consent()
    return found


def visit_to_save(now: datetime) -> VisitContext:
    """Returns the visit for an answer: one that is open, held or over, since an answer can arrive late.

    Raises UnusableLink, WindowClosed before it opens, IdentityNotConfirmed, ConsentNeeded.
    """
    commit_each_statement()
    found = _read(now)
    if late_answers.is_over(found, now) or found.is_held(now):
        require_valid_link(found)
    else:
        found.require_open(now)
    _require_confirmation()
    found.require_consent(any_version=True)
    return found


def visit_to_send_kept(now: datetime) -> VisitContext:
    """Returns the visit for the answers that a device kept, which outlive the confirmation of the person.

    Until the grace period is over, the access needs no confirmation of the last hours: nothing is shown. Raises
    UnusableLink, IdentityNotConfirmed, NoLongerAsked after a death.
    """
    commit_each_statement()
    found = _accessed_to_send(now)
    if found is None or visit_cookies.url_part(found.visit_id) != g.visit_url_part:
        raise IdentityNotConfirmed("Give the birth date first.")
    g.visit = found
    g.language = found.language
    g.is_confirmed = False
    found.require_living()
    return found


def _accessed_to_send(now: datetime) -> VisitContext | None:
    secret = visit_cookies.access_secret() or ""
    found = visit_context.by_access_to_write(db_session(), secret)
    if found is not None and now >= found.arrive_until:
        return visit_context.by_access(db_session(), secret, now=now)
    return found


def context(found: VisitContext, now: datetime) -> RequestContext:
    """Returns who saves or sends answers here, and on whose device."""
    patient = request_context.of_patient(found.link_id, now, found.mode)
    return replace(patient, device=visit_accesses.device(found.access_id), given=given_times.posted(now))


def visit_to_leave(now: datetime) -> VisitContext:
    """Returns the visit of the URL as `visit` does, also after a death: what a browser holds can always be removed."""
    return _read_any(now)


def _read(now: datetime) -> VisitContext:
    found = _read_any(now)
    found.require_living()
    return found


def _read_any(now: datetime) -> VisitContext:
    secret = visit_cookies.access_secret()
    accessed = visit_context.by_access(db_session(), secret, now=now) if secret else None
    found = accessed or _of_opened_link()
    # Cookies are sent by path, but anybody can send any cookie to any path.
    if visit_cookies.url_part(found.visit_id) != g.visit_url_part:
        raise UnusableLink("This address belongs to other questions. Open the link in your message again.")
    g.visit, g.language, g.is_confirmed = found, found.language, accessed is not None
    if request.method == "POST" and not visit_cookies.is_form_token(found.visit_id, request.form.get("csrf_token", "")):
        raise CSRFError("This form is not one of this visit.")
    return found


def _of_opened_link() -> VisitContext:
    opened = visit_cookies.opened_link()
    if opened is None:
        raise UnusableLink("This browser has not opened a link. Open the link in your message again.")
    return replace(visit_context.by_link(db_session(), opened.link_id), mode=opened.mode)


def _require_confirmation() -> None:
    if not g.is_confirmed:
        raise IdentityNotConfirmed("Give the birth date first.")

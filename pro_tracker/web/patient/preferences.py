"""The page on which patients choose channel, hour and language of their messages."""

from datetime import time

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.channels import PREFERABLE_CHANNELS
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.visit_windows import is_open
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering import drafts, snoozes
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.audit import Actor
from pro_tracker.services.contacts import preferences
from pro_tracker.services.planning import recipients
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.web import access
from pro_tracker.web.patient import current
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.patient.forms import PatientPreferencesForm
from pro_tracker.web.session import commit, db_session

Page = str | tuple[str, int] | Response
EVERY_HOURS = 2


@blueprint.get("/visit/<visit>/preferences")
@access.patient
def show_preferences() -> Page:
    visit = current.confirmed_visit(clock.now())
    return _page(visit, _form(visit, _subject(visit)))


@blueprint.post("/visit/<visit>/preferences")
@access.patient
def save_preferences() -> Page:
    now = clock.now()
    visit = current.confirmed_visit(now)
    subject = _subject(visit)
    form = _form(visit, subject)
    if not form.validate():
        return _page(visit, form), 422
    requested = form.chosen(preferences.for_subject(subject))
    actor = Actor(ActorKind.PATIENT, str(visit.link_id))
    preferences.change(db_session(), subject, requested, now=now, actor=actor)
    drafts.change_language(db_session(), subject.id, requested.language)
    commit()
    return redirect(url_for("patient.show_preferences", saved=""), 303)


def _hours(protocol: Protocol) -> list[time]:
    """Returns every second full hour outside quiet hours: a short list is easier to read on a phone."""
    return [
        time(hour) for hour in range(0, 24, EVERY_HOURS) if protocol.quiet_until <= time(hour) < protocol.quiet_from
    ]


def _subject(visit: VisitContext) -> Subject:
    return db_session().get_one(Subject, visit.person_id)


def _form(visit: VisitContext, subject: Subject) -> PatientPreferencesForm:
    protocol = protocol_catalog.protocol(visit.protocol_code, visit.protocol_version)
    now = preferences.for_subject(subject)
    form = PatientPreferencesForm(
        preferred_channel=now.preferred_channel,
        message_time=now.message_time.isoformat("minutes") if now.message_time else "",
        language=now.language,
    )
    usable = recipients.recipient(db_session(), subject).usable
    channels = sorted(usable.intersection(PREFERABLE_CHANNELS))
    form.offer(now, channels=channels, hours=_hours(protocol), usual=protocol.reminder_time)
    return form


def _page(visit: VisitContext, form: PatientPreferencesForm) -> str:
    now = clock.now()
    later = is_open(visit, now) and bool(snoozes.choices(db_session(), visit, now=now))
    return render_template(
        "patient/preferences.html", form=form, visit=visit, later=later, saved="saved" in request.args
    )

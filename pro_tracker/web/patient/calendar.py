"""Calendar files for patients: the day of the next questions, and the day on which we ask again after "not today".

A calendar is read by others and is copied to servers: a file names the clinic and questions, and holds no link.
"""

from datetime import date

from flask import Response, current_app, redirect, url_for
from flask_babel import gettext as _
from itsdangerous import Signer
from werkzeug.wrappers import Response as AnyResponse

from pro_tracker import clock
from pro_tracker.domain.calendar_file import DayEvent, calendar_file
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering import quick_snoozes
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.planning import next_questions
from pro_tracker.web import access
from pro_tracker.web.patient import current
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.session import db_session


@blueprint.get("/visit/<visit>/next.ics")
@access.patient
def next_day() -> AnyResponse:
    """Returns the day of the next questions, to the person who gave the birth date."""
    now = clock.now()
    visit = current.confirmed_visit(now)
    subject = db_session().get_one(Subject, visit.person_id)
    following = next_questions.after_sending(db_session(), subject, now=now)
    if following.on is None:
        return redirect(url_for("patient.start"))
    return _file(visit, following.on, f"after visit {visit.visit_id}")


@blueprint.get("/visit/<visit>/not-today.ics")
@access.patient
def not_today_day() -> AnyResponse:
    """Returns the day on which we ask again, which the page behind the link shows as well."""
    now = clock.now()
    visit = current.visit(now)
    visit.require_open(now)
    snooze = quick_snoozes.postponement(db_session(), visit, now=now).in_effect
    if snooze is None:
        return redirect(url_for("patient.not_today"))
    return _file(visit, snooze.until_on, f"snooze {visit.visit_id}")


def _file(visit: VisitContext, on: date, what: str) -> Response:
    clinic = {"clinic": visit.clinic_name, "phone": visit.clinic_phone}
    event = DayEvent(
        uid=_uid(what),
        on=on,
        summary=_("%(clinic)s: questions for you", **clinic),
        description=_(
            "We will write to you. The day may still change. If you have a question, call %(phone)s.", **clinic
        ),
        written_at=clock.now(),
    )
    headers = {"Content-Disposition": 'attachment; filename="questions.ics"'}
    return Response(calendar_file(event), mimetype="text/calendar", headers=headers)


def _uid(what: str) -> str:
    """Returns an id that stays the same for this event, and that nothing can be opened or found with."""
    signature = Signer(current_app.config["SECRET_KEY"], salt="calendar").get_signature(what).decode()
    return f"{signature}@pro-tracker"

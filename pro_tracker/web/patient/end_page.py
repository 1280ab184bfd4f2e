"""The pages after which the patient leaves: thanks with what happens next, and what becomes of a late answer."""

from datetime import datetime
from typing import Any

from flask import render_template

from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering import advice as alert_advice
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.planning import next_questions
from pro_tracker.web.patient import current, results
from pro_tracker.web.session import db_session


def late(visit: VisitContext, now: datetime) -> str:
    """Returns what happens with an answer that came too late, with advice if one of the visit raised an alert."""
    return render_template("patient/late.html", **_help(visit, now))


def thanks(visit: VisitContext, now: datetime) -> str:
    """Returns the page after sending. What follows, and results, are for the confirmed person alone."""
    if not current.is_confirmed():
        return render_template("patient/sent.html", **_help(visit, now))
    session = db_session()
    subject = session.get_one(Subject, visit.person_id)
    following = next_questions.after_sending(session, subject, now=now)
    return render_template(
        "patient/sent.html",
        following=following,
        **results.shown(visit, subject, now),
        **_help(visit, now),
    )


def _help(visit: VisitContext, now: datetime) -> dict[str, Any]:
    """Returns whom pages name for danger. Who was not asked about danger does not read about the crisis line here."""
    advice = None
    if current.is_confirmed():
        advice = alert_advice.about_visit(db_session(), visit, now=now)
    return {
        "visit": visit,
        "with_crisis_line": any(item.has_crisis_line for item in visit.questionnaire.items),
        "advice": advice,
        "today": local_date(now, visit.time_zone),
    }

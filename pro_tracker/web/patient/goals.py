"""A patient's own goal: a line in their words, and how it is going at later visits. Never required."""

from datetime import datetime
from typing import Any

from flask import redirect, render_template, url_for
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.errors import NotFound
from pro_tracker.domain.goal_attainment import Attainment
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering import goals
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.web import access
from pro_tracker.web.answering import Page
from pro_tracker.web.patient import current
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.patient.forms import GoalForm, GoalRatingForm
from pro_tracker.web.session import commit, db_session

STEPS = {
    Attainment.MUCH_LESS: _("Much less than I expected"),
    Attainment.LESS: _("Less than I expected"),
    Attainment.AS_EXPECTED: _("As I expected"),
    Attainment.MORE: _("More than I expected"),
    Attainment.MUCH_MORE: _("Much more than I expected"),
}


@blueprint.get("/visit/<visit>/goal")
@access.patient
def goal() -> Page:
    """Shows the line in which a goal is written or changed."""
    visit = _visit(clock.now())
    present = goals.current(db_session(), visit.person_id)
    words = present.text if present else ""
    form = GoalForm(
        formdata=None,
        text=words,
    )
    return _page(visit, goal_form=form)


@blueprint.post("/visit/<visit>/goal")
@access.patient
def set_goal() -> Page:
    now = clock.now()
    visit = _visit(now)
    form = GoalForm()
    if not form.validate():
        return _page(visit, goal_form=form), 422
    goals.set_goal(db_session(), visit, form.text.data, current.context(visit, now))
    commit()
    return _back(visit)


@blueprint.post("/visit/<visit>/goal/rating")
@access.patient
def rate_goal() -> Page:
    now = clock.now()
    visit = _visit(now)
    form = GoalRatingForm(STEPS)
    if not form.validate():
        return _page(visit, rating_form=form), 422
    goals.rate(db_session(), visit, Attainment(int(form.attainment.data)), current.context(visit, now))
    commit()
    return _back(visit)


def section(visit: VisitContext, subject: Subject) -> dict[str, Any]:
    """Returns what a page shows of the goal, with the form that comes next; {} where the protocol asks for none."""
    if not visit.protocol.for_patients.goal or not subject.takes_part:
        return {}
    present = goals.current(db_session(), visit.person_id)
    if present is None:
        return {"asks_goal": True, "goal_form": GoalForm(formdata=None)}
    shown: dict[str, Any] = {"asks_goal": True, "goal": present, "steps": STEPS}
    rating = goals.rating_at(present, visit.visit_id)
    if rating is None and goals.can_be_rated(present, visit):
        shown["rating_form"] = GoalRatingForm(STEPS, formdata=None)
    return shown


def _visit(now: datetime) -> VisitContext:
    """Returns the visit. Raises NotFound where the protocol asks for no goal."""
    visit = current.confirmed_visit(now)
    if not visit.protocol.for_patients.goal:
        raise NotFound("There is nothing to write here. Go back to your questions.")
    return visit


def _page(visit: VisitContext, **forms: Any) -> str:
    return render_template(
        "patient/goal.html",
        visit=visit,
        goal=goals.current(db_session(), visit.person_id),
        is_goal_page=True,
        **forms,
    )


def _back(visit: VisitContext) -> Response:
    """Returns to where the goal stands: the page after sending or, before the questions, the one of the results."""
    page = ".sent" if visit.completed_at is not None else ".results"
    return redirect(url_for(page, _anchor="goal"), 303)

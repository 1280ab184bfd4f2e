"""A patient's own goal on staff pages: entered by telephone, and corrected or removed with a reason."""

import uuid

from flask import flash, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import NotFound
from pro_tracker.domain.goal_attainment import Attainment
from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.models.goal import Goal, GoalRating
from pro_tracker.models.subject import Subject
from pro_tracker.services.answer_corrections import goal_corrections
from pro_tracker.services.answer_corrections.goal_corrections import GoalCorrection, RatingCorrection
from pro_tracker.services.answering import goals, visit_context
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.clinic import visibility
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.forms.goal_forms import GoalCorrectionForm, GoalEntryForm, GoalRatingCorrectionForm

BY_TELEPHONE = "/subjects/<uuid:subject_id>/visits/<int:visit_id>/goal"
GOAL = "/subjects/<uuid:subject_id>/goals/<uuid:goal_id>"
RATING = "/subjects/<uuid:subject_id>/goal-ratings/<int:rating_id>"


@blueprint.get(BY_TELEPHONE)
@access.staff(Role.COORDINATOR)
def goal_by_telephone(subject_id: uuid.UUID, visit_id: int) -> Page:
    subject, visit = _visit(subject_id, visit_id)
    return _entry_page(subject, visit, _entry_form(visit))


@blueprint.post(BY_TELEPHONE)
@access.staff(Role.COORDINATOR)
def enter_goal(subject_id: uuid.UUID, visit_id: int) -> Page | Response:
    visit = _visit(subject_id, visit_id)[1]
    form = _entry_form(visit)
    if form.validate() and current.submit(form, lambda: _enter(visit, form)):
        return _saved(subject_id)
    return _entry_page(current.subject(subject_id), visit, form)


def _enter(visit: VisitContext, form: GoalEntryForm) -> None:
    """Stores the rating first: it is of the goal before the new one."""
    context = RequestContext(access.actor(), clock.now(), ResponseMode.TELEPHONE)
    if form.rating is not None:
        goals.rate(db_session(), visit, form.rating, context)
    if form.text.data:
        goals.set_goal(db_session(), visit, form.text.data, context)


@blueprint.get(GOAL)
@access.staff(Role.COORDINATOR)
def goal(subject_id: uuid.UUID, goal_id: uuid.UUID) -> Page:
    subject, found = _goal(subject_id, goal_id)
    newest = found.texts[-1]
    form = GoalCorrectionForm(
        formdata=None,
        text=newest.text,
        as_shown=str(newest.number),
    )
    return _goal_page(subject, found, form)


@blueprint.post(GOAL)
@access.staff(Role.COORDINATOR)
def correct_goal(subject_id: uuid.UUID, goal_id: uuid.UUID) -> Page | Response:
    subject, found = _goal(subject_id, goal_id)
    form = GoalCorrectionForm()
    if form.validate() and current.submit(form, lambda: _correct_goal(found, form)):
        return _saved(subject_id)
    subject, found = _goal(subject_id, goal_id)
    return _goal_page(subject, found, form)


def _correct_goal(found: Goal, form: GoalCorrectionForm) -> None:
    facts = GoalCorrection(
        words=None if "remove" in request.form else form.text.data,
        reason=form.reason.data,
        as_shown=form.shown_number,
    )
    goal_corrections.correct_goal(
        db_session(),
        access.actor(),
        found,
        facts,
        now=clock.now(),
    )


@blueprint.get(RATING)
@access.staff(Role.COORDINATOR)
def goal_rating(subject_id: uuid.UUID, rating_id: int) -> Page:
    subject, found = _rating(subject_id, rating_id)
    form = GoalRatingCorrectionForm(
        formdata=None,
        attainment=str(found.attainment),
    )
    return _rating_page(subject, found, form)


@blueprint.post(RATING)
@access.staff(Role.COORDINATOR)
def correct_goal_rating(subject_id: uuid.UUID, rating_id: int) -> Page | Response:
    subject, found = _rating(subject_id, rating_id)
    form = GoalRatingCorrectionForm()
    if form.validate() and current.submit(form, lambda: _correct_rating(found, form)):
        return _saved(subject_id)
    subject, found = _rating(subject_id, rating_id)
    return _rating_page(subject, found, form)


def _correct_rating(found: GoalRating, form: GoalRatingCorrectionForm) -> None:
    step = None
    if "remove" not in request.form:
        step = Attainment(int(form.attainment.data))
    facts = RatingCorrection(step, form.reason.data)
    goal_corrections.correct_rating(
        db_session(),
        access.actor(),
        found,
        facts,
        now=clock.now(),
    )


def _visit(subject_id: uuid.UUID, visit_id: int) -> tuple[Subject, VisitContext]:
    """Returns subject and visit. Raises NotFound outside the sites, and where the protocol asks for no goal."""
    subject = current.subject(subject_id)
    found = visibility.find_visit(db_session(), subject, visit_id)
    visit = visit_context.by_visit(db_session(), found.id)
    if not visit.protocol.for_patients.goal:
        raise NotFound(_("The protocol of this visit asks for no goal."))
    return subject, visit


def _goal(subject_id: uuid.UUID, goal_id: uuid.UUID) -> tuple[Subject, Goal]:
    subject = current.subject(subject_id)
    return subject, goal_corrections.find_goal(db_session(), subject, goal_id)


def _rating(subject_id: uuid.UUID, rating_id: int) -> tuple[Subject, GoalRating]:
    subject = current.subject(subject_id)
    return subject, goal_corrections.find_rating(db_session(), subject, rating_id)


def _entry_form(visit: VisitContext) -> GoalEntryForm:
    present = goals.current(db_session(), visit.person_id)
    return GoalEntryForm(can_be_rated=goals.can_be_rated(present, visit))


def _entry_page(subject: Subject, visit: VisitContext, form: GoalEntryForm) -> Page:
    present = goals.current(
        db_session(),
        visit.person_id,
    )
    return current.show(
        "staff/goal.html",
        subject,
        form=form,
        title=_("The patient's own goal, by telephone"),
        goal=present,
        visit=visit,
    )


def _goal_page(subject: Subject, found: Goal, form: GoalCorrectionForm) -> Page:
    return current.show(
        "staff/goal.html",
        subject,
        form=form,
        title=_("Correct the patient's own goal"),
        goal=found,
    )


def _rating_page(subject: Subject, found: GoalRating, form: GoalRatingCorrectionForm) -> Page:
    return current.show(
        "staff/goal.html",
        subject,
        form=form,
        title=_("Correct the rating of a goal"),
        goal=found.goal,
    )


def _saved(subject_id: uuid.UUID) -> Response:
    flash(_("The goal is saved."))
    return redirect(url_for("staff.subject", subject_id=subject_id, _anchor="goals"), 303)

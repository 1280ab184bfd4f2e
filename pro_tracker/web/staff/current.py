"""The subject of a staff page: loaded only from the account's sites, with each view recorded in the audit trail."""

import uuid
from collections.abc import Callable
from typing import Any

from flask import render_template
from flask_wtf import FlaskForm

from pro_tracker import clock
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.record import subject_records
from pro_tracker.web import access
from pro_tracker.web.session import commit, db_session

Page = str | tuple[str, int]


def subject(subject_id: uuid.UUID) -> Subject:
    """Returns the subject with identity and contacts. Raises NotFound if the signed-in account may not see it."""
    return subject_records.with_identity(db_session(), access.account(), subject_id)


def show(template: str, shown: Subject, **context: Any) -> Page:
    """Returns a page about one subject, after recording the view; status 422 if a form on it has errors."""
    audit.record(
        db_session(),
        access.actor(),
        "subject.view",
        now=clock.now(),
        subject_id=shown.id,
        detail={"page": template},
    )
    commit()
    forms = [value for value in context.values() if isinstance(value, FlaskForm)]
    failed = any(form.errors for form in forms)
    page = render_template(template, subject=shown, now=clock.now(), **context)
    return page, 422 if failed else 200


def submit(form: FlaskForm, action: Callable[[], Any]) -> Any:
    """Runs the action and commits. Returns the result of the action, or True if it has none.

    If the action raises InvalidInput, the transaction is rolled back, the form gets the error, and None is returned.
    """
    try:
        done = action()
    except InvalidInput as error:
        db_session().rollback()
        add_error(form, error.field, str(error))
        return None
    commit()
    return True if done is None else done


def add_error(form: FlaskForm, field: str | None, reason: str) -> None:
    """Adds `reason` to the errors of the field, or to those of the whole form if it has no such field."""
    if field is not None and field in form:
        form[field].errors = [*form[field].errors, reason]
    else:
        form.form_errors.append(reason)

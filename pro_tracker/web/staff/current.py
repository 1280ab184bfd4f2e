"""Whose data a staff page shows: loaded within the account's sites, and written to the audit trail with the page."""

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
    """The subject with identity and contacts, if the signed-in account may see it. Raises NotFound."""
    return subject_records.with_identity(db_session(), access.account(), subject_id)


def show(template: str, shown: Subject, **context: Any) -> Page:
    """A page about one subject, once the view is on record. A form on it that holds errors makes it a 422."""
    audit.record(
        db_session(), access.actor(), "subject.view", now=clock.now(), subject_id=shown.id, detail={"page": template}
    )
    commit()
    failed = any(isinstance(each, FlaskForm) and each.errors for each in context.values())
    return render_template(template, subject=shown, now=clock.now(), **context), 422 if failed else 200


def submit(form: FlaskForm, action: Callable[[], Any]) -> Any:
    """Do it and commit; gives back what the action did, or True.

    What a service refuses becomes an error of the form, nothing is changed, and None comes back.
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
    """Put `reason` at the field it belongs to, or above the form."""
    if field is not None and field in form:
        form[field].errors = [*form[field].errors, reason]
    else:
        form.form_errors.append(reason)

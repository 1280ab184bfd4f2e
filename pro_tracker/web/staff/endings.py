"""The second step of noting a call or the reason of a visit: what ends with it. Nothing is entered twice.

The fields of the first step wait in the page of the second, which is sent to the same URL.
"""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from flask import request
from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import HiddenField

from pro_tracker.domain import endings
from pro_tracker.domain.endings import EndingExtent
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.web import labels
from pro_tracker.web.staff import current, preview
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.forms.death_form import DeathForm
from pro_tracker.web.staff.forms.ending_form import EndingForm

PREFIX = "ending"  # of the fields of this step
ASKED = f"{PREFIX}-asked"
SAVED: Mapping[EndingExtent, Any] = {
    EndingExtent.VISIT: _("The reason is recorded."),
    EndingExtent.PAUSE: _("The reason is recorded, and a pause begins today."),
    EndingExtent.WITHDRAWAL: _("The withdrawal is recorded. No more messages go out."),
}
DEATH_SAVED = _("The death is recorded. Nobody is written to or called any more.")


def is_needed(code: str) -> bool:
    """Returns whether this outcome or reason ends more than one visit, unless staff chose that it ends one."""
    chosen = request.form.get(f"{PREFIX}-extent")
    return endings.ends_more(code) and chosen != EndingExtent.VISIT


def was_asked() -> bool:
    """Returns whether the request comes from the page of the second step."""
    return ASKED in request.form


def form_of(code: str) -> EndingForm | DeathForm:
    """Returns the form of the second step for an outcome of a call or a reason of a visit."""
    if code == UnansweredReason.DIED:
        return DeathForm(prefix=PREFIX)
    return EndingForm(UnansweredReason(code), prefix=PREFIX)


def success_message(form: EndingForm | DeathForm) -> str:
    """Returns what is recorded once the form is saved."""
    if isinstance(form, DeathForm):
        return str(DEATH_SAVED)
    return str(SAVED.get(form.extent.data, ""))


def page(subject_id: uuid.UUID, form: EndingForm | DeathForm, *, first: FlaskForm, code: str, back: str) -> Page:
    """Returns the page of the second step. `first`: the form of the first, `code`: what was chosen there.

    `back`: the URL of the page of the first step.
    """
    return current.show(
        "staff/ending.html",
        current.subject(subject_id),
        form=form,
        what=labels.UNANSWERED_REASONS[UnansweredReason(code)],
        is_death=isinstance(form, DeathForm),
        carried=list(_carried(first)),
        asked=ASKED,
        back=back,
    )


def _carried(first: FlaskForm) -> Iterator[tuple[str, str]]:
    """Yields the submitted fields of the first step; hidden ones with what they hold now, as after an edit conflict."""
    hidden = {field.name: field.data for field in first if isinstance(field, HiddenField)}
    for name, value in preview.submitted_entries():
        if name in hidden:
            yield name, hidden[name] or ""
        elif not name.startswith(PREFIX):
            yield name, value

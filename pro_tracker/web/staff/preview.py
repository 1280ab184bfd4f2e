"""Saving in two steps: a change that moves visits or messages is shown first, and saved by whoever has seen it.

A change that moves nothing is saved at once.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from flask import flash, redirect, request, url_for
from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.models.subject import Subject
from pro_tracker.services.planning import plan_preview
from pro_tracker.services.planning.plan_preview import PlanDifference, PlanLine
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, form_summary
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.form_summary import FormEntry

SIDES = {"before": _("Before"), "after": _("After")}
SEEN, BACK = "seen_difference", "back_to_the_form"  # names of the preview's two buttons


class Comparison(NamedTuple):
    """Lines to compare. A side that is empty on each of them gets no column: a phone has room for one."""

    lines: Sequence[PlanLine[Any]]
    sides: list[str]
    columns: list[tuple[Any, str]]

    @classmethod
    def of(cls, lines: Sequence[PlanLine[Any]]) -> "Comparison":
        sides = [side for side in SIDES if any(getattr(line, side) is not None for line in lines)]
        return cls(lines, sides, [(SIDES[side], "") for side in sides])

    def name(self, side: str) -> str:
        """As people call it."""
        return str(SIDES[side])


def save(
    subject: Subject,
    form: FlaskForm,
    change: Callable[[datetime], object],
    *,
    success_message: str,
    show_form: Callable[[], Page],
) -> Page | Response:
    """Saves a form once the difference it makes was shown, and returns to the subject with `success_message`.

    `change` gets the present and calls the service; it may run twice, the first time to be undone. `show_form` shows
    the form as it was sent: with errors, or when staff return from the difference to change an entry.
    """
    if BACK in request.form or not form.validate():
        return show_form()
    subject_id, now = subject.id, clock.now()
    difference = current.submit(
        form,
        lambda: plan_preview.preview_change(db_session(), subject_id, lambda: change(now), now=now, keep=_was_seen),
    )
    if difference is None:
        return show_form()
    if not _was_seen(difference):
        return _show(
            current.subject(subject_id), difference, success_message=success_message, entries=form_summary.entries(form)
        )
    flash(success_message)
    return redirect(url_for("staff.subject", subject_id=subject_id), 303)


def _was_seen(difference: PlanDifference) -> bool:
    """Whether there is nothing to see, or just this was seen: what others saved meanwhile is shown again."""
    return difference.is_empty or request.form.get(SEEN) == difference.fingerprint


def _show(subject: Subject, difference: PlanDifference, *, success_message: str, entries: Sequence[FormEntry]) -> Page:
    names = ("csrf_token", SEEN, BACK)
    carried = [(name, value) for name, values in request.form.lists() for value in values if name not in names]
    return current.show(
        "staff/preview.html",
        subject,
        success_message=success_message,
        entries=entries,
        difference=difference,
        visits=Comparison.of(difference.visits),
        messages=Comparison.of(difference.messages),
        carried=carried,
        changed_meanwhile=SEEN in request.form,
        seen=SEEN,
        back=BACK,
    )

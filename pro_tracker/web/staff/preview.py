"""Saving in two steps: a change that moves visits or messages is previewed first, and saved after confirmation.

A change that moves nothing is saved at once. How the difference is computed: services/planning/plan_preview.py.
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
    """The rows of a table that compares the plan before and after. A side without any entry gets no column."""

    lines: Sequence[PlanLine[Any]]
    sides: list[str]
    columns: list[tuple[Any, str]]

    @classmethod
    def of(cls, lines: Sequence[PlanLine[Any]]) -> "Comparison":
        """Returns the comparison of these lines; `sides` and `columns` leave out an empty side."""
        sides = [side for side in SIDES if _has_entry(lines, side)]
        columns = [(SIDES[side], "") for side in sides]
        return cls(lines, sides, columns)

    def name(self, side: str) -> str:
        """Returns the heading of a side, "before" or "after"."""
        return str(SIDES[side])


def save(
    subject: Subject,
    form: FlaskForm,
    change: Callable[[datetime], object],
    *,
    success_message: str,
    show_form: Callable[[], Page],
) -> Page | Response:
    """Saves a form after its effects on the plan were shown, and redirects to the subject with `success_message`.

    `change` receives the current time and calls the service; for a preview it runs inside a savepoint that is rolled
    back. `show_form` returns the page with the submitted form: with errors, or when staff go back from the preview.
    """
    if BACK in request.form or not form.validate():
        return show_form()
    subject_id = subject.id
    now = clock.now()

    def preview_or_save() -> PlanDifference:
        return plan_preview.preview_change(
            db_session(),
            subject_id,
            lambda: change(now),
            now=now,
            keep=_was_seen,
        )

    difference = current.submit(form, preview_or_save)
    if difference is None:
        return show_form()
    if not _was_seen(difference):
        return _show(
            current.subject(subject_id),
            difference,
            success_message=success_message,
            entries=form_summary.entries(form),
        )
    flash(success_message)
    return redirect(url_for("staff.subject", subject_id=subject_id), 303)


def _has_entry(lines: Sequence[PlanLine[Any]], side: str) -> bool:
    return any(getattr(line, side) is not None for line in lines)


def _was_seen(difference: PlanDifference) -> bool:
    """Returns whether the difference is empty or is the one that was shown.

    Another one, caused by changes that other users saved in the meantime, is shown before it is saved.
    """
    if difference.is_empty:
        return True
    return request.form.get(SEEN) == difference.fingerprint


def submitted_entries() -> list[tuple[str, str]]:
    """Returns name and value of each submitted field, which the preview sends again as hidden fields."""
    entries: list[tuple[str, str]] = []
    for name, values in request.form.lists():
        if name not in ("csrf_token", SEEN, BACK):
            entries.extend((name, value) for value in values)
    return entries


def _show(
    subject: Subject,
    difference: PlanDifference,
    *,
    success_message: str,
    entries: Sequence[FormEntry],
) -> Page:
    return current.show(
        "staff/preview.html",
        subject,
        success_message=success_message,
        entries=entries,
        difference=difference,
        visits=Comparison.of(difference.visits),
        messages=Comparison.of(difference.messages),
        carried=submitted_entries(),
        # A preview after a preview: the plan changed between the two.
        changed_since=SEEN in request.form,
        seen=SEEN,
        back=BACK,
    )

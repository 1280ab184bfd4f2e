"""Saving facts in two steps: what is recorded before and after is shown first, and saved after confirmation.

Unlike preview.py, which shows a change of visits and messages, the preview is shown also where none of them moves.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from flask import flash, redirect, request
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.models.subject import Subject
from pro_tracker.services.planning import plan_preview
from pro_tracker.services.planning.plan_preview import PlanDifference
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, preview
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.preview import BACK, SEEN, Comparison


class FactLine(NamedTuple):
    """One fact in words, before and after the change."""

    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class FactChange:
    """Effect of a change: the facts that differ, and sentences on what follows from it."""

    lines: Sequence[FactLine]
    effects: Sequence[str]


@dataclass(frozen=True, slots=True)
class Saving:
    """Frame of a change: the message and the URL after it, and the page with the submitted form."""

    success_message: str
    next_url: Callable[[], str]
    show_form: Callable[[], Page]


def save(
    subject: Subject, form: FlaskForm, change: Callable[[datetime], FactChange], saving: Saving
) -> Page | Response:
    """Saves a form after its effects were shown and confirmed, and redirects.

    `change` receives the current time, calls the service and returns what changed; for the preview it runs inside a
    savepoint that is rolled back.
    """
    if BACK in request.form or not form.validate():
        return saving.show_form()
    subject_id, now = subject.id, clock.now()
    found: list[FactChange] = []

    def preview_or_save() -> PlanDifference:
        return plan_preview.preview_change(
            db_session(),
            subject_id,
            lambda: found.append(change(now)),
            now=now,
            keep=lambda difference: _was_seen(found[0], difference),
        )

    difference = current.submit(form, preview_or_save)
    if difference is None:
        return saving.show_form()
    if not _was_seen(found[0], difference):
        shown = current.subject(subject_id)
        return _show(shown, found[0], difference, saving.success_message)
    flash(saving.success_message)
    return redirect(saving.next_url(), 303)


def _was_seen(change: FactChange, difference: PlanDifference) -> bool:
    """Returns whether this is what the preview showed, and what staff confirmed."""
    return request.form.get(SEEN) == _fingerprint(change, difference)


def _fingerprint(change: FactChange, difference: PlanDifference) -> str:
    text = repr([*change.lines, *change.effects, difference.fingerprint])
    return hashlib.sha256(text.encode()).hexdigest()


def _show(subject: Subject, change: FactChange, difference: PlanDifference, success_message: str) -> Page:
    return current.show(
        "staff/fact_preview.html",
        subject,
        success_message=success_message,
        change=change,
        fingerprint=_fingerprint(change, difference),
        moves=not difference.is_empty,
        visits=Comparison.of(difference.visits),
        messages=Comparison.of(difference.messages),
        carried=preview.submitted_entries(),
        changed_since=SEEN in request.form,
        seen=SEEN,
        back=BACK,
    )

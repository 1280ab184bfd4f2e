"""Pages of rows that staff record, correct and void: a form for a new row, and a page for each recorded one."""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from flask import flash, redirect, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import ChangedSince, NotFound
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.subject import Subject
from pro_tracker.services.clinic import editors, visibility
from pro_tracker.services.planning import subject_lock
from pro_tracker.services.treatment.replaced_rows import RowCorrection
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current, edit_conflicts
from pro_tracker.web.staff.blueprint import blueprint, local_moment
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.edit_conflicts import RowChange

ID = re.compile("[0-9]{1,18}")
VOID = "void"  # prefix of field names, since the page of one row has two forms


@dataclass(frozen=True, slots=True)
class RowForms:
    """The form of a new row, of its correction, and of voiding it. `recorded`: a row as data of the correction."""

    new: Any
    correction: Any
    void: Any
    recorded: Callable[[Any], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class RowTexts:
    """The messages after an act, and about a row that was entered in error."""

    recorded: Any
    corrected: Any
    voided: Any
    gone: Any


@dataclass(frozen=True, slots=True)
class RowPages:
    """The pages of one kind of row. `rows`: its service, with find, newest, record, correct and void.

    `name` is that of its endpoints and templates; `section` that of its URLs, and of its part of the patient's page;
    `id_name` that of the id in its URLs. `day`: the field that is filled with today. `voiding`: the audited actions
    that void a row.
    """

    rows: Any
    name: str
    section: str
    id_name: str
    day: str
    forms: RowForms
    texts: RowTexts
    voiding: tuple[str, ...]

    def register(self) -> None:
        """Adds the routes of the pages to the blueprint of staff pages."""
        new, one = "new", f"<int:{self.id_name}>"
        self._route("GET", new, f"new_{self.name}", self.new)
        self._route("POST", new, f"record_{self.name}", self.record)
        self._route("GET", one, self.name, self.show)
        self._route("POST", one, f"correct_{self.name}", self.correct)
        self._route("POST", f"{one}/void", f"void_{self.name}", self.void)

    def _route(self, method: str, rule: str, endpoint: str, page: Callable[..., Page | Response]) -> None:
        @access.staff(Role.COORDINATOR, Role.CLINICIAN)
        def view(subject_id: uuid.UUID, **row_id: int) -> Page | Response:
            return page(subject_id, *row_id.values())  # whatever the name of the id in the URL

        path = f"/subjects/<uuid:subject_id>/{self.section}/{rule}"
        blueprint.add_url_rule(path, endpoint, view, methods=[method])

    def new(self, subject_id: uuid.UUID) -> Page:
        """Shows an empty form."""
        subject = current.subject(subject_id)
        return self._new_page(subject, self.forms.new(data={self.day: _today(subject)}))

    def record(self, subject_id: uuid.UUID) -> Page | Response:
        """Records a row, and returns to where the user came from."""
        subject = current.subject(subject_id)
        form = self.forms.new()

        def save(now: datetime) -> None:
            facts = form.facts()
            self.rows.record(
                db_session(),
                access.actor(),
                subject,
                facts,
                now=now,
            )

        if not _saved(form, save):
            return self._new_page(current.subject(subject_id), form)
        flash(self.texts.recorded)
        return redirect(self._back(subject_id), 303)

    def show(self, subject_id: uuid.UUID, row_id: int) -> Page | Response:
        """Shows the form of one row. The URL of one that was corrected leads to its correction."""
        subject = current.subject(subject_id)
        newest = self.rows.newest(db_session(), self._row(subject, row_id))
        if newest is None:
            raise NotFound(str(self.texts.gone))
        if newest.id != row_id:
            own = {"subject_id": subject_id, self.id_name: newest.id}
            return redirect(url_for(f"staff.{self.name}", **own), 303)
        return self._page(subject, newest)

    def correct(self, subject_id: uuid.UUID, row_id: int) -> Page | Response:
        """Corrects a row, and returns to the patient's page."""
        subject = current.subject(subject_id)
        shown = self._row(subject, row_id)
        form = self.forms.correction()
        if not _saved(form, lambda now: self._save_correction(subject, shown, form, now)):
            return self._after_failure(current.subject(subject_id), row_id, form)
        flash(self.texts.corrected)
        return redirect(self._section_of(subject_id), 303)

    def void(self, subject_id: uuid.UUID, row_id: int) -> Page | Response:
        """Voids a row that was entered in error, and returns to the patient's page."""
        subject = current.subject(subject_id)
        shown = self._row(subject, row_id)
        form = self.forms.void(prefix=VOID)
        if not _saved(form, lambda now: self._save_void(subject, shown, form, now)):
            return self._after_failed_void(current.subject(subject_id), row_id, form)
        flash(self.texts.voided)
        return redirect(self._section_of(subject_id), 303)

    def _save_correction(self, subject: Subject, shown: Any, form: Any, now: datetime) -> None:
        self._reject_voided(subject, shown)
        correction = RowCorrection(form.facts(), form.reason.data)
        self.rows.correct(
            db_session(),
            access.actor(),
            shown,
            correction,
            now=now,
        )

    def _save_void(self, subject: Subject, shown: Any, form: Any, now: datetime) -> None:
        self._reject_voided(subject, shown)
        self.rows.void(
            db_session(),
            access.actor(),
            shown,
            reason=form.reason.data,
            now=now,
        )

    def _row(self, subject: Subject, row_id: int) -> Any:
        return self.rows.find(db_session(), subject, row_id)

    def _reject_voided(self, subject: Subject, shown: Any) -> None:
        """Raises ChangedSince, which says who changed what, if the row is not as the form showed it any more."""
        session = db_session()
        subject_lock.lock(session, subject)
        if shown.voided_at is None:
            return
        newest = self.rows.newest(session, shown)
        by = editors.name_at(session, subject.id, self.voiding, shown.voided_at)
        at = local_moment(shown.voided_at, subject.time_zone)
        change = RowChange(by, at, shown.void_reason or "")
        after = self._filled(newest) if newest else None
        raise ChangedSince(edit_conflicts.conflict_text(change, self._filled(shown), after))

    def _after_failure(self, subject: Subject, row_id: int, form: Any) -> Page:
        """Returns the page with the submitted form; after a conflict for the row recorded now, or for a new one."""
        shown = self._row(subject, row_id)
        newest = self.rows.newest(db_session(), shown)
        if not form.form_errors or newest is shown:
            return self._page(subject, shown, form=form)
        if newest is None:
            new = self.forms.new()
            new.form_errors = list(form.form_errors)
            return self._new_page(subject, new)
        return self._page(subject, newest, form=self._merged(form, shown, newest))

    def _merged(self, form: Any, shown: Any, newest: Any) -> Any:
        """Returns the submitted form for the row that is recorded now: what was typed, and the rest as recorded."""
        data = edit_conflicts.merged(
            form,
            self._filled(shown),
            self._filled(newest),
        )
        merged = self.forms.correction(formdata=data)
        merged.form_errors = form.form_errors
        return merged

    def _after_failed_void(self, subject: Subject, row_id: int, form: Any) -> Page:
        shown = self._row(subject, row_id)
        newest = self.rows.newest(db_session(), shown)
        return self._page(subject, newest or shown, void=form)

    def _filled(self, row: Any) -> Any:
        return self.forms.correction(formdata=None, data=self.forms.recorded(row))

    def _section_of(self, subject_id: uuid.UUID) -> str:
        return url_for("staff.subject", subject_id=subject_id, _anchor=self.section)

    def _back(self, subject_id: uuid.UUID) -> str:
        """Returns the page of the call during which it was told, else that of the patient."""
        call_id = _call_id()
        if call_id is None:
            return self._section_of(subject_id)
        return url_for("staff.call", call_id=visibility.find_call(db_session(), access.account(), call_id).id)

    def _new_page(self, subject: Subject, form: FlaskForm) -> Page:
        return current.show(
            f"staff/{self.name}_new.html",
            subject,
            form=form,
            call_id=_call_id(),
            back=self._back(subject.id),
        )

    def _page(self, subject: Subject, row: Any, *, form: Any = None, void: Any = None) -> Page:
        return current.show(
            f"staff/{self.name}.html",
            subject,
            row=row,
            form=form or self._filled(row),
            void=void or self.forms.void(formdata=None, prefix=VOID),
        )


def _saved(form: Any, save: Callable[[datetime], None]) -> bool:
    if not form.validate():
        return False
    now = clock.now()
    return bool(current.submit(form, lambda: save(now)))


def _today(subject: Subject) -> date:
    return local_date(clock.now(), subject.site.time_zone)


def _call_id() -> int | None:
    """Returns the id of the call in the URL; None without one, or for what no id can be."""
    entered = request.args.get("call", "")
    return int(entered) if ID.fullmatch(entered) else None

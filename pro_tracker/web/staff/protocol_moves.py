"""The form of the course page that moves a course to another protocol or version, and its saving."""

from datetime import datetime
from typing import Any

from flask_babel import gettext as _

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.protocol import Protocol
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Subject
from pro_tracker.services.planning import subject_lock
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import courses, protocol_moves
from pro_tracker.services.treatment.protocol_moves import ProtocolMoveFacts
from pro_tracker.web import access, labels
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import edit_conflicts
from pro_tracker.web.staff.edit_conflicts import Changer
from pro_tracker.web.staff.forms.course_forms import ProtocolMoveForm

MOVE = "move"  # prefix of the form's field names, and its name in the template


def fresh_form(course: Course | None) -> ProtocolMoveForm:
    """Returns the form with the protocols that the course can move to; without a course there are none."""
    form = bound_form(course, formdata=None)
    if course:
        edit_conflicts.remember(form, _values(protocol_catalog.bound_to(course)))
    return form


def bound_form(course: Course | None, **options: Any) -> ProtocolMoveForm:
    """Returns the form as it was sent, or with `options`, with the protocols that the course can move to."""
    found = protocol_moves.targets(course) if course else ()
    choices: list[tuple[str, str]] = []
    for each in found:
        name = protocol_moves.named(each)
        choices.append((name, _choice(each)))
    return ProtocolMoveForm(choices, prefix=MOVE, **options)


def _choice(protocol: Protocol) -> str:
    study = labels.study(protocol)
    text = _("%(study)s, version %(version)s", study=study, version=protocol.version)
    return str(text)


def _values(protocol: Protocol) -> edit_conflicts.RecordedValues:
    return {_("protocol"): _choice(protocol)}


def move(subject: Subject, form: ProtocolMoveForm, now: datetime) -> None:
    """Moves the subject's newest course. Raises InvalidInput, ChangedSince."""
    session = db_session()
    # The lock comes before the read, so that the version compared is the one that the move replaces.
    subject_lock.lock(session, subject)
    course = courses.current_course(session, subject)
    if course is None:
        raise InvalidInput(_("This patient has no course yet. Start one first."))
    target = protocol_moves.protocol_named(form.protocol.data)
    changer = Changer(subject.id, subject.time_zone, ("course.move-protocol", "course.start"))
    edit_conflicts.reject_stale(form, _values(protocol_catalog.bound_to(course)), _values(target), changer)
    facts = ProtocolMoveFacts(target, form.reason.data)
    protocol_moves.move(session, access.actor(), course, facts, now=now)

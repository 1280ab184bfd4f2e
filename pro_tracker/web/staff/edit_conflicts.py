"""Detection of edit conflicts: two users change the same form, and the later one sees the other's change first.

Optimistic locking: a form carries a digest of the values that it was filled with, or the id of the row. The user
who saves second reads what was changed and by whom, keeps what was typed, and can save it on top of that change.
"""

import hashlib
import uuid
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, HiddenField, SelectFieldBase

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import ChangedSince
from pro_tracker.services.clinic import editors
from pro_tracker.web.fields import DateInputField
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import form_summary
from pro_tracker.web.staff.blueprint import local_moment

RecordedValues = Mapping[str, str]  # label of a field -> its value in words


class Changer(NamedTuple):
    """Key to the user who changed the recorded values: the newest of these actions on the subject."""

    subject_id: uuid.UUID
    time_zone: str
    actions: Collection[str]


def remember(form: Any, recorded: RecordedValues) -> None:
    """Stores a digest of the recorded values in the form's hidden field `as_shown`."""
    form.as_shown.data = _digest(recorded)


def reject_stale(form: Any, recorded: RecordedValues, requested: RecordedValues, changer: Changer) -> None:
    """Raises ChangedSince if the recorded values changed since the form was filled, unless they equal the requested.

    The error lists the recorded values and who changed them. The form then carries their digest, so that sending it
    again overwrites them.
    """
    shown = form.as_shown.data
    recorded_digest = _digest(recorded)
    if shown in (None, "", recorded_digest) or requested == recorded:
        return
    form.as_shown.data = recorded_digest
    facts = "; ".join(f"{label}: {value}" for label, value in recorded.items())
    raise ChangedSince(
        _("This was changed by %(who)s after you opened the page. Recorded now: %(facts)s. To put yours in its place, "
          "send it once more.", who=_last_changer(changer), facts=facts)
    )  # fmt: skip


class RowChange(NamedTuple):
    """The change that was saved first: who made it, when, and why."""

    by: str
    at: str
    reason: str


def conflict_text(change: RowChange, shown: Any, newest: Any) -> str:
    """Returns the text for the user who saves second: who changed what. Both forms are filled with recorded values.

    `newest` None: nothing is left to correct.
    """
    who = change.by or _("Someone else")
    first = _("%(who)s changed this on %(moment)s, after you opened the page (%(reason)s).",
              who=who, moment=change.at, reason=change.reason)  # fmt: skip
    if newest is None:
        return first
    facts = "; ".join(_field_changes(shown, newest))
    kept = _("What you changed is kept below, and the rest shows what is recorded now. Send it once more to save it.")
    return f"{first} {facts}. {kept}" if facts else f"{first} {kept}"


def merged(typed: Any, shown: Any, newest: Any) -> MultiDict[str, str]:
    """Returns form data: what was typed where it differs from the form as shown, else what is recorded now.

    Fields that only the newest form has hold what is recorded now.
    """
    found: MultiDict[str, str] = MultiDict()
    for field in typed:
        name = field.short_name
        entered = _entries(field)
        is_untouched = name in shown and name in newest and entered == _entries(shown[name])
        found.update(_entries(newest[name]) if is_untouched else entered)
    for field in newest:
        if field.short_name not in typed:
            found.update(_entries(field))
    return found


def _field_changes(shown: Any, newest: Any) -> Iterator[str]:
    """Yields each field that differs, in words."""
    for field in newest:
        before = shown._fields.get(field.short_name)
        if isinstance(field, HiddenField) or (before is not None and _entries(before) == _entries(field)):
            continue
        old = form_summary.field_text(before) if before is not None else ""
        if (new := form_summary.field_text(field)) or old:
            yield f"{field.label.text}: {old or '–'} → {new or '–'}"


def _entries(field: Any) -> dict[str, str]:
    """Returns what a browser sends for the field: name -> value."""
    match field:
        case DateInputField():
            return {f"{field.name}-{part}": text for part, text in field.parts.items()}
        case BooleanField():
            return {field.name: "y"} if field.data else {}
        case SelectFieldBase():
            return {} if field.data is None else {field.name: str(field.data)}
        case _:
            return {field.name: str(field._value())}


def _last_changer(changer: Changer) -> str:
    last = editors.last_change(db_session(), changer.subject_id, changer.actions)
    if last is None:
        return str(_("someone else"))
    who = last.by or (_("the patient") if last.kind == ActorKind.PATIENT else _("someone else"))
    return str(_("%(name)s (%(moment)s)", name=who, moment=local_moment(last.at, changer.time_zone)))


def _digest(recorded: RecordedValues) -> str:
    text = repr(sorted(recorded.items()))
    return hashlib.sha256(text.encode()).hexdigest()

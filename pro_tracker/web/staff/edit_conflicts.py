"""Two people at one form: whoever sends theirs later is told what the other has saved, and decides anew."""

import hashlib
from collections.abc import Mapping
from typing import Any

from flask_babel import gettext as _

from pro_tracker.domain.errors import InvalidInput

RecordedValues = Mapping[str, str]  # label of a field -> its value in words


def remember(form: Any, recorded: RecordedValues) -> None:
    """Let the form, which has a hidden field `as_shown`, remember what it was filled with."""
    form.as_shown.data = _digest(recorded)


def reject_stale(form: Any, recorded: RecordedValues, requested: RecordedValues) -> None:
    """Raise InvalidInput where the form was filled with something else than is recorded now, unless that is wanted.

    The form remembers what it tells: sent once more, it is meant.
    """
    shown, now = form.as_shown.data, _digest(recorded)
    if shown in (None, "", now) or requested == recorded:
        return
    form.as_shown.data = now
    facts = "; ".join(f"{label}: {value}" for label, value in recorded.items())
    raise InvalidInput(
        _("Somebody else changed this since you opened the page. Recorded now: %(facts)s. To put yours in its place, "
          "send it once more.", facts=facts)
    )  # fmt: skip


def _digest(recorded: RecordedValues) -> str:
    return hashlib.sha256(repr(sorted(recorded.items())).encode()).hexdigest()

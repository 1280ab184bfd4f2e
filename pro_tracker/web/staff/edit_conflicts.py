"""Detection of edit conflicts: two users change the same form, and the later one sees the other's change first.

Optimistic locking by values: the form carries a digest of the values that it was filled with.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from flask_babel import gettext as _

from pro_tracker.domain.errors import InvalidInput

RecordedValues = Mapping[str, str]  # label of a field -> its value in words


def remember(form: Any, recorded: RecordedValues) -> None:
    """Stores a digest of the recorded values in the form's hidden field `as_shown`."""
    form.as_shown.data = _digest(recorded)


def reject_stale(form: Any, recorded: RecordedValues, requested: RecordedValues) -> None:
    """Raises InvalidInput if the recorded values changed since the form was filled, unless they equal the requested.

    The error lists the recorded values. The form then carries their digest, so that sending it again overwrites them.
    """
    shown = form.as_shown.data
    recorded_digest = _digest(recorded)
    if shown in (None, "", recorded_digest) or requested == recorded:
        return
    form.as_shown.data = recorded_digest
    facts = "; ".join(f"{label}: {value}" for label, value in recorded.items())
    raise InvalidInput(
        _("Somebody else changed this since you opened the page. Recorded now: %(facts)s. To put yours in its place, "
          "send it once more.", facts=facts)
    )  # fmt: skip


def _digest(recorded: RecordedValues) -> str:
    text = repr(sorted(recorded.items()))
    return hashlib.sha256(text.encode()).hexdigest()

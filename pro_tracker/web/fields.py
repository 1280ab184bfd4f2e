"""Form fields WTForms lacks. Drawn by templates/macros/forms.html, not by WTForms' widgets."""

from datetime import date
from typing import Any

from flask_babel import lazy_gettext as _
from wtforms import Field
from wtforms.validators import ValidationError

from pro_tracker.domain.wall_time import LAST_YEAR


class DateInputField(Field):
    """A date typed as day, month and year (`<name>-day`, `-month`, `-year`); `data` is a date, or None when empty.

    `autocomplete` is the HTML autofill name without its part ("bday"), "" for none.
    """

    PARTS = ("day", "month", "year")

    def __init__(self, label: Any = None, validators: Any = None, *, autocomplete: str = "", **kwargs: Any) -> None:
        super().__init__(label, validators, **kwargs)
        self.autocomplete = autocomplete
        self.parts = dict.fromkeys(self.PARTS, "")
        self.first_input_id = f"{self.id}-day"

    def process(self, formdata: Any, data: Any = None, extra_filters: Any = None) -> None:
        super().process(None, data if isinstance(data, date) else None, extra_filters)
        if isinstance(self.data, date):
            self.parts = {part: str(getattr(self.data, part)) for part in self.PARTS}
        if formdata is not None and f"{self.name}-day" in formdata:
            self._read({part: formdata.get(f"{self.name}-{part}", "").strip() for part in self.PARTS})

    def _read(self, parts: dict[str, str]) -> None:
        self.parts, self.raw_data, self.data = parts, [text for text in parts.values() if text], None
        if self.raw_data:
            try:
                self.data = date(int(parts["year"]), int(parts["month"]), int(parts["day"]))
            except ValueError:
                self.process_errors = [str(_("Enter a real date with day, month and a four-figure year."))]

    def pre_validate(self, form: Any) -> None:
        if self.data is not None and self.data.year < 1900:
            raise ValidationError(str(_("Enter the year with four figures.")))
        if self.data is not None and self.data.year > LAST_YEAR:
            raise ValidationError(str(_("Check the year: it lies too far ahead.")))

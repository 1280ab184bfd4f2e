"""Form fields that WTForms does not have. templates/macros/forms.html renders them, not widgets of WTForms."""

from datetime import date
from typing import Any

from flask_babel import lazy_gettext as _
from wtforms import Field
from wtforms.validators import ValidationError

from pro_tracker.domain.wall_time import LAST_YEAR


class DateInputField(Field):
    """A date entered as day, month and year (`<name>-day`, `-month`, `-year`); `data` is a date, or None when empty.

    `autocomplete` is the HTML autofill name without its part ("bday"), or "". Three boxes instead of type="date"
    follow the GOV.UK Design System: every browser, language and keyboard can fill them.
    """

    PARTS = ("day", "month", "year")

    def __init__(self, label: Any = None, validators: Any = None, *, autocomplete: str = "", **kwargs: Any) -> None:
        super().__init__(label, validators, **kwargs)
        self.autocomplete = autocomplete
        self.parts = dict.fromkeys(self.PARTS, "")
        self.first_input_id = f"{self.id}-day"

    def process(self, formdata: Any, data: Any = None, extra_filters: Any = None) -> None:
        """Sets the date from the default, then from the submitted parts if there are any."""
        default = data if isinstance(data, date) else None
        # No form data: WTForms would look for one input with the field's name, which does not exist.
        super().process(None, default, extra_filters)
        if isinstance(self.data, date):
            self.parts = {part: str(getattr(self.data, part)) for part in self.PARTS}
        if formdata is not None and f"{self.name}-day" in formdata:
            self._read(formdata)

    def _read(self, formdata: Any) -> None:
        for part in self.PARTS:
            text = formdata.get(f"{self.name}-{part}", "")
            self.parts[part] = text.strip()
        # Validators such as InputRequired look at the raw data to find out whether anything was entered.
        self.raw_data = [text for text in self.parts.values() if text]
        self.data = None
        if not self.raw_data:
            return
        try:
            year, month, day = (int(self.parts[part]) for part in ("year", "month", "day"))
            self.data = date(year, month, day)
        except ValueError:
            self.process_errors = [str(_("Enter a real date with day, month and a four-figure year."))]

    def pre_validate(self, form: Any) -> None:
        """Raises ValidationError for a year that is most likely a typing error."""
        if self.data is None:
            return
        if self.data.year < 1900:
            raise ValidationError(str(_("Enter the year with four figures.")))
        if self.data.year > LAST_YEAR:
            raise ValidationError(str(_("Check the year: it lies too far ahead.")))

"""Form fields that WTForms does not have. templates/macros/forms.html renders them, not widgets of WTForms."""

from collections.abc import Mapping
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

    WIDTHS: Mapping[str, int] = {"day": 2, "month": 2, "year": 4}  # characters that a box shows
    MAX_LENGTHS: Mapping[str, int] = WIDTHS  # characters that a box takes
    NO_DATE: Any = _("Enter a real date with day, month and a four-figure year.")
    PARTS = ("day", "month", "year")  # in the order of the boxes

    def __init__(self, label: Any = None, validators: Any = None, *, autocomplete: str = "", **kwargs: Any) -> None:
        super().__init__(label, validators, **kwargs)
        self.autocomplete = autocomplete
        self.parts = dict.fromkeys(self.PARTS, "")

    @property
    def first_input_id(self) -> str:
        """The id of the first box, which an error leads to."""
        return f"{self.id}-{self.PARTS[0]}"

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
        self._set_data()

    def _set_data(self) -> None:
        self.data = self._date() if self.raw_data else None
        self.process_errors = [str(self.NO_DATE)] if self.raw_data and self.data is None else []

    def _date(self) -> date | None:
        """Returns the date that the parts say; None if they say none."""
        try:
            year, month, day = (int(self.parts[part]) for part in ("year", "month", "day"))
            return date(year, month, day)
        except (ValueError, OverflowError):
            return None

    def pre_validate(self, form: Any) -> None:
        """Raises ValidationError for a year that is most likely a typing error."""
        if self.data is None:
            return
        if self.data.year < 1900:
            raise ValidationError(str(_("Enter the year with four figures.")))
        if self.data.year > LAST_YEAR:
            raise ValidationError(str(_("Check the year: it lies too far ahead.")))

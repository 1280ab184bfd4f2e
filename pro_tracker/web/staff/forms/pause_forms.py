"""The forms with which staff begin a pause of a subject's messages and change its last day."""

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import HiddenField
from wtforms.validators import DataRequired, InputRequired, Optional

from pro_tracker.web.fields import DateInputField
from pro_tracker.web.staff.forms import fields


class PauseForm(FlaskForm):  # type: ignore[misc]
    from_on = DateInputField(_("First day of the pause"), [InputRequired(_("Enter the first day."))])
    until_on = DateInputField(
        _("Last day of the pause"), [Optional()], description=_("Empty while the end is not known.")
    )
    reason = fields.text_field(
        _("Why is nothing to be asked?"),
        DataRequired(_("Say why nothing is to be asked.")),
        description=_("Such as: hospital stay."),
    )


class PauseEndForm(FlaskForm):  # type: ignore[misc]
    as_shown = HiddenField()
    until_on = DateInputField(_("Last day of the pause"), [Optional()], description=_("Empty while it is not known."))
    reason = fields.text_field(_("Why does this day change?"), DataRequired(_("Say why the last day changes.")))

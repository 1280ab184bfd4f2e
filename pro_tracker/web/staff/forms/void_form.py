"""The form that voids a row which was entered in error."""

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms.validators import DataRequired

from pro_tracker.web.staff.forms import fields


class RowVoidForm(FlaskForm):  # type: ignore[misc]
    """Voids a row that was entered in error."""

    reason = fields.text_field(_("Why was it an error?"), DataRequired(_("Say why it was an error.")))

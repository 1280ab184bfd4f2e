"""The forms with which administrators add and change accounts."""

from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import PasswordField, SelectMultipleField
from wtforms.validators import DataRequired, InputRequired

from pro_tracker.models.site import Site
from pro_tracker.web import labels
from pro_tracker.web.staff.forms import fields


class AccountForm(FlaskForm):  # type: ignore[misc]
    email = fields.text_field(
        _("E-mail address"), DataRequired(_("Enter the e-mail address.")), description=_("The person signs in with it.")
    )
    display_name = fields.text_field(_("Name"), DataRequired(_("Enter the name.")))
    role = fields.radio_field(_("Role"), _("Choose the role."))
    site_codes = SelectMultipleField(
        _("Clinics"), description=_("Whose patients the account may see. An administrator sees none and needs none.")
    )
    password = PasswordField(
        _("Password"),
        [InputRequired(_("Enter a password."))],
        description=_("At least 15 characters; several words in a row make a good one."),
    )

    def __init__(self, sites: list[Site], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.role.choices = fields.choices(labels.ROLES.items())
        by_code = [(site.code, site.name) for site in sites]
        self.site_codes.choices = fields.choices(by_code)


class AccountChangeForm(AccountForm):
    """Role and sites of an account that exists."""

    email = display_name = password = None  # type: ignore[assignment]

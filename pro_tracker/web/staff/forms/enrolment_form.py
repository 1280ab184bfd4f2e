"""The enrolment form: the fields of EnrolmentFacts, under the same names. The rules are in services/enrolment."""

from collections.abc import Sequence
from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField
from wtforms.validators import Optional

from pro_tracker.domain.protocol import Protocol
from pro_tracker.models.site import Site
from pro_tracker.services.enrolment.facts import EnrolmentFacts
from pro_tracker.web import labels
from pro_tracker.web.fields import DateInputField
from pro_tracker.web.staff.forms import fields


class EnrolmentForm(FlaskForm):  # type: ignore[misc]
    """Identity, contacts, consent and first course of a new subject."""

    site_code = fields.radio_field(_("Clinic"), _("Choose the clinic."))
    record_number = fields.text_field(_("Record number"))
    given_name = fields.text_field(_("Given name"))
    family_name = fields.text_field(_("Family name"))
    birth_date = DateInputField(
        _("Date of birth"), [Optional()], description=_("Opens the patient's questions: check it with the patient.")
    )
    sex = fields.radio_field(_("Sex"), _("Choose the sex, or “not known”."))
    email = fields.text_field(_("E-mail address (optional)"))
    mobile = fields.text_field(_("Mobile number (optional)"), description=_("With country code: +1 216 555 0100"))
    preferred_channel = fields.radio_field(_("Reminders by"), _("Choose how reminders go out."))
    language = fields.radio_field(_("Language of questions and messages"), _("Choose the language."))
    time_zone = fields.text_field(_("Time zone"), description=_("Where the patient lives, such as America/New_York"))
    enrolled_on = DateInputField(_("Date of enrollment"), [Optional()])
    consent_version = fields.text_field(
        _("Version of the consent form signed"), description=_("As printed on it: 2026-01")
    )
    consent_on = DateInputField(_("Date of consent"), [Optional()])
    protocol = fields.radio_field(
        _("Study"), _("Choose the study."), description=_("Its protocol says what is asked, and when.")
    )
    planned_start_on = DateInputField(
        _("Planned date of the first infusion (optional)"),
        [Optional()],
        description=_("The first questions are asked in the days before it. It can be set or moved later."),
    )
    planned_infusions = fields.integer_field(
        _("Planned number of infusions (optional)"),
        Optional(),
        description=_("Empty: as the protocol says. More may be given."),
    )

    # Of the warning about possible duplicates: the answer, and which of them the page showed.
    another_person = BooleanField(_("It is another person"))
    duplicates_shown = HiddenField()

    def __init__(self, sites: list[Site], protocols: Sequence[Protocol], **kwargs: Any) -> None:
        """`protocols`: those to choose from; a single one is no choice, and then there is no such field."""
        super().__init__(**kwargs)
        studies = [(each.code, labels.study(each)) for each in protocols]
        self.protocol.choices = fields.choices(studies)
        if len(protocols) == 1:
            del self.protocol
        by_code = [(site.code, site.name) for site in sites]
        self.site_code.choices = fields.choices(by_code)
        self.sex.choices = fields.choices(labels.SEXES.items())
        self.language.choices = fields.choices(labels.language_names().items())
        automatic = ("", _("E-mail where there is an address, else text message"))
        self.preferred_channel.choices = fields.choices([automatic, *labels.PREFERRED_CHANNELS.items()])

    def facts(self) -> EnrolmentFacts:
        """Returns the entries as the service takes them."""
        names = [name for name in EnrolmentFacts.__dataclass_fields__ if name in self]
        entered: dict[str, Any] = {name: self[name].data for name in names}
        for name in RADIO_FIELDS:
            entered[name] = entered.get(name) or ""  # None without a selected button
        return EnrolmentFacts(**entered)


RADIO_FIELDS = ("site_code", "sex", "language", "preferred_channel", "protocol")

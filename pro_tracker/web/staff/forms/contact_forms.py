"""The forms of the contacts page: addresses, message preferences, and reopening a closed contact."""

from datetime import time
from typing import Any

from flask_babel import format_time, lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField
from wtforms.validators import InputRequired

from pro_tracker.domain.channels import HELPER_CHANNELS, Channel
from pro_tracker.domain.protocol import Protocol
from pro_tracker.models.subject import Subject
from pro_tracker.services.contacts.addresses import FIELDS
from pro_tracker.services.contacts.preferences import Preferences
from pro_tracker.web import labels
from pro_tracker.web.staff.forms import fields


class AddressesForm(FlaskForm):  # type: ignore[misc]
    as_shown = HiddenField()
    email = fields.text_field(_("E-mail address"))
    mobile = fields.text_field(_("Mobile number"), description=_("With country code: +1 216 555 0100"))

    def addresses(self) -> dict[Channel, str]:
        """Returns the entered address of each channel, "" for none."""
        entered = {}
        for channel, field in FIELDS.items():
            entered[channel] = self[field].data
        return entered


class StaffPreferencesForm(FlaskForm):  # type: ignore[misc]
    """Channel, hour, language and time zone of a subject's messages, and their label; quiet hours are not offered."""

    as_shown = HiddenField()
    preferred_channel = fields.radio_field(_("Messages by"), _("Choose how messages go out."))
    message_time = fields.select_field(_("Messages come at"))
    language = fields.radio_field(_("Language of questions and messages"), _("Choose the language."))
    time_zone = fields.text_field(
        _("Time zone"),
        description=_("Where the patient lives, such as America/New_York. Messages to come keep their time of day."),
    )

    label = fields.text_field(
        _("Label"),
        description=_(
            "Up to 12 characters, no name. It says on the patient's pages whose questions they are, and in messages"
            " to an address that two patients share. Empty: the end of the study code."
        ),
    )

    def __init__(self, protocol: Protocol, subject: Subject, **kwargs: Any) -> None:
        own = subject.message_time
        super().__init__(obj=subject, data={"message_time": own.isoformat("minutes") if own else ""}, **kwargs)
        self.preferred_channel.choices = fields.choices(labels.PREFERRED_CHANNELS.items())
        self.language.choices = fields.choices(labels.language_names().items())
        self.message_time.choices = fields.choices(_time_choices(protocol, own))

    def requested(self) -> Preferences:
        """Returns the entries as the service takes them."""
        own = self.message_time.data
        return Preferences(
            preferred_channel=Channel(self.preferred_channel.data),
            language=self.language.data,
            message_time=time.fromisoformat(own) if own else None,
            time_zone=self.time_zone.data,
            label=self.label.data.strip(),
        )


class ReopenForm(FlaskForm):  # type: ignore[misc]
    sure = BooleanField(
        _("The patient wants messages there, and the address is right"),
        [InputRequired(_("Confirm that the patient wants messages there."))],
    )


class ReopenHelperForm(ReopenForm):
    sure = BooleanField(
        _("The patient and the helper agree to messages there, and the address is right"),
        [InputRequired(_("Confirm that the patient and the helper agree."))],
    )


def reopen_form(channel: str, **options: Any) -> ReopenForm:
    """Returns the form that reopens the contact of this channel, with the channel as its prefix."""
    form = ReopenHelperForm if channel in HELPER_CHANNELS else ReopenForm
    return form(prefix=channel, **options)


def _time_choices(protocol: Protocol, own: time | None) -> list[tuple[str, Any]]:
    """Returns the protocol's time, then each full hour outside quiet hours, and the subject's recorded time."""
    hours = _hours(protocol)
    if own:
        hours.add(own)
    usual = _("%(hour)s, as the protocol says", hour=_clock(protocol.reminder_time))
    by_hour = [(hour.isoformat("minutes"), _clock(hour)) for hour in sorted(hours)]
    return [("", usual), *by_hour]


def _hours(protocol: Protocol) -> set[time]:
    hours = {time(hour) for hour in range(24)}
    return {hour for hour in hours if protocol.quiet_until <= hour < protocol.quiet_from}


def _clock(hour: time) -> str:
    return str(format_time(hour, "short", rebase=False))

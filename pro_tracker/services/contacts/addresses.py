"""Checks what may be stored as a contact: mail addresses, mobile numbers, time zones. Reads no database."""

from collections.abc import Mapping
from functools import cache
from typing import assert_never
from zoneinfo import available_timezones

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from pro_tracker.domain.channels import Channel

# The field of forms, files and facts that holds the address of a channel.
FIELDS: Mapping[Channel, str] = {Channel.EMAIL: "email", Channel.SMS: "mobile"}
ADDRESS_ERRORS: Mapping[Channel, str] = {
    Channel.EMAIL: "This is not a usable e-mail address. It looks like name@domain.example.",
    Channel.SMS: "This is not a usable mobile number. Write it with + and country code: +1 216 555 0100.",
}
NEEDS_ADDRESS: Mapping[Channel, str] = {
    Channel.EMAIL: "Messages by e-mail need an e-mail address.",
    Channel.SMS: "Text messages need a mobile number.",
}


def usable_address(channel: Channel, text: str) -> str | None:
    """The address in the form in which it is kept, None when no message can be sent to it on this channel."""
    match channel:
        case Channel.EMAIL:
            return usable_email(text)
        case Channel.SMS:
            return usable_mobile(text)
        case _:
            assert_never(channel)


def usable_email(text: str) -> str | None:
    """The address in its normal form, None when no mail can be sent to it by its form. Nothing is asked of the network.

    The names under `.example` that samples and demonstrations use pass; `.test`, `.local` and the like do not.
    """
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError:
        return None


def usable_mobile(text: str) -> str | None:
    """The number in E.164 form (+12165550100), None when it has no country code or no network uses such numbers."""
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number) or number.extension:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@cache
def time_zones() -> frozenset[str]:
    """Every name of the IANA list that this machine knows."""
    return frozenset(available_timezones())

"""Checks mail addresses, mobile numbers and time zones before they are stored. No database access."""

from collections.abc import Callable, Mapping
from functools import cache
from zoneinfo import available_timezones

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from pro_tracker.domain.channels import PREFERABLE_CHANNELS, AddressKind, Channel, address_kind
from pro_tracker.domain.languages import for_patients

_FIELDS: Mapping[AddressKind, str] = {AddressKind.EMAIL: "email", AddressKind.TELEPHONE: "mobile"}
# The field of forms, files and facts that holds the subject's address of a channel that has its own.
FIELDS: Mapping[Channel, str] = {
    channel: _FIELDS[address_kind(channel)] for channel in PREFERABLE_CHANNELS if address_kind(channel) in _FIELDS
}
ADDRESS_ERRORS: Mapping[AddressKind, str] = {
    AddressKind.EMAIL: "This is not a usable e-mail address. It looks like name@domain.example.",
    AddressKind.TELEPHONE: "This is not a usable mobile number. Write it with + and country code: +1 216 555 0100.",
}
NEEDS_ADDRESS: Mapping[AddressKind, str] = {
    AddressKind.EMAIL: for_patients("Messages by e-mail need an e-mail address."),
    AddressKind.TELEPHONE: for_patients("Text messages need a mobile number."),
}


def usable_address(channel: Channel, text: str) -> str | None:
    """Returns the address in the form in which it is stored, or None when its form is not valid on this channel."""
    usable = _USABLE[address_kind(channel)]
    return usable(text)


def usable_email(text: str) -> str | None:
    """Returns the normalised mail address, or None when its form is not valid. Makes no network request.

    Names under `.example`, which samples and the demonstration use, are valid; `.test` and `.local` are not.
    """
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError:
        return None


def usable_mobile(text: str) -> str | None:
    """Returns the number in E.164 form (+12165550100), or None without a country code or in an unused number range."""
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number) or number.extension:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


_USABLE: Mapping[AddressKind, Callable[[str], str | None]] = {
    AddressKind.EMAIL: usable_email,
    AddressKind.TELEPHONE: usable_mobile,
}


@cache
def time_zones() -> frozenset[str]:
    """Returns the names of the IANA time zones of this machine's tz database."""
    return frozenset(available_timezones())

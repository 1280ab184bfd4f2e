"""Recall periods of instruments in the words of the page's language."""

import re

from flask_babel import gettext as _, lazy_gettext

PERIOD = re.compile(r"P(?P<days>\d+)D|P(?P<weeks>\d+)W|P(?P<months>\d+)M|PT(?P<hours>\d+)H")  # ISO 8601, of one unit
ONE = {
    "days": lazy_gettext("the past day"),
    "weeks": lazy_gettext("the past week"),
    "months": lazy_gettext("the past month"),
    "hours": lazy_gettext("the past hour"),
}


def words(period: str | None) -> str:
    """Returns "the past 7 days" for "P7D"; "" without a period, and for one of several units."""
    match = PERIOD.fullmatch(period or "")
    if match is None:
        return ""
    unit = match.lastgroup or ""
    number = int(match[unit])
    return str(ONE[unit]) if number == 1 else _several(unit, number)


def _several(unit: str, number: int) -> str:
    match unit:
        case "days":
            return str(_("the past %(num)d days", num=number))
        case "weeks":
            return str(_("the past %(num)d weeks", num=number))
        case "months":
            return str(_("the past %(num)d months", num=number))
        case _unit:
            return str(_("the past %(num)d hours", num=number))

"""The blueprint of the research pages, and the number formats of their templates."""

from flask import Blueprint
from flask_babel import format_decimal, format_percent

from pro_tracker.domain.disclosure import Count

blueprint = Blueprint("research", __name__)


@blueprint.app_template_filter("one_decimal")
def one_decimal(value: float | None) -> str:
    """Returns the value with one decimal; a dash for None."""
    if value is None:
        return "–"
    return str(format_decimal(round(value, 1), "0.0"))


@blueprint.app_template_filter("signed_decimal")
def signed_decimal(value: float) -> str:
    """Returns a change with its sign and one decimal; zero has no sign."""
    rounded = round(value, 1)
    if not rounded:
        return one_decimal(0)
    return str(format_decimal(rounded, "+0.0;−0.0"))


@blueprint.app_template_filter("share")
def share(count: Count) -> str:
    """Returns numerator, denominator and percentage: "12 / 40 (30%)"; a dash without a denominator."""
    if not count.of:
        return "–"
    percentage = format_percent(count.n / count.of, "0%")
    return f"{count.n} / {count.of} ({percentage})"

"""The blueprint of the research pages, and how their figures are written."""

from flask import Blueprint
from flask_babel import format_decimal, format_percent

from pro_tracker.domain.disclosure import Count

blueprint = Blueprint("research", __name__)


@blueprint.app_template_filter("one_decimal")
def one_decimal(value: float | None) -> str:
    """A figure with one decimal, a dash for none."""
    return "–" if value is None else str(format_decimal(round(value, 1), "0.0"))


@blueprint.app_template_filter("signed_decimal")
def signed_decimal(value: float) -> str:
    """A change with its sign and one decimal."""
    return str(format_decimal(round(value, 1), "+0.0;−0.0")) if round(value, 1) else one_decimal(0)


@blueprint.app_template_filter("share")
def share(count: Count) -> str:
    """Numerator, denominator and percentage: "12 of 40 (30%)"."""
    whole = count.of or 0
    return f"{count.n} / {whole} ({format_percent(count.n / whole, '0%')})" if whole else "–"

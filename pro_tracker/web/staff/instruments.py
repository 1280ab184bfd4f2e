"""Pages of the instrument library: items, scoring, verification of the scoring, and the wording in use."""

from babel.units import format_unit
from flask import render_template, request
from flask_babel import get_locale, gettext as _

from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.instrument import ChangeCriterion, ChangeRule, Instrument, Item, ResponderRule, Scale
from pro_tracker.services.protocols import library_overview
from pro_tracker.web import access
from pro_tracker.web.labels import language_name
from pro_tracker.web.session import db_session
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.trend_wording import number

EVERY_ROLE = tuple(Role)
UNITS = {"H": "duration-hour", "D": "duration-day", "W": "duration-week", "M": "duration-month", "Y": "duration-year"}


@blueprint.get("/instruments")
@access.staff(*EVERY_ROLE, sites="none")
def instruments() -> str:
    entries = library_overview.entries(db_session())
    return render_template(
        "staff/instruments.html",
        entries=entries,
        **_TEMPLATE_FUNCTIONS,
    )


@blueprint.get("/instruments/<code>")
@access.staff(*EVERY_ROLE, sites="none")
def instrument(code: str) -> str:
    """Shows one instrument, in the newest version or the one of the query parameter `version`."""
    version = request.args.get("version") or None
    entry = library_overview.entry(db_session(), code, version)
    return render_template(
        "staff/instrument.html",
        entry=entry,
        instrument=entry.instrument,
        **_TEMPLATE_FUNCTIONS,
    )


def recall(period: str | None) -> str:
    """Returns a recall period (ISO 8601 duration with one unit, such as "P7D") in words: "7 days"."""
    if period is None:
        return _("none named")
    amount = int(period.strip("PTHDWMY"))
    unit = UNITS[period[-1]]
    return str(format_unit(amount, unit, locale=get_locale()))


def scored_as(item: Item) -> str:
    """Describes the value that an answer to the item has in the score."""
    if item.recode is not None:
        pairs = [f"{old} → {new}" for old, new in item.recode.items()]
        return _("recoded: %(pairs)s", pairs=", ".join(pairs))
    if item.reversed:
        values = item.response_set.values
        return _("reversed: %(sum)s − code", sum=min(values) + max(values))
    return _("the code")


def scales_of(instrument: Instrument, item: Item) -> str:
    """Returns the codes of the scales that the item is part of."""
    codes = [scale.code for scale in instrument.scales if item.link_id in scale.items]
    return ", ".join(codes)


def missing(scale: Scale) -> str:
    """Describes how many items must be answered for a score of the scale."""
    least, all_items = scale.missing.prorate_min_answered, len(scale.items)
    if least is None or least == all_items:
        return _("All %(n)s items are needed.", n=all_items)
    return _("All %(n)s items are needed; where the protocol switches pro-rating on, %(least)s are enough.",
             n=all_items, least=least)  # fmt: skip


def band_bounds(lower: float | None, upper: float | None) -> str:
    """Returns the bounds of a severity band in words."""
    if lower is None:
        return _("up to %(bound)s", bound=number(upper))
    if upper is None:
        return _("from %(bound)s", bound=number(lower))
    return f"{number(lower)} – {number(upper)}"


def sizes(rule: ChangeRule) -> str:
    """Returns the criteria for meaningful change in words; one of them suffices."""
    return _(" or ").join(map(_size, rule.any_of))


def responders(rule: ResponderRule) -> str:
    """Describes the scores that make a subject a responder."""
    if rule.at_most is not None:
        return _("scores up to %(bound)s", bound=number(rule.at_most))
    return _("scores from %(bound)s", bound=number(rule.at_least))


def _size(criterion: ChangeCriterion) -> str:
    if criterion.points is not None:
        size = _("%(points)s points", points=number(criterion.points))
    else:
        size = _("%(percent)s %% of baseline", percent=number(criterion.percent))
    return size + "".join(_limits(criterion))


def _limits(criterion: ChangeCriterion) -> list[str]:
    """Returns the conditions under which the criterion applies, each beginning with a comma."""
    limits = []
    if criterion.only == "improvement":
        limits.append(_(", improvement only"))
    if criterion.only == "worsening":
        limits.append(_(", worsening only"))
    if criterion.baseline_above is not None:
        limits.append(_(", from a baseline above %(bound)s", bound=number(criterion.baseline_above)))
    if criterion.baseline_at_most is not None:
        limits.append(_(", from a baseline up to %(bound)s", bound=number(criterion.baseline_at_most)))
    return limits


_TEMPLATE_FUNCTIONS = {
    "band_bounds": band_bounds,
    "counted": scored_as,
    "language_name": language_name,
    "missing": missing,
    "recall": recall,
    "recomputed_only": library_overview.recomputed_only,
    "responders": responders,
    "scales_of": scales_of,
    "sizes": sizes,
}

"""The instruments' pages: what is asked, how it is scored, how far that was checked, and whose wording is in force."""

from babel.units import format_unit
from flask import render_template, request
from flask_babel import get_locale, gettext as _

from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.instrument import ChangeCriterion, ChangeRule, Instrument, Item, ResponderRule, Scale
from pro_tracker.services.protocols import library_overview
from pro_tracker.web import access
from pro_tracker.web.labels import LANGUAGES
from pro_tracker.web.session import db_session
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.trend_wording import number

EVERY_ROLE = tuple(Role)
UNITS = {"H": "duration-hour", "D": "duration-day", "W": "duration-week", "M": "duration-month", "Y": "duration-year"}


@blueprint.get("/instruments")
@access.staff(*EVERY_ROLE, sites="none")
def instruments() -> str:
    return render_template(
        "staff/instruments.html", entries=library_overview.entries(db_session()), **_TEMPLATE_FUNCTIONS
    )


@blueprint.get("/instruments/<code>")
@access.staff(*EVERY_ROLE, sites="none")
def instrument(code: str) -> str:
    entry = library_overview.entry(db_session(), code, request.args.get("version") or None)
    return render_template("staff/instrument.html", entry=entry, instrument=entry.instrument, **_TEMPLATE_FUNCTIONS)


def recall(period: str | None) -> str:
    """An ISO 8601 duration as the instrument files write it, in words: "7 days"."""
    if period is None:
        return _("none named")
    return str(format_unit(int(period.strip("PTHDWMY")), UNITS[period[-1]], locale=get_locale()))


def scored_as(item: Item) -> str:
    """What an answer to the item counts."""
    if item.recode is not None:
        return _("recoded: %(pairs)s", pairs=", ".join(f"{old} → {new}" for old, new in item.recode.items()))
    if item.reversed:
        return _("reversed: %(sum)s − code", sum=min(item.response_set.values) + max(item.response_set.values))
    return _("the code")


def scales_of(instrument: Instrument, item: Item) -> str:
    """The codes of the scales in which the item counts."""
    return ", ".join(scale.code for scale in instrument.scales if item.link_id in scale.items)


def missing(scale: Scale) -> str:
    """How many items the scale needs."""
    least, all_items = scale.missing.prorate_min_answered, len(scale.items)
    if least is None or least == all_items:
        return _("All %(n)s items are needed.", n=all_items)
    return _("All %(n)s items are needed; where the protocol switches pro-rating on, %(least)s are enough.",
             n=all_items, least=least)  # fmt: skip


def band_bounds(lower: float | None, upper: float | None) -> str:
    """From where to where a severity band goes."""
    if lower is None:
        return _("up to %(bound)s", bound=number(upper))
    if upper is None:
        return _("from %(bound)s", bound=number(lower))
    return f"{number(lower)} – {number(upper)}"


def sizes(rule: ChangeRule) -> str:
    """The sizes of change that matter, any of which is enough."""
    return _(" or ").join(map(_size, rule.any_of))


def responders(rule: ResponderRule) -> str:
    """Which scores mean that the person responded."""
    if rule.at_most is not None:
        return _("scores up to %(bound)s", bound=number(rule.at_most))
    return _("scores from %(bound)s", bound=number(rule.at_least))


def _size(criterion: ChangeCriterion) -> str:
    size = (
        _("%(points)s points", points=number(criterion.points))
        if criterion.points is not None
        else _("%(percent)s %% of baseline", percent=number(criterion.percent))
    )
    return size + "".join(_limits(criterion))


def _limits(criterion: ChangeCriterion) -> list[str]:
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
    "languages": LANGUAGES,
    "missing": missing,
    "recall": recall,
    "recomputed_only": library_overview.recomputed_only,
    "responders": responders,
    "scales_of": scales_of,
    "sizes": sizes,
}

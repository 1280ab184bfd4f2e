"""Wording of a patient's own results. What changed is decided in domain/change.py alone, for staff and patients.

Kind and plain: no "error", no alarm, and always which direction is which (Bantug 2016, Snyder 2019).
"""

from flask_babel import format_date, format_decimal, gettext as _, lazy_gettext

from pro_tracker.domain.change import Verdict
from pro_tracker.services.record.own_results import OwnResult

VERDICTS = {
    Verdict.IMPROVED: lazy_gettext("Better than before"),
    Verdict.WORSENED: lazy_gettext("Worse than before"),
    Verdict.WITHIN_ERROR: lazy_gettext("About the same as before"),
    Verdict.NOT_COMPARABLE: lazy_gettext("Not compared this time"),
}
KIND_WORDS = {
    Verdict.IMPROVED: lazy_gettext("It is good to see this."),
    Verdict.WORSENED: lazy_gettext("Ups and downs are common. Your care team can talk with you about it."),
    Verdict.WITHIN_ERROR: lazy_gettext("Small ups and downs are common."),
    Verdict.NOT_COMPARABLE: lazy_gettext("The questions or their words were different then, so we do not compare."),
}


def verdict(result: OwnResult) -> str | None:
    """Returns the meaning of the newest result, compared with the first of the course; None where nothing is judged."""
    change = result.latest.change
    if change is None or change.verdict is None or result.latest is result.series.baseline:
        return None
    return str(VERDICTS[change.verdict])


def explanation(result: OwnResult) -> str:
    """Returns the sentences below: what it is compared with, or kindly why nothing is."""
    latest, baseline = result.latest, result.series.baseline
    if latest.value is None:
        return _("This time too few questions were answered for a result. That is fine.")
    if latest is baseline:
        return _("This is your first result. Next time we show you here how it changed.")
    if latest.change is None or baseline is None:
        return _("There is no result from the start to compare it with.")
    if latest.change.verdict is None:
        return _("There is no rule yet for how big a change has to be. So we only show the numbers.")
    words = KIND_WORDS[latest.change.verdict]
    date = format_date(baseline.on, "long")
    before = _("Before means %(date)s.", date=date)
    return f"{words} {before}"


def direction(result: OwnResult) -> str:
    """Returns which way is which: "Higher means more pain interference. Lower is better."."""
    name = in_sentence(result.trend.title)
    if result.trend.scale.direction == "higher-worse":
        return _("Higher means more %(scale)s. Lower is better.", scale=name)
    return _("Higher means more %(scale)s. Higher is better.", scale=name)


def in_sentence(title: str) -> str:
    """Returns the name of a scale as it stands in the middle of a sentence."""
    return title[:1].lower() + title[1:]


def number(result: OwnResult, value: float | None) -> str:
    """Returns a result as patients read it: T in whole points, since one more digit means nothing to them."""
    if value is None:
        return "–"
    pattern = "#,##0" if result.trend.scale.has_t else "#,##0.#"
    return str(format_decimal(value, pattern))

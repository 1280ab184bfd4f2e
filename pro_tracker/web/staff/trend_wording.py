"""Wording of trends for clinicians: scores, severity bands and changes. The rules are in domain/change.py.

No meaning depends on colour alone, and a change within measurement error is called neither better nor worse.
"""

from dataclasses import dataclass
from decimal import Decimal

from flask_babel import format_decimal, gettext as _, lazy_gettext, ngettext

from pro_tracker.domain.change import Change, Obstacle, ScorePoint, Verdict, is_responder
from pro_tracker.services.record.trends import Point, ScaleTrend, Series

BANDS = {
    "none": lazy_gettext("within normal limits"),
    "minimal": lazy_gettext("minimal"),
    "mild": lazy_gettext("mild"),
    "moderate": lazy_gettext("moderate"),
    "moderately-severe": lazy_gettext("moderately severe"),
    "severe": lazy_gettext("severe"),
    "relevant": lazy_gettext("clinically relevant"),
}
VERDICTS = {
    Verdict.IMPROVED: (lazy_gettext("Better"), "accent"),
    Verdict.WORSENED: (lazy_gettext("Worse"), "strong"),
    Verdict.NOT_COMPARABLE: (lazy_gettext("Not comparable"), "quiet"),
    None: (lazy_gettext("No agreed threshold"), "quiet"),
}
OBSTACLES = {
    Obstacle.DIFFERENT_FORM: lazy_gettext("another form or scoring version"),
    Obstacle.DIFFERENT_WORDING: lazy_gettext("another text pack"),
}


@dataclass(frozen=True, slots=True)
class ChangeLabel:
    """The meaning of a change in words, and the kind of tag that shows it."""

    text: str
    kind: str


def number(value: float | None, *, t: bool = False) -> str:
    """Returns a score in the notation of the page's language; a dash for None.

    With `t` (T-scores and their standard errors) it always has one decimal.
    """
    if value is None:
        return "–"
    pattern = "#,##0.0" if t else "#,##0.#"
    return format_decimal(round(value, 1), pattern)


def whole(value: int) -> str:
    """Returns a study day or another whole number, with a minus sign (U+2212) instead of a hyphen."""
    return str(value).replace("-", "−")


def dose(value: Decimal | None) -> str:
    """Returns a measured amount as recorded, without trailing zeros; a dash for None."""
    if value is None:
        return "–"
    return str(format_decimal(value.normalize(), format="#,##0.###"))


def signed(value: float, *, t: bool = False) -> str:
    """Returns a difference with its sign, such as "+2" or, in T points, "−7.0"."""
    size = number(abs(value), t=t)
    if value > 0:
        return "+" + size
    if value < 0:
        return "−" + size
    return "±" + size


def difference(trend: ScaleTrend, point: Point | None) -> str:
    """Returns the point's change from baseline with its sign; a dash without one or if they are not comparable."""
    if point is None or point.change is None:
        return "–"
    if point.change.difference is None:
        return "–"
    return signed(point.change.difference, t=trend.scale.has_t)


def band_name(code: str) -> str:
    """Returns the name of a severity band, or its code if it has no name."""
    return str(BANDS.get(code, code))


def change_label(trend: ScaleTrend, point: Point | None) -> ChangeLabel | None:
    """Returns the meaning of the point's change from baseline; None without a change.

    A scale with a responder rule is the subject's own rating of change, whose answer is the label.
    """
    if point is None or point.score is None:
        return None
    if trend.scale.responder_rule is not None:
        return _rating_label(trend, point.score)
    if point.change is None:
        return None
    return _verdict_label(point.change)


def trend_summary(trend: ScaleTrend) -> str:
    """Returns one sentence on the newest course: the latest score, and whether it changed from baseline."""
    series = trend.current
    latest = series.latest
    if latest is None:
        return _only_baseline(trend, series)
    if trend.scale.responder_rule is not None:
        return _rating_sentence(trend, latest)
    if latest.change is None or latest.change.obstacle:
        return _no_comparison(trend, latest)
    moved = _moved(trend, latest.change)
    verdict = _verdict(latest.change)
    return f"{latest.event_title}: {moved}{verdict}"


def answer_label(trend: ScaleTrend, value: float) -> str:
    """Returns the text of the response option behind a one-item scale's value ("Much better"), or the number."""
    text = trend.options.get(int(value))
    return text or number(value)


def _verdict_label(change: Change) -> ChangeLabel:
    if change.verdict != Verdict.WITHIN_ERROR:
        return ChangeLabel(*VERDICTS[change.verdict])
    # Without a standard error the size alone decides, which is not a statement about measurement error.
    text = _("Within error") if change.reliable is False else _("Too small to matter")
    return ChangeLabel(text, "quiet")


def _rating_label(trend: ScaleTrend, point: ScorePoint) -> ChangeLabel:
    kind = "accent" if is_responder(trend.scale, None, point) else "quiet"
    return ChangeLabel(answer_label(trend, point.value), kind)


def _only_baseline(trend: ScaleTrend, series: Series) -> str:
    if series.baseline is None:
        return _no_score(trend, series)
    value = number(series.baseline.value, t=trend.scale.has_t)
    return _("%(scale)s is %(value)s at baseline; nothing to compare it with yet.",
             scale=trend.title,
             value=value)  # fmt: skip


def _no_score(trend: ScaleTrend, series: Series) -> str:
    unscored = [point for point in series.points if point.reason]
    if not unscored:
        return _("%(scale)s: no score yet.", scale=trend.title)
    latest = unscored[-1]
    return _("%(event)s: %(scale)s has no score: %(reason)s.",
             scale=trend.title,
             event=latest.event_title,
             reason=latest.reason)  # fmt: skip


def _no_comparison(trend: ScaleTrend, latest: Point) -> str:
    value = number(latest.value, t=trend.scale.has_t)
    if latest.change is None or latest.change.obstacle is None:
        return _("%(event)s: %(scale)s is %(value)s; this course has no baseline to compare it with.",
                 scale=trend.title,
                 value=value,
                 event=latest.event_title)  # fmt: skip
    return _("%(event)s: %(scale)s is %(value)s; not comparable with the baseline: %(reason)s.",
             scale=trend.title,
             value=value,
             event=latest.event_title,
             reason=OBSTACLES[latest.change.obstacle])  # fmt: skip


def _rating_sentence(trend: ScaleTrend, latest: Point) -> str:
    assert latest.value is not None
    low, high = trend.scale.raw_range
    return _("%(event)s: the patient's own rating is “%(answer)s” (%(value)s on a scale from %(low)s to %(high)s).",
             event=latest.event_title,
             answer=answer_label(trend, latest.value),
             value=number(latest.value),
             low=number(low),
             high=number(high))  # fmt: skip


def _moved(trend: ScaleTrend, change: Change) -> str:
    if not change.difference:
        return _("%(scale)s is the same as at baseline", scale=trend.title)
    size = abs(change.difference)
    values = {"scale": trend.title, "points": number(size, t=trend.scale.has_t)}
    # ngettext takes whole numbers only: any size but exactly 1, such as 0.5 or 1.5, takes the plural.
    count = 1 if size == 1 else 2
    if change.difference < 0:
        return ngettext("%(scale)s fell %(points)s point since baseline",
                        "%(scale)s fell %(points)s points since baseline", count, **values)  # fmt: skip
    return ngettext("%(scale)s rose %(points)s point since baseline",
                    "%(scale)s rose %(points)s points since baseline", count, **values)  # fmt: skip


def _verdict(change: Change) -> str:
    if change.verdict is None:
        return _("; no agreed threshold for this scale.")
    if change.verdict == Verdict.WITHIN_ERROR:
        return _no_sure_change(change)
    if change.reliable is None:
        return _size_only(change)
    if change.verdict == Verdict.IMPROVED:
        return _(", beyond measurement error: better.")
    return _(", beyond measurement error: worse.")


def _size_only(change: Change) -> str:
    """Returns the wording for a scale without a published standard error, which claims no more than the size."""
    points = number(change.threshold)
    if change.verdict == Verdict.IMPROVED:
        return _(", at least the %(points)s points that matter: better.", points=points)
    return _(", at least the %(points)s points that matter: worse.", points=points)


def _no_sure_change(change: Change) -> str:
    if change.difference == 0:
        return _(": no change.")
    if change.reliable is False:
        return _(", within measurement error: no clear change.")
    return _(", less than the %(points)s points that matter: no change that matters.", points=number(change.threshold))

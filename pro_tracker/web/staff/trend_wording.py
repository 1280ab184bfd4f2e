"""What a clinician reads: bands and changes in words. The rules are domain/change.py's; here they are only said.

No word depends on a colour, and a change within measurement error is called neither better nor worse.
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
    None: (lazy_gettext("No agreed size"), "quiet"),
}
OBSTACLES = {
    Obstacle.DIFFERENT_FORM: lazy_gettext("another form or scoring version"),
    Obstacle.DIFFERENT_WORDING: lazy_gettext("another text pack"),
}


@dataclass(frozen=True, slots=True)
class ChangeLabel:
    """What a change comes to in words, and the kind of tag to show them in."""

    text: str
    kind: str


def number(value: float | None, *, t: bool = False) -> str:
    """A score in the reader's notation; T-scores and their errors always with one decimal. A dash for none."""
    return "–" if value is None else format_decimal(round(value, 1), format="#,##0.0" if t else "#,##0.#")


def whole(value: int) -> str:
    """A study day or another whole number, with a real minus."""
    return str(value).replace("-", "−")


def dose(value: Decimal | None) -> str:
    """A measured amount as recorded, without trailing zeros; a dash for none."""
    return "–" if value is None else str(format_decimal(value.normalize(), format="#,##0.###"))


def signed(value: float, *, t: bool = False) -> str:
    """A difference with its sign: +2 or, in T points, −7.0, with a real minus."""
    return ("+" if value > 0 else "−" if value < 0 else "±") + number(abs(value), t=t)


def difference(trend: ScaleTrend, point: Point | None) -> str:
    """The point's change from baseline with its sign; a dash where there is none or the two do not compare."""
    if point is None or point.change is None or point.change.difference is None:
        return "–"
    return signed(point.change.difference, t=trend.scale.has_t)


def band_name(code: str) -> str:
    """The name of a severity band."""
    return str(BANDS.get(code, code))


def change_label(trend: ScaleTrend, point: Point | None) -> ChangeLabel | None:
    """What the point's change from baseline means, or its own rating of change; None without either."""
    if point is None or point.score is None:
        return None
    if trend.scale.responder_rule is not None:
        return _rated(trend, point.score)
    return None if point.change is None else _judged(point.change)


def trend_summary(trend: ScaleTrend) -> str:
    """One sentence on the newest course: where the scale stands, and whether it moved."""
    series = trend.current
    latest = series.latest
    if latest is None:
        return _only_baseline(trend, series)
    if trend.scale.responder_rule is not None:
        return _rating_sentence(trend, latest)
    if latest.change is None:
        value = number(latest.value, t=trend.scale.has_t)
        return _("%(event)s: %(scale)s is %(value)s; this course has no baseline to compare it with.",
                 scale=trend.title, value=value, event=latest.event_title)  # fmt: skip
    if latest.change.obstacle:
        return _("%(event)s: %(scale)s is %(value)s; not comparable with the baseline: %(reason)s.",
                 scale=trend.title, value=number(latest.value, t=trend.scale.has_t), event=latest.event_title,
                 reason=OBSTACLES[latest.change.obstacle])  # fmt: skip
    return f"{latest.event_title}: {_moved(trend, latest.change)}{_verdict(latest.change)}"


def answer_label(trend: ScaleTrend, value: float) -> str:
    """The words of the option behind a one-item scale's value ("Much better"); the number where it has none."""
    return trend.options.get(int(value)) or number(value)


def _judged(change: Change) -> ChangeLabel:
    if change.verdict == Verdict.WITHIN_ERROR:
        return ChangeLabel(_("Within error") if change.reliable is False else _("Too small"), "quiet")
    return ChangeLabel(*VERDICTS[change.verdict])


def _rated(trend: ScaleTrend, point: ScorePoint) -> ChangeLabel:
    return ChangeLabel(
        answer_label(trend, point.value), "accent" if is_responder(trend.scale, None, point) else "quiet"
    )


def _only_baseline(trend: ScaleTrend, series: Series) -> str:
    if series.baseline is None:
        unscored = next((point for point in reversed(series.points) if point.reason), None)
        if unscored:
            return _("%(event)s: %(scale)s has no score: %(reason)s.",
                     scale=trend.title, event=unscored.event_title, reason=unscored.reason)  # fmt: skip
        return _("%(scale)s: no score yet.", scale=trend.title)
    return _("%(scale)s is %(value)s at baseline; nothing to compare it with yet.",
             scale=trend.title, value=number(series.baseline.value, t=trend.scale.has_t))  # fmt: skip


def _rating_sentence(trend: ScaleTrend, latest: Point) -> str:
    assert latest.value is not None
    low, high = trend.scale.raw_range
    return _("%(event)s: the patient's own rating is “%(answer)s” (%(value)s on a scale from %(low)s to %(high)s).",
             event=latest.event_title, answer=answer_label(trend, latest.value),
             value=number(latest.value), low=number(low), high=number(high))  # fmt: skip


def _moved(trend: ScaleTrend, change: Change) -> str:
    if not change.difference:
        return _("%(scale)s is the same as at baseline", scale=trend.title)
    size = abs(change.difference)
    values = {"scale": trend.title, "points": number(size, t=trend.scale.has_t)}
    count = 1 if size == 1 else 2
    if change.difference < 0:
        return ngettext("%(scale)s fell %(points)s point since baseline",
                        "%(scale)s fell %(points)s points since baseline", count, **values)  # fmt: skip
    return ngettext("%(scale)s rose %(points)s point since baseline",
                    "%(scale)s rose %(points)s points since baseline", count, **values)  # fmt: skip


def _verdict(change: Change) -> str:
    if change.verdict is None:
        return _("; no size of change that matters is agreed for this scale.")
    if change.verdict == Verdict.WITHIN_ERROR:
        return _no_sure_change(change)
    good = change.verdict == Verdict.IMPROVED
    if change.reliable is None:
        better, worse = (
            _(", at least the %(points)s points that matter: better.", points=number(change.threshold)),
            _(", at least the %(points)s points that matter: worse.", points=number(change.threshold)),
        )
    else:
        better, worse = _(", beyond measurement error: better."), _(", beyond measurement error: worse.")
    return better if good else worse


def _no_sure_change(change: Change) -> str:
    if change.difference == 0:
        return _(": no change.")
    if change.reliable is False:
        return _(", within measurement error: no sure change.")
    return _(", less than the %(points)s points that matter: no change that matters.", points=number(change.threshold))

"""Where everything stands in a trend chart: numbers for templates/staff/chart.html, which draws them. It words nothing.

One style: study days and dates on x, bands pale, error bars always, infusions as ticks, the corridor of changes that do
not matter around each course's baseline. Points are joined only where nothing is missing between and they compare.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from math import ceil, floor

from pro_tracker.domain.change import RELIABLE_AT_95_PERCENT, ScorePoint, change
from pro_tracker.domain.instrument import Scale
from pro_tracker.domain.study_days import date_of, study_day
from pro_tracker.services.record.trends import Point, ScaleTrend, Series, Trend

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 40, 505, 24, 244  # the names of the bands stand to the right, where no point can be
MIN_SPAN_DAYS = 28  # days; a single point would otherwise fill the axis
DAY_STEPS = (7, 14, 30, 60, 90, 180, 365, 730)
VALUE_STEPS = (1, 2, 5, 10, 20)
SHADES = 4


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of the plot; `kind` is a shade from 1 (pale) to 4, or 0; `code` the severity band's."""

    x: float
    y: float
    width: float
    height: float
    kind: int = 0
    code: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """One score with the ends of its error bar; `shape` counts courses from 1."""

    x: float
    y: float
    low: float | None
    high: float | None
    shape: int
    point: Point


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis; `on` is the date of a day."""

    at: float
    value: int
    on: date | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """All parts of one drawing, in its own units."""

    bands: tuple[Box, ...]
    no_change_ranges: tuple[Box, ...]
    values: tuple[Tick, ...]
    days: tuple[Tick, ...]
    infusions: tuple[float, ...]
    missed: tuple[float, ...]
    lines: tuple[str, ...]
    marks: tuple[Mark, ...]
    starts: tuple[Tick, ...]  # where courses begin, when there is more than one


class _Axes:
    """Days to x and values to y of one plot."""

    def __init__(self, days: tuple[int, int], values: tuple[float, float]) -> None:
        self.first, self.last = _elapsed(days[0]), _elapsed(days[1])
        self.last = max(self.last, self.first + MIN_SPAN_DAYS)
        pad = (self.last - self.first) / 40 + 1
        self.first, self.last = self.first - pad, self.last + pad
        self.low, self.high = values

    def x(self, day: int) -> float:
        return round(LEFT + (_elapsed(day) - self.first) / (self.last - self.first) * (RIGHT - LEFT), 1)

    def y(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        return round(BOTTOM - (inside - self.low) / (self.high - self.low) * (BOTTOM - TOP), 1)


def draw(trend: Trend, scale_trend: ScaleTrend, *, missed: Collection[int] = ()) -> Chart:
    """The chart of one scale; `missed` holds the ids of visits that closed without an answer."""
    scale = scale_trend.scale
    shown = [point for series in scale_trend.series for point in series.points]
    missed_points = [point for point in shown if not point.answered and point.visit_id in missed]
    step = _value_step(scale)
    axes = _Axes(_day_range(trend, shown, missed_points), _value_range(scale, shown, step))
    return Chart(
        bands=tuple(_bands(scale, axes)),
        no_change_ranges=tuple(_no_change_ranges(scale_trend, axes)),
        values=tuple(_value_ticks(axes, step)),
        days=tuple(_day_ticks(axes, trend.reference_on)),
        infusions=tuple(axes.x(mark.day) for mark in trend.infusions),
        missed=tuple(axes.x(point.day) for point in missed_points),
        lines=tuple(line for series in scale_trend.series for line in _lines(series, axes)),
        marks=tuple(
            _mark(point, series.course_number, axes) for series in scale_trend.series for point in series.scored
        ),
        starts=tuple(_starts(trend, axes)),
    )


def _elapsed(day: int) -> float:
    """Days since the reference date: study days have no 0."""
    return day - 1 if day > 0 else day


def _day_range(trend: Trend, shown: list[Point], missed_points: list[Point]) -> tuple[int, int]:
    days = [point.day for point in shown if point.answered] + [point.day for point in missed_points]
    days += [mark.day for mark in trend.infusions]
    return (min(days, default=1), max(days, default=1))


def _value_range(scale: Scale, shown: list[Point], step: int) -> tuple[float, float]:
    """The whole scale, so that charts of two patients look alike; further where an error bar reaches out of it."""
    low, high = scale.value_range
    for point in shown:
        if point.value is not None:
            reach = RELIABLE_AT_95_PERCENT * (point.standard_error or 0)
            low, high = min(low, point.value - reach), max(high, point.value + reach)
    return floor(low / step * 2) * step / 2, ceil(high / step * 2) * step / 2


def _value_step(scale: Scale) -> int:
    low, high = scale.value_range
    return next((step for step in VALUE_STEPS if (high - low) / step <= 6), VALUE_STEPS[-1])


def _value_ticks(axes: _Axes, step: int) -> Iterator[Tick]:
    for value in range(ceil(axes.low / step) * step, floor(axes.high) + 1, step):
        yield Tick(axes.y(value), value)


def _day_ticks(axes: _Axes, reference_on: date) -> Iterator[Tick]:
    span = axes.last - axes.first
    step = next((step for step in DAY_STEPS if span / step <= 6), DAY_STEPS[-1])
    multiples = range(floor(axes.first / step) * step, ceil(axes.last) + 1, step)
    for day in [each or 1 for each in multiples]:  # day 1 stands where day 0 would
        if LEFT <= axes.x(day) <= RIGHT:
            yield Tick(axes.x(day), day, date_of(day, reference_on))


def _bands(scale: Scale, axes: _Axes) -> Iterator[Box]:
    """The worst band in the strongest shade; bands are listed by rising values."""
    worst_first = reversed(scale.bands) if scale.direction == "higher-worse" else scale.bands
    for place, each in enumerate(worst_first):
        low = axes.low if each.lower is None else each.lower
        high = axes.high if each.upper is None else each.upper
        top, bottom = axes.y(high), axes.y(low)
        if bottom > top:
            yield Box(LEFT, top, RIGHT - LEFT, round(bottom - top, 1), max(SHADES - place, 1), each.code)


def _no_change_ranges(scale_trend: ScaleTrend, axes: _Axes) -> Iterator[Box]:
    """Around each course's baseline, as far as scores compare with it: where a change is too small to matter."""
    for series, following in zip(scale_trend.series, (*scale_trend.series[1:], None), strict=True):
        if series.baseline is None or (limits := no_change_range(series.scale, series.baseline)) is None:
            continue
        start = axes.x(series.baseline.day)
        end = min([axes.x(day) for day in _other_bases(series, following)], default=RIGHT)
        top, bottom = axes.y(limits[1]), axes.y(limits[0])
        yield Box(start, top, round(max(end - start, 0), 1), round(bottom - top, 1))


def _other_bases(series: Series, following: Series | None) -> Iterator[int]:
    """The days from which on scores do not compare with this baseline."""
    yield from (point.day for point in series.scored if point.change and point.change.obstacle)
    if following:
        yield following.points[0].day


def no_change_range(scale: Scale, baseline: Point) -> tuple[float, float] | None:
    """The values between which a change from this baseline does not matter; None where no size is agreed."""
    if baseline.value is None:
        return None
    known = ScorePoint(baseline.value)
    below = change(scale, known, ScorePoint(baseline.value - 1)).threshold
    above = change(scale, known, ScorePoint(baseline.value + 1)).threshold
    return None if below is None or above is None else (baseline.value - below, baseline.value + above)


def _lines(series: Series, axes: _Axes) -> Iterator[str]:
    for run in series.runs:
        if len(run) > 1:
            yield " ".join(f"{axes.x(each.day)},{axes.y(each.value or 0)}" for each in run)


def _mark(point: Point, course_number: int, axes: _Axes) -> Mark:
    assert point.value is not None
    reach = None if point.standard_error is None else RELIABLE_AT_95_PERCENT * point.standard_error
    low = None if reach is None else axes.y(point.value - reach)
    high = None if reach is None else axes.y(point.value + reach)
    return Mark(axes.x(point.day), axes.y(point.value), low, high, course_number, point)


def _starts(trend: Trend, axes: _Axes) -> Iterator[Tick]:
    first: dict[int, date] = {}
    for mark in trend.infusions:
        first.setdefault(mark.course_number, mark.on)
    if len(first) > 1:
        for number, on in first.items():
            yield Tick(axes.x(study_day(on, trend.reference_on)), number, on)

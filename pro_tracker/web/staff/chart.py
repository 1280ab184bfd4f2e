"""Coordinates of a trend chart, which templates/staff/chart.html draws. No wording: that is in trend_wording.py.

The x axis shows study days with dates. Shades are severity bands, bars are 1.96 standard errors, ticks on the axis are
infusions. The corridor around each course's baseline holds changes too small to matter. A line joins two points only
if they are comparable and no visit between them is without a score.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import chain, zip_longest
from math import ceil, floor

from pro_tracker.domain.change import RELIABLE_AT_95_PERCENT, ScorePoint, change
from pro_tracker.domain.instrument import Scale
from pro_tracker.domain.study_days import date_of, study_day
from pro_tracker.services.record.trends import Point, ScaleTrend, Series, Trend

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 40, 505, 24, 244  # of the plot; the names of the bands are to its right
MIN_SPAN_DAYS = 28  # so that points of a few days do not fill the axis
DAY_STEPS = (7, 14, 30, 60, 90, 180, 365, 730)
VALUE_STEPS = (1, 2, 5, 10, 20)
MAX_STEPS = 6  # of an axis: more labels would overlap
SHADES = 4


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of the plot. For a severity band `kind` is its shade from 1 (pale) to 4, and `code` its code."""

    x: float
    y: float
    width: float
    height: float
    kind: int = 0
    code: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """One score with the y of both ends of its error bar; `shape` is the number of the course, from 1."""

    x: float
    y: float
    low: float | None
    high: float | None
    shape: int
    point: Point


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled position on an axis: x of a day with its date `on`, or y of a value."""

    at: float
    value: int
    on: date | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """All parts of one chart, in units of its SVG view box."""

    bands: tuple[Box, ...]
    no_change_ranges: tuple[Box, ...]
    values: tuple[Tick, ...]
    days: tuple[Tick, ...]
    infusions: tuple[float, ...]
    missed: tuple[float, ...]
    adverse: tuple[float, ...]  # adverse events
    lines: tuple[str, ...]
    marks: tuple[Mark, ...]
    starts: tuple[Tick, ...]  # first infusion of each course, if there are several courses


class _Axes:
    """Converts study days to x and values to y of one plot."""

    def __init__(self, days: tuple[int, int], values: tuple[float, float]) -> None:
        first_day, last_day = days
        first = _elapsed(first_day)
        last = max(_elapsed(last_day), first + MIN_SPAN_DAYS)
        padding = (last - first) / 40 + 1  # keeps marks off the edges
        self.first = first - padding
        self.last = last + padding
        self.low, self.high = values

    def x(self, day: int) -> float:
        """Returns the position of a study day, with one decimal."""
        offset = _elapsed(day) - self.first
        share = offset / (self.last - self.first)
        return round(LEFT + share * (RIGHT - LEFT), 1)

    def y(self, value: float) -> float:
        """Returns the position of a value, with one decimal; values off the axis are moved to its end."""
        inside = min(max(value, self.low), self.high)
        share = (inside - self.low) / (self.high - self.low)
        # The y of SVG grows downwards.
        return round(BOTTOM - share * (BOTTOM - TOP), 1)


def draw(trend: Trend, scale_trend: ScaleTrend, *, missed: Collection[int] = ()) -> Chart:
    """Returns the chart of one scale; `missed` holds the ids of visits that closed without an answer."""
    scale = scale_trend.scale
    points = list(chain.from_iterable(series.points for series in scale_trend.series))
    answered_days = [point.day for point in points if point.answered]
    missed_days = _missed_days(points, missed)
    infusion_days = [mark.day for mark in trend.infusions]
    days = _day_range([*answered_days, *missed_days, *infusion_days, *trend.adverse_days])
    step = _value_step(scale)
    axes = _Axes(days, _value_range(scale, points, step))
    return Chart(
        bands=tuple(_bands(scale, axes)),
        no_change_ranges=tuple(_no_change_ranges(scale_trend, axes)),
        values=tuple(_value_ticks(axes, step)),
        days=tuple(_day_ticks(axes, trend.reference_on)),
        infusions=tuple(axes.x(day) for day in infusion_days),
        missed=tuple(axes.x(day) for day in missed_days),
        adverse=tuple(axes.x(day) for day in trend.adverse_days),
        lines=tuple(_lines(scale_trend, axes)),
        marks=tuple(_marks(scale_trend, axes)),
        starts=tuple(_starts(trend, axes)),
    )


def _missed_days(points: list[Point], missed: Collection[int]) -> list[int]:
    unanswered = [point for point in points if not point.answered]
    return [point.day for point in unanswered if point.visit_id in missed]


def _elapsed(day: int) -> float:
    """Returns the days since the reference date for a study day; there is no study day 0."""
    return day - 1 if day > 0 else day


def _day_range(days: list[int]) -> tuple[int, int]:
    if not days:
        return 1, 1
    return min(days), max(days)


def _value_range(scale: Scale, points: list[Point], step: int) -> tuple[float, float]:
    """Returns the range of the value axis: the whole scale, extended to error bars that reach out of it.

    Charts of several patients then have the same axis.
    """
    low, high = scale.value_range
    for point in points:
        if point.value is not None:
            reach = RELIABLE_AT_95_PERCENT * (point.standard_error or 0)
            low = min(low, point.value - reach)
            high = max(high, point.value + reach)
    # Round outwards to half a step.
    half_step = step / 2
    return floor(low / half_step) * half_step, ceil(high / half_step) * half_step


def _value_step(scale: Scale) -> int:
    """Returns the distance between the labels of the value axis."""
    low, high = scale.value_range
    return _step(VALUE_STEPS, high - low)


def _step(steps: tuple[int, ...], span: float) -> int:
    """Returns the smallest step that divides the span into at most MAX_STEPS, or the largest step."""
    for step in steps:
        if span / step <= MAX_STEPS:
            return step
    return steps[-1]


def _value_ticks(axes: _Axes, step: int) -> Iterator[Tick]:
    lowest = ceil(axes.low / step) * step
    highest = floor(axes.high)
    for value in range(lowest, highest + 1, step):
        yield Tick(axes.y(value), value)


def _day_ticks(axes: _Axes, reference_on: date) -> Iterator[Tick]:
    step = _step(DAY_STEPS, axes.last - axes.first)
    earliest = floor(axes.first / step) * step
    latest = ceil(axes.last)
    for multiple in range(earliest, latest + 1, step):
        day = multiple or 1  # there is no study day 0: its label is day 1
        x = axes.x(day)
        if LEFT <= x <= RIGHT:
            yield Tick(x, day, date_of(day, reference_on))


def _bands(scale: Scale, axes: _Axes) -> Iterator[Box]:
    """Yields a box for each severity band, the worst one in the strongest shade."""
    # Scale.bands is ordered by rising values.
    worst_first = reversed(scale.bands) if scale.direction == "higher-worse" else scale.bands
    for place, band in enumerate(worst_first):
        low = axes.low if band.lower is None else band.lower
        high = axes.high if band.upper is None else band.upper
        top = axes.y(high)
        height = round(axes.y(low) - top, 1)
        if height > 0:
            shade = max(SHADES - place, 1)
            yield Box(LEFT, top, RIGHT - LEFT, height, shade, band.code)


def _no_change_ranges(scale_trend: ScaleTrend, axes: _Axes) -> Iterator[Box]:
    """Yields the corridor of each course: changes from its baseline that are too small to matter."""
    all_series = scale_trend.series
    for series, following in zip_longest(all_series, all_series[1:]):
        baseline = series.baseline
        limits = no_change_range(series.scale, baseline) if baseline else None
        if baseline is None or limits is None:
            continue
        low, high = limits
        start = axes.x(baseline.day)
        end = min((axes.x(day) for day in _incomparable_from(series, following)), default=RIGHT)
        top = axes.y(high)
        height = round(axes.y(low) - top, 1)
        yield Box(start, top, round(max(end - start, 0), 1), height)


def _incomparable_from(series: Series, following: Series | None) -> Iterator[int]:
    """Yields the study days from which scores are not comparable with the baseline of the series."""
    for point in series.scored:
        if point.change and point.change.obstacle:
            yield point.day
    if following:
        yield following.points[0].day


def no_change_range(scale: Scale, baseline: Point) -> tuple[float, float] | None:
    """Returns the lowest and highest value without meaningful change from the baseline; None where no size is agreed.

    The size can depend on the direction of the change, so that each is asked for with a change of one point.
    """
    if baseline.value is None:
        return None
    before = ScorePoint(baseline.value)
    fall = change(scale, before, ScorePoint(baseline.value - 1)).threshold
    rise = change(scale, before, ScorePoint(baseline.value + 1)).threshold
    if fall is None or rise is None:
        return None
    return baseline.value - fall, baseline.value + rise


def _lines(scale_trend: ScaleTrend, axes: _Axes) -> Iterator[str]:
    """Yields the points attribute of one polyline for each run of comparable scores."""
    for series in scale_trend.series:
        for run in series.runs:
            if len(run) > 1:
                positions = [f"{axes.x(point.day)},{axes.y(point.value or 0)}" for point in run]
                yield " ".join(positions)


def _marks(scale_trend: ScaleTrend, axes: _Axes) -> Iterator[Mark]:
    for series in scale_trend.series:
        for point in series.scored:
            yield _mark(point, series.course_number, axes)


def _mark(point: Point, course_number: int, axes: _Axes) -> Mark:
    assert point.value is not None
    low = high = None
    if point.standard_error is not None:
        reach = RELIABLE_AT_95_PERCENT * point.standard_error
        low = axes.y(point.value - reach)
        high = axes.y(point.value + reach)
    return Mark(
        axes.x(point.day),
        axes.y(point.value),
        low,
        high,
        course_number,
        point,
    )


def _starts(trend: Trend, axes: _Axes) -> Iterator[Tick]:
    first_infusions: dict[int, date] = {}
    for mark in trend.infusions:
        first_infusions.setdefault(mark.course_number, mark.on)
    if len(first_infusions) < 2:
        return
    for number, on in first_infusions.items():
        day = study_day(on, trend.reference_on)
        yield Tick(axes.x(day), number, on)

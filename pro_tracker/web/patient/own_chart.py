"""Coordinates of the line of a patient's own results, which templates/patient/_results.html draws.

A line and its points, no error bars and no bands: patients read them less well, and as alarms (Brundage 2005, Snyder
2019). Time runs to the right in days, and more of what the scale measures is further up.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pro_tracker.domain.change import obstacle
from pro_tracker.services.record.own_results import OwnResult
from pro_tracker.services.record.trends import Point

WIDTH, HEIGHT = 320, 130  # of the view box: that of a small phone, so that text keeps its size
LEFT, RIGHT, TOP, BOTTOM = 20, 300, 36, 98
LABEL_GAP = 12  # between a point and its number
Place = tuple[float, float]  # x and y


@dataclass(frozen=True, slots=True)
class Dot:
    """One result. `is_labelled`: the first and the newest, whose number and date are written next to them."""

    x: float
    y: float
    point: Point
    is_labelled: bool


@dataclass(frozen=True, slots=True)
class OwnChart:
    dots: tuple[Dot, ...]
    lines: tuple[str, ...]  # from one result to the next that may be compared with it, as points of an SVG polyline


def draw(result: OwnResult) -> OwnChart:
    """Returns the chart of a scale with at least one score."""
    scored = result.series.scored
    ends = (scored[0], scored[-1])
    dots: list[Dot] = []
    for point in scored:
        x, y = _place(result, point)
        dots.append(Dot(x, y, point, is_labelled=point in ends))
    lines: list[str] = []
    for one, following in _joined(result, dots):
        lines.append(f"{one.x},{one.y} {following.x},{following.y}")
    return OwnChart(tuple(dots), tuple(lines))


def _joined(result: OwnResult, dots: Sequence[Dot]) -> Iterator[tuple[Dot, Dot]]:
    """Yields each result with the next one that may be compared with it, also over a visit without answers."""
    scale = result.series.scale
    for one, following in pairwise(dots):
        earlier, later = one.point.score, following.point.score
        assert earlier is not None
        assert later is not None
        if obstacle(scale, earlier, later) is None:
            yield one, following


def _place(result: OwnResult, point: Point) -> Place:
    assert point.value is not None  # of a scored point
    low, high = result.series.scale.value_range
    share = _share_of_time(result.series.scored, point)
    x = LEFT + share * (RIGHT - LEFT)
    height = (point.value - low) / (high - low)
    y = BOTTOM - height * (BOTTOM - TOP)
    return round(x, 1), round(y, 1)


def _share_of_time(scored: Sequence[Point], point: Point) -> float:
    """Returns where between the first and the last result a result lies, from 0 to 1."""
    first, last = scored[0].on, scored[-1].on
    if first == last:
        return 0.5  # a single result, or several of one day, stand in the middle
    return (point.on - first) / (last - first)

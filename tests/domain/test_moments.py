"""Running means and standard deviations agree with the statistics module, however the values are divided."""

import statistics

import pytest
from hypothesis import given, strategies as st

from pro_tracker.domain.cohort_figures import Moments

scores = st.lists(st.floats(0, 100, allow_nan=False).map(lambda value: round(value, 1)), max_size=40)


def moments(values: list[float]) -> Moments:
    found = Moments()
    for value in values:
        found.add(value)
    return found


@given(scores)
def test_one_pass_gives_mean_and_sample_sd(values: list[float]) -> None:
    found = moments(values)
    assert found.n == len(values)
    assert found.mean_or_none == (pytest.approx(statistics.mean(values)) if values else None)
    assert found.sd == (pytest.approx(statistics.stdev(values), abs=1e-6) if len(values) > 1 else None)


@given(scores, scores)
def test_merged_parts_equal_the_whole(first: list[float], second: list[float]) -> None:
    whole = Moments()
    for part in (moments(first), moments(second)):
        whole.merge(Moments.from_summary(part.n, part.mean_or_none, part.sd))
    at_once = moments([*first, *second])
    assert whole.n == at_once.n
    assert whole.mean == pytest.approx(at_once.mean)
    assert (whole.sd is None) == (at_once.sd is None)
    if at_once.sd is not None:
        assert whole.sd == pytest.approx(at_once.sd, abs=1e-6)

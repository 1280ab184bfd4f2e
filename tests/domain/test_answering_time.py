"""Patients are told how long the questions take, from their number."""

import pytest

from pro_tracker.domain.answering_time import minutes


@pytest.mark.parametrize(
    ("n_items", "announced"), [(1, 2), (6, 2), (12, 3), (25, 5), (26, 10), (34, 10), (48, 10), (49, 10), (51, 15)]
)
def test_minutes_follow_from_the_number_of_items(n_items: int, announced: int) -> None:
    assert minutes(n_items) == announced

"""Merging reports about an address: the result depends neither on their order nor on repetition."""

import itertools
from datetime import UTC, datetime, timedelta
from functools import reduce

from hypothesis import given, strategies as st

from pro_tracker.domain.contact_state import ContactState, ContactStatus, merge

START = datetime(2026, 3, 6, 14, tzinfo=UTC)
standings = st.builds(
    ContactStatus,
    st.sampled_from(ContactState),
    st.integers(0, 4).map(lambda hours: START + timedelta(hours=hours)),
)


def at(hour: int, state: str) -> ContactStatus:
    return ContactStatus(ContactState(state), START + timedelta(hours=hour))


@given(standings, st.lists(standings, max_size=5), st.data())
def test_order_and_repetition_make_no_difference(first, reports, data):
    shuffled = data.draw(st.permutations([*reports, *reports]))

    assert reduce(merge, shuffled, first) == reduce(merge, reports, first)


def test_the_later_of_stop_and_start_counts():
    for reports in itertools.permutations([at(1, "stopped"), at(2, "active"), at(3, "stopped")]):
        assert reduce(merge, reports, at(0, "active")) == at(3, "stopped")
    assert merge(at(1, "stopped"), at(2, "active")) == at(2, "active")
    assert merge(at(1, "active"), at(1, "stopped")) == at(1, "stopped")


def test_start_does_not_reactivate_a_bounced_or_wrong_address():
    assert merge(at(1, "bounced"), at(2, "active")) == at(1, "bounced")
    assert merge(at(1, "wrong-number"), at(2, "active")) == at(1, "wrong-number")
    assert merge(at(2, "bounced"), at(1, "bounced")) == at(1, "bounced")

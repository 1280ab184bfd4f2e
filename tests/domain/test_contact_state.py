"""News about an address: whatever order they come in and however often, they end the same."""

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
def test_order_and_repetition_make_no_difference(first, news, data):
    shuffled = data.draw(st.permutations([*news, *news]))

    assert reduce(merge, shuffled, first) == reduce(merge, news, first)


def test_of_stop_and_start_the_later_one_counts():
    for news in itertools.permutations([at(1, "stopped"), at(2, "active"), at(3, "stopped")]):
        assert reduce(merge, news, at(0, "active")) == at(3, "stopped")
    assert merge(at(1, "stopped"), at(2, "active")) == at(2, "active")
    assert merge(at(1, "active"), at(1, "stopped")) == at(1, "stopped")


def test_start_opens_no_address_that_bounced_or_is_somebody_elses():
    assert merge(at(1, "bounced"), at(2, "active")) == at(1, "bounced")
    assert merge(at(1, "wrong-number"), at(2, "active")) == at(1, "wrong-number")
    assert merge(at(2, "bounced"), at(1, "bounced")) == at(1, "bounced")

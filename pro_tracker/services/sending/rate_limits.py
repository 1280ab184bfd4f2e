"""Rate limits of providers, in messages a second, counted on the broker's Redis for all workers together."""

import time
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlsplit

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import RedisError

from pro_tracker.domain.channels import Channel

REDIS_SECONDS = 0.5  # counting must not take longer than what is counted
UNLIMITED_SECONDS = 30  # after Redis did not answer, so that not every message waits for it


class RateLimits:
    """The rate limits of one installation, `per_second` by channel; a channel that is not named has none."""

    def __init__(self, broker_url: str, per_second: Mapping[Channel, int]) -> None:
        redis = RedisStorage(
            _storage_url(broker_url),
            socket_timeout=REDIS_SECONDS,
            socket_connect_timeout=REDIS_SECONDS,
        )
        # Never more than the rate in any second; a fixed window would let twice as many through across its edge.
        self._limiter = MovingWindowRateLimiter(redis)
        self._limits = {channel: RateLimitItemPerSecond(rate) for channel, rate in per_second.items()}
        self._unlimited_until = 0.0

    def take(self, channel: Channel, n_messages: int = 1) -> tuple[int, timedelta]:
        """Returns how many of `n_messages` may go now, with their places taken, and the wait until the next free place.

        While Redis does not answer there is no limit: a provider that gets too much says so itself, and a reminder that
        is not sent is the greater harm.
        """
        limit = self._limits.get(channel)
        if limit is None or time.monotonic() < self._unlimited_until:
            return n_messages, timedelta(0)
        try:
            return self._take(limit, channel, n_messages)
        except RedisError:
            self._unlimited_until = time.monotonic() + UNLIMITED_SECONDS
            return n_messages, timedelta(0)

    def _take(self, limit: RateLimitItem, channel: Channel, n_messages: int) -> tuple[int, timedelta]:
        if n_messages <= limit.amount and self._limiter.hit(limit, "sending", channel, cost=n_messages):
            return n_messages, timedelta(0)
        window = self._limiter.get_window_stats(limit, "sending", channel)
        n_admitted = min(n_messages, window.remaining)
        if n_admitted and not self._limiter.hit(limit, "sending", channel, cost=n_admitted):
            n_admitted = 0  # another worker took the places
        seconds = window.reset_time - time.time()  # both clocks are of this machine
        wait = timedelta(seconds=min(max(seconds, 0.01), 1))
        return n_admitted, wait


def _storage_url(broker_url: str) -> str:
    """Returns the broker's address as limits spells it: that of a unix socket differs from Celery's."""
    parts = urlsplit(broker_url)
    if parts.scheme == "redis+socket":
        return f"redis+unix://{parts.netloc}{parts.path}"
    return broker_url

"""How many messages a second a provider takes from us, counted on the broker's Redis for all workers together."""

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
REST_SECONDS = 30  # after Redis did not answer, so that not every message waits for it


class SendingRates:
    """One installation's rates, `per_second` by channel; a channel that is not named has none."""

    def __init__(self, broker_url: str, per_second: Mapping[Channel, int]) -> None:
        # A unix socket's address as Celery spells it, with options of its own, and as limits does.
        parts = urlsplit(broker_url)
        url = f"redis+unix://{parts.netloc}{parts.path}" if parts.scheme == "redis+socket" else broker_url
        redis = RedisStorage(url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS)
        # Never more than the rate in any second; a fixed window would let twice as many through across its edge.
        self._limiter = MovingWindowRateLimiter(redis)
        self._limits = {channel: RateLimitItemPerSecond(rate) for channel, rate in per_second.items()}
        self._resting_until = 0.0

    def take(self, channel: Channel, wanted: int = 1) -> tuple[int, timedelta]:
        """How many of the `wanted` messages go now, their places taken; and how long until the next place may be free.

        With Redis away everything goes: a provider that gets too much says so itself, and a reminder that stays is the
        greater harm.
        """
        limit = self._limits.get(channel)
        if limit is None or time.monotonic() < self._resting_until:
            return wanted, timedelta(0)
        try:
            return self._take(limit, channel, wanted)
        except RedisError:
            self._resting_until = time.monotonic() + REST_SECONDS
            return wanted, timedelta(0)

    def _take(self, limit: RateLimitItem, channel: Channel, wanted: int) -> tuple[int, timedelta]:
        if wanted <= limit.amount and self._limiter.hit(limit, "sending", channel, cost=wanted):
            return wanted, timedelta(0)
        window = self._limiter.get_window_stats(limit, "sending", channel)
        some = min(wanted, window.remaining)
        if some and not self._limiter.hit(limit, "sending", channel, cost=some):
            some = 0  # somebody else was faster
        # Both clocks are this machine's.
        return some, timedelta(seconds=min(max(window.reset_time - time.time(), 0.01), 1))

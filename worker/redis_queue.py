"""Redis as the queue, with what kombu 5.7 does badly when its connection breaks while tasks run mended.

It hands them back, and acknowledges them when they are done, over the connection that is gone; either ends the worker
with an "unrecoverable error". What runs goes on here; what is lost with its process comes back by its lease.
"""

from kombu.transport import redis


class QoS(redis.QoS):  # type: ignore[misc]  # kombu ships no types
    """Leaves alone what came over a connection that is closed: Redis has it still, and finds it done in the end."""

    restore_at_shutdown = False

    def ack(self, delivery_tag: str) -> None:
        """The task is done."""
        if self._is_connected():
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """The task lost its process."""
        if self._is_connected():
            super().reject(delivery_tag, requeue=requeue)

    def _is_connected(self) -> bool:
        return bool(getattr(self.channel.connection, "client", None))


def install() -> None:
    """Have every connection to Redis use it."""
    redis.Channel.QoS = QoS

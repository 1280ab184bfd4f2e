"""A workaround for kombu 5.7: keeps a worker alive when its Redis connection breaks while tasks run.

kombu restores and acknowledges running tasks over the closed connection, and the worker exits with an "unrecoverable
error". Here running tasks continue; a task lost with its process is redelivered, and its messages by their lease.
"""

from kombu.transport import redis


class QoS(redis.QoS):  # type: ignore[misc]  # kombu ships no types
    """Ignores deliveries of a closed connection. Redis redelivers them, and the task then finds its work done."""

    restore_at_shutdown = False

    def ack(self, delivery_tag: str) -> None:
        """Acknowledges a finished task, unless the connection it came over is closed."""
        if self._is_connected():
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Rejects a task whose process died, unless the connection it came over is closed."""
        if self._is_connected():
            super().reject(delivery_tag, requeue=requeue)

    def _is_connected(self) -> bool:
        return bool(getattr(self.channel.connection, "client", None))


def install() -> None:
    """Makes every Redis channel of kombu in this process use this class."""
    redis.Channel.QoS = QoS

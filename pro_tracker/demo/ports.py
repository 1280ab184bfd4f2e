"""Finds free loopback ports, near the default ones."""

import socket
from collections.abc import Container

TRIES = 50


def choose(preferred: int, taken: Container[int] = ()) -> int:
    """Returns the first free port from `preferred` on that is not in `taken`.

    Returns any free port when the next fifty are in use.
    """
    for port in range(preferred, preferred + TRIES):
        if port not in taken and is_free(port):
            return port
    return _any_free()


def is_free(port: int) -> bool:
    """Returns whether a server can listen on this port of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as servers do: a recently closed port counts as free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

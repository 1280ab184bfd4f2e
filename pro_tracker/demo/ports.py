"""Finds loopback ports to listen on, near the ones people expect."""

import socket
from collections.abc import Container

TRIES = 50


def choose(wanted: int, taken: Container[int] = ()) -> int:
    """The first free port from `wanted` upwards that is not in `taken`; any free one when fifty in a row are busy."""
    near = range(wanted, wanted + TRIES)
    return next((port for port in near if port not in taken and is_free(port)), 0) or _any()


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port just left counts as free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""Limits on tries, by network address and in all, counted on the broker's Redis for the modules that use them."""

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address


def limiter(app: Flask, prefix: str) -> Limiter:
    """Returns a limiter whose counts are kept under `prefix`; without Redis each process counts by itself."""
    broker = app.config["BROKER_URL"]
    storage_uri = broker if broker.startswith(("redis://", "rediss://")) else "memory://"
    timeouts: dict[str, str | int] = {"socket_connect_timeout": 1, "socket_timeout": 1}
    found = Limiter(
        get_remote_address,
        app=app,
        storage_uri=storage_uri,
        storage_options=timeouts if broker.startswith("redis") else {},
        in_memory_fallback_enabled=True,  # without Redis, counts in each process are better than none
        strategy="moving-window",
        key_prefix=prefix,
    )
    # Remove Flask-Limiter's hook before every request. It serves application-wide limits, which we do not use, and
    # costs 5 % of a patient's request. The decorated views count without it.
    app.before_request_funcs[None].pop()
    return found

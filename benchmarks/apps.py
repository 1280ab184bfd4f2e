"""What gunicorn serves while answering is measured: the service, and the least that stores answers."""

import json
import os
from pathlib import Path

from flask import Flask, request
from sqlalchemy import create_engine, text

from pro_tracker.app import create_app
from pro_tracker.services.protocols import protocol_catalog


def full() -> Flask:
    """The service as it is, with the protocols of a folder that the benchmark made."""
    protocol_catalog.PROTOCOLS = Path(os.environ["BENCHMARK_PROTOCOLS"])
    return create_app()


def bare() -> Flask:
    """One view, one statement on a pooled connection, one commit: no session, no form token, no headers."""
    app = Flask("bare")
    engine = create_engine(os.environ["BENCHMARK_URL"])
    insert = text("INSERT INTO bare (answers) VALUES (CAST(:answers AS jsonb))")

    @app.post("/")
    def store() -> tuple[str, int]:
        with engine.begin() as connection:
            connection.execute(insert, {"answers": json.dumps(request.get_json())})
        return "", 204

    return app

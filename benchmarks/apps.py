"""The applications that gunicorn serves for the benchmarks: the service, and a minimal view that stores answers."""

import json
import os
from pathlib import Path

from flask import Flask, request
from sqlalchemy import create_engine, text

from pro_tracker.app import create_app
from pro_tracker.services.protocols import protocol_catalog


def full() -> Flask:
    """Returns the service itself, with the protocols of the benchmark's folder."""
    protocol_catalog.PROTOCOLS = Path(os.environ["BENCHMARK_PROTOCOLS"])
    return create_app()


def bare() -> Flask:
    """Returns an application of one view with one statement on a pooled connection and one commit, and nothing else."""
    app = Flask("bare")
    engine = create_engine(os.environ["BENCHMARK_URL"])
    insert = text("INSERT INTO bare (answers) VALUES (CAST(:answers AS jsonb))")

    @app.post("/")
    def store() -> tuple[str, int]:
        with engine.begin() as connection:
            connection.execute(insert, {"answers": json.dumps(request.get_json())})
        return "", 204

    return app

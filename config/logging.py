"""Logging: one line for each event, with its name and ids. Never a name, a contact, an answer or a token."""

import logging
import logging.config
import traceback
from types import TracebackType

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class PrivateFormatter(logging.Formatter):
    """Formats exceptions as traceback and type, without their text: a database error may quote the rejected row."""

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802  the standard library's name
        kind, _error, where = ei
        return "".join(traceback.format_tb(where)) + (kind.__name__ if kind else "")


def configure(level: str = "INFO") -> None:
    """Sends log records to standard error, one line each; those of libraries from WARNING up."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {"()": PrivateFormatter, "format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": "WARNING", "handlers": ["stderr"]},
            "loggers": {"pro_tracker": {"level": level}, "worker": {"level": level}},
        }
    )

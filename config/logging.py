"""Logs: one line an event, its name and ids. Never a name, a contact, an answer or a token."""

import logging
import logging.config
import traceback
from types import TracebackType

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class PrivateFormatter(logging.Formatter):
    """Formats errors as where and which kind, without their text: a database's may quote the row that it refused."""

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802  the standard library's name
        kind, _error, where = ei
        return "".join(traceback.format_tb(where)) + (kind.__name__ if kind else "")


def configure(level: str = "INFO") -> None:
    """Send every log record to standard error as one line; third-party chatter from warnings up."""
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

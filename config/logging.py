"""Logging: one line for each event, with its name and ids. Never a name, a contact, an answer or a token."""

import logging
import logging.config
import re
import traceback
from types import TracebackType

from pro_tracker.domain.errors import ProTrackerError

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


# What opens a patient's pages, or a staff session: the token of a link's address, and the values of our cookies.
SECRET = re.compile(r"(/v/|/helper/|\b(?:visit-link|visit-access|clinic-device|session)=)[^\s/?#;,'\"]+")


class PrivateFormatter(logging.Formatter):
    """Formats exceptions as traceback and type, without their text: a database error may quote the rejected row.

    Our own errors keep their text, which holds nothing personal. Libraries log addresses in messages that we do not
    write, so tokens are replaced in every line.
    """

    def format(self, record: logging.LogRecord) -> str:
        return SECRET.sub(r"\1...", super().format(record))

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802  the standard library's name
        kind, error, where = ei
        name = kind.__name__ if kind else ""
        text = f": {error}" if isinstance(error, ProTrackerError) else ""
        return "".join(traceback.format_tb(where)) + name + text


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

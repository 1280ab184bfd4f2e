"""Logs: one line an event, its name and ids. Never a name, a contact, an answer or a token."""

import logging
import logging.config


def configure(level: str = "INFO") -> None:
    """Send every log record to standard error as one line; third-party chatter from warnings up."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": "WARNING", "handlers": ["stderr"]},
            "loggers": {"pro_tracker": {"level": level}, "worker": {"level": level}},
        }
    )

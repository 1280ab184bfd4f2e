"""Mail to a helper in a message file: subject and opening of a template, and the texts that all such mails share."""

from pro_tracker.services.wording.channels.email import Entry, texts
from pro_tracker.services.wording.keyed_texts import Limit

__all__ = ["IS_REQUIRED", "LIMIT", "NAME", "REPLIES", "Entry", "texts"]

NAME = "mail to a helper"
IS_REQUIRED = False  # a template without an entry uses SUBJECT and OPENING
SUBJECT, OPENING = "helper-subject", "helper-opening"
CLOSING = ("helper-privacy", "helper-stop")
REPLIES = (SUBJECT, OPENING, *CLOSING)
LIMIT: Limit | None = None

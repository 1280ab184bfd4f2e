"""The patient's pages: from the link in a message to the thank-you. One question a screen, no script needed."""

from pro_tracker.web.patient import entry, error_pages, items, preferences, snoozing, unsubscribing
from pro_tracker.web.patient.blueprint import blueprint

__all__ = ["blueprint", "entry", "error_pages", "items", "preferences", "snoozing", "unsubscribing"]

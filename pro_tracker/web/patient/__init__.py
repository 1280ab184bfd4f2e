"""The patient's pages: from the link in a message to the thank-you. One question a screen, no script needed."""

from pro_tracker.web.patient import dead_ends, entry, items, later, preferences, stopping
from pro_tracker.web.patient.blueprint import blueprint

__all__ = ["blueprint", "dead_ends", "entry", "items", "later", "preferences", "stopping"]

"""Patient pages: from the personal link to the confirmation, one item a screen. They work without scripts."""

from pro_tracker.web.patient import (
    about,
    consent_copy,
    consenting,
    entry,
    error_pages,
    helper,
    items,
    kept_answers,
    preferences,
    questions,
    safety,
    snoozing,
    unsubscribing,
    withdrawing,
)
from pro_tracker.web.patient.blueprint import blueprint

__all__ = [
    "about",
    "blueprint",
    "consent_copy",
    "consenting",
    "entry",
    "error_pages",
    "helper",
    "items",
    "kept_answers",
    "preferences",
    "questions",
    "safety",
    "snoozing",
    "unsubscribing",
    "withdrawing",
]

"""Patient pages: from the personal link to the confirmation, one item a screen. They work without scripts."""

from pro_tracker.web.patient import (
    calendar,
    codes,
    entry,
    error_pages,
    goals,
    helper,
    items,
    kept_answers,
    not_today,
    offline,
    preferences,
    questions,
    results,
    safety,
    snoozing,
    unsubscribing,
)
from pro_tracker.web.patient.blueprint import blueprint

__all__ = [
    "blueprint",
    "calendar",
    "codes",
    "entry",
    "error_pages",
    "goals",
    "helper",
    "items",
    "kept_answers",
    "not_today",
    "offline",
    "preferences",
    "questions",
    "results",
    "safety",
    "snoozing",
    "unsubscribing",
]

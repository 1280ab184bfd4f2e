"""The protocol that tests live through: version 1 of the shipped one, so that a new version changes none of them."""

from pathlib import Path

from pro_tracker.services.answering import questionnaires
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog

PINNED = Path(__file__).parents[1] / "data" / "protocols"
SHIPPED = instrument_catalog.PACKAGE / "protocols"


def pin() -> None:
    """Lets this process read its protocols from the tests' own folder, until a test asks for those that are shipped."""
    protocol_catalog.PROTOCOLS = PINNED


def forget() -> None:
    """Makes this process look up protocols and their questions again."""
    protocol_catalog.from_files.cache_clear()
    questionnaires.questionnaire.cache_clear()

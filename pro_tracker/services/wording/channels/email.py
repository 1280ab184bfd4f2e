"""Mail in a message file: subject and opening. The parts that all mails share are in the file's `layout`."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from pro_tracker.services.instruments.data_files import FileModel, text_matching
from pro_tracker.services.instruments.instrument_format import Text
from pro_tracker.services.wording.keyed_texts import CLINIC_PLACEHOLDERS, VISIT_PLACEHOLDERS, KeyedText, Limit

NAME = "mail"
IS_REQUIRED = True
REPLIES: tuple[str, ...] = ()
LIMIT: Limit | None = None


class Entry(FileModel):
    """The wording of one template for mail. `action` and `closing`: where they differ from the layout's."""

    subject: Annotated[Text, text_matching(r"[^\r\n]+", "one line")]
    opening: Text
    action: Text | None = None  # of its link, instead of that of the layout
    closing: list[Text] | None = Field(None, max_length=10)


def texts(key: str, entry: Entry) -> Iterator[KeyedText]:
    """Yields the texts of an entry; `key`: the place of the entry in the file."""
    yield KeyedText(f"{key}.subject", entry.subject, CLINIC_PLACEHOLDERS)
    yield KeyedText(f"{key}.opening", entry.opening, VISIT_PLACEHOLDERS)
    if entry.action:
        yield KeyedText(f"{key}.action", entry.action, CLINIC_PLACEHOLDERS)
    for number, paragraph in enumerate(entry.closing or ()):
        yield KeyedText(f"{key}.closing.{number}", paragraph, VISIT_PLACEHOLDERS)

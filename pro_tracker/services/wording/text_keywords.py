"""Reads the keywords of message files: STOP in any language counts, whatever the language of the person who texts."""

import logging
from collections import ChainMap
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

from pro_tracker.domain.delivery_reports import KEYWORD_EVENTS, Keywords, ReportEvent, event_of_text, fold
from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.services.wording import message_texts
from pro_tracker.services.wording.message_format import MessageFile

logger = logging.getLogger(__name__)


def event_of(text: str) -> ReportEvent:
    """Returns what a text of a patient asks for, in any of the languages."""
    return event_of_text(text, known())


def known() -> Keywords:
    """Returns the keywords of all message files together; where files contradict each other, STOP counts."""
    return _of(message_texts.files())


@cache
def _of(paths: tuple[Path, ...]) -> Keywords:
    files = list(_readable(paths))
    polite = chain.from_iterable(file.keywords.courtesy for file in files)
    by_event = (dict.fromkeys(_words(files, event), event) for event in KEYWORD_EVENTS)
    return Keywords(ChainMap(*by_event), set(map(fold, polite)))


def _words(files: Iterable[MessageFile], event: ReportEvent) -> Iterator[str]:
    for file in files:
        yield from file.keywords.by_event()[event]


def _readable(paths: Iterable[Path]) -> Iterator[MessageFile]:
    """Yields the files that can be read: a mistake in one must not keep STOP from being understood."""
    for path in paths:
        try:
            yield message_texts.read(path)
        except InvalidDataFile:
            logger.error("%s cannot be read, so its keywords are not known: run `pro-tracker check`", path.name)

"""The format of a text pack file: the wording of one instrument in one language, matched to it item by item."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

from pydantic import Field

from pro_tracker.domain.instrument import Instrument, ResponseSet, TextPack
from pro_tracker.services.instruments.data_files import FileModel, text_matching
from pro_tracker.services.instruments.instrument_checks import FormatError
from pro_tracker.services.instruments.instrument_format import Code, LinkId, Text, Version

Language = Annotated[str, text_matching(r"[a-z]{2}(-[A-Z]{2})?", "a language code such as en or es-MX")]


class TextPackFile(FileModel):
    """One text pack file as written. `validated`: whether the rights holder released this wording as validated."""

    instrument: Code
    language: Language
    version: Version
    validated: bool
    licence: Text
    title: Text
    instruction: Text
    items: dict[LinkId, Text]
    options: dict[Code, dict[int, Text]]
    scales: dict[Code, Text]
    emergencies: dict[LinkId, Text] = Field(default_factory=dict)

    def build(self) -> TextPack:
        return TextPack(
            instrument_code=self.instrument,
            language=self.language,
            version=self.version,
            validated=self.validated,
            title=self.title,
            instruction=self.instruction,
            items=self.items,
            options=self.options,
            scales=self.scales,
            licence=self.licence,
            emergencies=self.emergencies,
        )


def errors(file: TextPackFile | TextPack, instrument: Instrument) -> list[FormatError]:
    """Returns an error for each item, option and scale that is missing from the pack or not in the instrument."""
    link_ids = [item.link_id for item in instrument.items]
    response_sets = {item.response_set.code: item.response_set for item in instrument.items}
    scale_codes = [scale.code for scale in instrument.scales]
    found = [
        *_mismatches("items", file.items, link_ids),
        *_mismatches("options", file.options, response_sets),
        *_mismatches("scales", file.scales, scale_codes),
        *_mismatches("emergencies", file.emergencies, file.emergencies.keys() & set(link_ids)),
    ]
    for code in file.options.keys() & response_sets.keys():
        found += _option_errors(f"options.{code}", file.options[code], response_sets[code])
    return found


def _option_errors(key: str, labels: Mapping[int, str], response_set: ResponseSet) -> Iterator[FormatError]:
    if response_set.kind == "choice":
        yield from _mismatches(key, labels, response_set.values)
        return
    # A numeric scale needs labels for its two ends; labels of numbers between them are allowed.
    ends = {min(response_set.values), max(response_set.values)}
    allowed = labels.keys() & set(response_set.values)
    yield from _mismatches(key, labels, ends | allowed)


def _mismatches(key: str, given: Iterable[str | int], expected: Iterable[str | int]) -> Iterator[FormatError]:
    given, expected = set(given), set(expected)
    missing = sorted(expected - given, key=str)
    unknown = sorted(given - expected, key=str)
    for each in missing:
        yield f"{key}.{each}", "is missing"
    for each in unknown:
        yield f"{key}.{each}", "is not in the instrument"

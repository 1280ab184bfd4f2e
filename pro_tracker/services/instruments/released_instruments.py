"""Builds instruments and text packs from what was released. instrument_catalog.py looks them up."""

from collections.abc import Mapping
from typing import Any

from pro_tracker.domain.instrument import Instrument, TextPack
from pro_tracker.services.instruments import item_parameters
from pro_tracker.services.instruments.instrument_format import InstrumentFile
from pro_tracker.services.instruments.released_files import Identity, ReleasedFile
from pro_tracker.services.instruments.text_pack_format import TextPackFile

PARAMETERS = "item_parameters"  # the key of a released adaptive test that holds the lines of its parameter file

_built: dict[Identity, Any] = {}  # a released file -> what was built from it


def instrument(released: ReleasedFile) -> Instrument:
    """Returns the instrument of a released file; built once in a process."""
    if released.identity not in _built:
        _built[released.identity] = build_instrument(released.body)
    found: Instrument = _built[released.identity]
    return found


def text_pack(released: ReleasedFile) -> TextPack:
    """Returns the wording of a released file; built once in a process."""
    if released.identity not in _built:
        _built[released.identity] = TextPackFile.model_validate(released.body, strict=False).build()
    found: TextPack = _built[released.identity]
    return found


def build_instrument(body: Mapping[str, Any]) -> Instrument:
    """Returns the instrument of a released file, which was checked when it was released.

    The body comes from JSON: keys of numbers are text, and the item parameters are in it.
    """
    content = {key: value for key, value in body.items() if key != PARAMETERS}
    lines = [item_parameters.from_json(line) for line in body.get(PARAMETERS, ())]
    return InstrumentFile.model_validate(content, strict=False).build(lines)

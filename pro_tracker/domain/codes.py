"""Reads codes: typed or selected text becomes a member of its enum, or is rejected."""

from collections.abc import Iterable
from enum import StrEnum
from typing import TypeVar

from pro_tracker.domain.errors import InvalidInput

Member = TypeVar("Member", bound=StrEnum)


def read(codes: Iterable[Member], text: str, *, field: str, name: str) -> Member:
    """The code that `text` is. Raises InvalidInput, which names the field and lists all codes there are."""
    known = {code.value: code for code in codes}
    if text not in known:
        raise InvalidInput(f"{name} must be one of {', '.join(known)}.", field=field)
    return known[text]

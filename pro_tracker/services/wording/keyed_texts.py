"""Texts of message files with their keys, what may be filled in, and how long they may be."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast

from pro_tracker.domain.channels import Channel, channel_module

CHANNEL_MODULES = "pro_tracker.services.wording.channels"
CLINIC_PLACEHOLDERS = frozenset({"clinic", "phone"})
VISIT_PLACEHOLDERS = CLINIC_PLACEHOLDERS | {"closes", "minutes"}
LINK_PLACEHOLDER = "url"


class KeyedText(NamedTuple):
    """One text, its key in the file, and what may be filled in. A mail's link is not part of its texts."""

    key: str
    text: str
    placeholders: frozenset[str]


@dataclass(frozen=True, slots=True)
class Limit:
    """Limit on the length of a filled-in text. `reason`: what to say of one that is longer, with places for `measure`'s
    figure, `clinic` and `most`.
    """

    measure: Callable[[str], int]
    most: int
    reason: str


class ChannelWording(Protocol):
    """Contents of the module of a channel in `wording/channels`.

    `NAME`: what the channel is called in checks. `Entry`: the type of a template's entry. `IS_REQUIRED`: whether each
    template needs one. `REPLIES`: the codes of the texts under `replies` that belong to the channel.
    """

    NAME: str
    Entry: Any
    IS_REQUIRED: bool
    REPLIES: tuple[str, ...]
    LIMIT: Limit | None

    def texts(self, key: str, entry: Any) -> Iterator[KeyedText]:
        """Every text of an entry, which is in the file at `key`."""
        ...


def channel_wording(channel: Channel) -> ChannelWording:
    """The module of this channel."""
    return cast(ChannelWording, channel_module(CHANNEL_MODULES, channel))

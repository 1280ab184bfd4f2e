"""Each channel has a record, and in each layer a module of its name that offers what the layer's registry describes."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, cast

import pytest

from pro_tracker.domain.channels import CHANNELS, Channel
from pro_tracker.providers.registry import ChannelProviders, channel_providers
from pro_tracker.services.sending.message_composer import ChannelComposer, channel_composer
from pro_tracker.services.wording.keyed_texts import ChannelWording, channel_wording
from pro_tracker.web import labels
from pro_tracker.web.webhooks.registry import ChannelWebhook, channel_webhook

# Layer -> how it finds a channel's module, and the protocol that the module follows.
LAYERS: Mapping[str, tuple[Callable[[Channel], Any], type]] = {
    "providers": (channel_providers, ChannelProviders),
    "services/sending/channels": (channel_composer, ChannelComposer),
    "services/wording/channels": (channel_wording, ChannelWording),
    "web/webhooks": (channel_webhook, ChannelWebhook),
}
TABLES: Mapping[str, Mapping[Channel, Any]] = {"domain/channels.py": CHANNELS, "web/labels.py": labels.CHANNELS}


def missing(codes: type[Channel]) -> list[str]:
    """What these channels lack, by layer."""
    found = [
        f"{place} has no entry for {code}" for place, table in TABLES.items() for code in codes if code not in table
    ]
    for layer, (find, protocol) in LAYERS.items():
        for code in codes:
            found += _missing_in(layer, code, find, protocol)
    return found


def _missing_in(layer: str, code: Channel, find: Callable[[Channel], Any], protocol: type) -> list[str]:
    try:
        module = cast(ModuleType, find(code))
    except ModuleNotFoundError:
        return [f"{layer} has no module {code}.py"]
    return [f"{layer}/{code}.py lacks {name}" for name in sorted(_names(protocol)) if not hasattr(module, name)]


def _names(protocol: type) -> set[str]:
    own = {name for name in vars(protocol) if not name.startswith("_")}
    return own | set(protocol.__annotations__)


def test_every_channel_has_a_record_and_a_module_in_every_layer() -> None:
    assert missing(Channel) == []
    assert [record.code for record in CHANNELS.values()] == list(Channel)


def test_a_channel_without_an_entry_is_named_with_its_layer() -> None:
    class More:
        def __iter__(self):
            yield "fax"

    assert missing(cast(Any, More())) == [
        "domain/channels.py has no entry for fax",
        "web/labels.py has no entry for fax",
        *(f"{layer} has no module fax.py" for layer in LAYERS),
    ]


def test_a_module_without_a_part_is_named_with_it() -> None:
    found = _missing_in("providers", Channel.SMS, lambda _: ModuleType("sms"), ChannelProviders)
    assert found == [f"providers/sms.py lacks {name}" for name in ("PROVIDERS", "RATE", "provider")]


@pytest.mark.parametrize("channel", Channel)
def test_a_borrowed_address_is_of_the_same_kind(channel: Channel) -> None:
    lender = CHANNELS[CHANNELS[channel].address_channel]
    assert lender.has_own_address
    assert lender.address_kind == CHANNELS[channel].address_kind

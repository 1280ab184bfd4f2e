"""Each channel has a record, and in each layer a module of its name that offers what the layer's registry describes."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import copy, copytree, ignore_patterns
from types import ModuleType
from typing import Any, cast

import pytest

from pro_tracker.domain.channels import CHANNELS, Channel, channels_with_module
from pro_tracker.providers.registry import ChannelProviders, channel_providers
from pro_tracker.services.sending.message_composer import ChannelComposer, channel_composer
from pro_tracker.services.wording.keyed_texts import ChannelWording, channel_wording
from pro_tracker.web import labels, webhooks
from pro_tracker.web.webhooks import twilio
from pro_tracker.web.webhooks.registry import ChannelWebhook, channel_webhook
from tests.support.code_finder import PROJECT

# Layer -> how it finds a channel's module, and the protocol that the module follows.
LAYERS: Mapping[str, tuple[Callable[[Channel], Any], type]] = {
    "providers": (channel_providers, ChannelProviders),
    "services/sending/channels": (channel_composer, ChannelComposer),
    "services/wording/channels": (channel_wording, ChannelWording),
    "web/webhooks": (channel_webhook, ChannelWebhook),
}
TABLES: Mapping[str, Mapping[Channel, Any]] = {"domain/channels.py": CHANNELS, "web/labels.py": labels.CHANNELS}


def missing(codes: type[Channel]) -> list[str]:
    """Returns what these channels lack, by layer."""
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
    assert "\n".join(missing(Channel)) == ""  # as one text, of which pytest shows every line
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


@pytest.mark.slow
def test_a_new_code_alone_leaves_the_service_loadable_and_is_named_with_all_that_is_missing(tmp_path: Path) -> None:
    for folder in ("pro_tracker", "config", "worker", "tests"):
        copytree(PROJECT / folder, tmp_path / folder, ignore=ignore_patterns("static", "data"))
    copy(PROJECT / "pyproject.toml", tmp_path)
    codes = tmp_path / "pro_tracker/domain/channels.py"
    one_more = codes.read_text(encoding="utf-8").replace('= "voice"\n', '= "voice"\n    PAGER = "pager"\n')
    codes.write_text(one_more, encoding="utf-8")
    guard = "tests/guards/test_channels.py::test_every_channel_has_a_record_and_a_module_in_every_layer"

    command = [sys.executable, "-m", "pytest", "-vv", "-p", "no:cacheprovider", guard]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    lacking = [f"{place} has no entry for pager" for place in TABLES]
    lacking += [f"{layer} has no module pager.py" for layer in LAYERS]
    assert [line for line in lacking if line not in ran.stdout] == [], ran.stdout + ran.stderr


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_borrowed_address_is_of_the_same_kind(channel: Channel) -> None:
    lender = CHANNELS[CHANNELS[channel].address_channel]
    assert lender.has_own_address
    assert lender.address_kind == CHANNELS[channel].address_kind


def test_every_system_that_reports_has_a_label() -> None:
    reporting = {channel_webhook(channel).PROVIDER for channel in channels_with_module(webhooks.__name__)} | {
        twilio.NAME
    }
    assert labels.PROVIDERS.keys() == reporting

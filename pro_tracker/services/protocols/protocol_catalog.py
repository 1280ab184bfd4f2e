"""Looks up protocols in the data files, shipped or a clinic's own, each file read and checked once per process."""

from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.errors import InvalidDataFile, NotFound, ProTrackerError
from pro_tracker.domain.instrument import Alert
from pro_tracker.domain.protocol import Protocol, ReminderStep
from pro_tracker.services.clinic.channels_in_service import channels_in_service
from pro_tracker.services.instruments import instrument_catalog, instrument_checks
from pro_tracker.services.instruments.data_files import load_yaml, read_as, yaml_files
from pro_tracker.services.instruments.instrument_catalog import PACKAGE, Problem
from pro_tracker.services.protocols import protocol_format
from pro_tracker.services.protocols.protocol_format import ProtocolFile
from pro_tracker.services.wording import message_checks

PROTOCOLS = PACKAGE / "protocols"


@cache
def protocol(code: str, version: str | None = None) -> Protocol:
    """Returns this version of the protocol, by default the newest. Raises NotFound, InvalidDataFile."""
    found = [read_protocol(path) for path in all_files() if _code_of(path) == code]
    matching = [each for each in found if version in (None, each.version)]
    if not matching:
        known = ", ".join(_codes())
        raise NotFound(f"There is no protocol {code[:60]!r} {version or ''}; there are {known}.")
    return max(matching, key=_version_order)


def protocols() -> tuple[Protocol, ...]:
    """Returns every protocol in its newest version, by code. Raises InvalidDataFile for the first invalid file."""
    return tuple(protocol(code) for code in _codes())


def _codes() -> list[str]:
    return sorted({_code_of(path) for path in all_files()})


def _code_of(path: Path) -> str:
    return path.stem.partition("@")[0]


def problems(path: Path | None = None) -> list[Problem]:
    """Returns every error in one protocol file, by default in all of them."""
    files = [path] if path else all_files()
    return list(chain.from_iterable(map(_problems_of, files)))


def unserved_steps(protocol: Protocol) -> dict[str, Channel]:
    """The steps that send nothing, since no channel that they name is in service: key in the file -> channel."""
    steps = {f"messages.steps.{step.number}.channel": step for step in protocol.reminders}
    for number, event in enumerate(protocol.events):
        steps |= {f"events.{number}.steps.{step.number}.channel": step for step in event.reminders}
    unserved = {key: _unserved(step) for key, step in steps.items()}
    return {key: channel for key, channel in unserved.items() if channel is not None}


def _unserved(step: ReminderStep) -> Channel | None:
    """The channel that a step names first, when none that it names is in service."""
    named = [option for option in step.channels if isinstance(option, Channel)]
    is_served = len(named) < len(step.channels) or not set(named).isdisjoint(channels_in_service())
    return None if is_served else named[0]


def all_files() -> tuple[Path, ...]:
    """Returns every protocol file: the newest version is code.yaml, an older one code@version.yaml."""
    return yaml_files(PROTOCOLS)


@cache
def read_protocol(path: Path) -> Protocol:
    """Returns the protocol in this file. Raises InvalidDataFile with every error."""
    file = read_as(ProtocolFile, load_yaml(path))
    found = protocol_format.errors(file, _templates())
    for errors in (_battery_errors, _rule_errors, _plan_errors, _offline_errors, _severity_errors):
        found += errors(file)
    if path.stem not in (file.code, f"{file.code}@{file.version}"):
        found.append(("code", f"the file {path.name} should be named {file.code}.yaml"))
    if found:
        raise InvalidDataFile(*found)
    return file.build()


def _templates() -> dict[str, list[str]]:
    try:
        return message_checks.templates()
    except InvalidDataFile as error:
        raise InvalidDataFile(("messages.steps", "a message file has problems of its own")) from error


def _battery_errors(file: ProtocolFile) -> Iterator[tuple[str, str]]:
    for number, event in enumerate(file.events):
        for code in event.battery:
            try:
                instrument_catalog.instrument(code)
            except InvalidDataFile:
                yield f"events.{number}.battery", f"the file of {code} has problems of its own"
            except ProTrackerError as error:
                yield f"events.{number}.battery", str(error)


def _battery_codes(file: ProtocolFile) -> list[str]:
    """Returns the codes of all instruments that the protocol asks, without repeats, in the order of its events."""
    codes = chain.from_iterable(event.battery for event in file.events)
    return list(dict.fromkeys(codes))


def _rule_errors(file: ProtocolFile) -> Iterator[tuple[str, str]]:
    in_battery = _battery_codes(file)
    for name, rule in file.change_rules.items():
        key = f"change_rules.{name}"
        code, _, scale_code = name.partition(".")
        yield from instrument_checks.change_errors(key, rule)
        if code not in in_battery:
            yield key, f"no event asks {code}"
            continue
        try:
            scale = instrument_catalog.instrument(code).scale(scale_code)
        except ProTrackerError as error:
            yield key, str(error)
            continue
        if scale.responder_rule is not None:
            yield key, "this scale itself asks about change, so none is computed"


def _severity_errors(file: ProtocolFile) -> Iterator[tuple[str, str]]:
    code, _, scale_code = (file.calls.severity or "").partition(".")
    if not code:
        return
    if code not in file.events[0].battery:
        yield "calls.severity", f"the first event does not ask {code}"
        return
    try:
        instrument_catalog.instrument(code).scale(scale_code)
    except ProTrackerError as error:
        yield "calls.severity", str(error)


def _plan_errors(file: ProtocolFile) -> Iterator[tuple[str, str]]:
    """Yields the response plans that are missing: an instrument with alerts needs one. Also those without alerts."""
    alerts = {code: _alerts(code) for code in _battery_codes(file)}
    for code, raised in alerts.items():
        if raised and code not in file.response_plans:
            items = " and ".join(alert.item for alert in raised)
            yield f"response_plans.{code}", f"is missing: an answer to {items} may need a person the same day; say who"
    for code in file.response_plans:
        if not alerts.get(code):
            yield f"response_plans.{code}", "no event asks for an instrument of this name that raises alerts"


def _offline_errors(file: ProtocolFile) -> Iterator[tuple[str, str]]:
    """Yields the adaptive tests without a fixed form for phones that are offline, and forms that cannot be used."""
    in_battery = _battery_codes(file)
    for code in in_battery:
        if _is_adaptive(code) and code not in file.offline_forms:
            yield f"offline_forms.{code}", "is missing: name the fixed form to use when the phone is offline"
    for code, form in file.offline_forms.items():
        if code not in in_battery or not _is_adaptive(code):
            yield f"offline_forms.{code}", "no event asks for an adaptive test of this name"
        if _is_adaptive(form) is not False:
            yield f"offline_forms.{code}", f"{form} is not the name of a fixed form"


def _is_adaptive(code: str) -> bool | None:
    """Returns whether the instrument is an adaptive test; None if there is no valid instrument of this code."""
    try:
        return instrument_catalog.instrument(code).bank is not None
    except ProTrackerError:
        return None


def _alerts(code: str) -> tuple[Alert, ...]:
    try:
        return instrument_catalog.instrument(code).alerts
    except ProTrackerError:
        return ()  # _battery_errors reports it


def _problems_of(path: Path) -> Iterator[Problem]:
    try:
        protocol = read_protocol(path)
    except InvalidDataFile as error:
        yield from (Problem(str(path), key, reason) for key, reason in error.errors)
        return
    for key, channel in unserved_steps(protocol).items():
        yield Problem(str(path), key, f"sends nothing: {unserved_reason(channel)}")


def unserved_reason(channel: Channel) -> str:
    """Why a step that names only this channel sends nothing, and what to set."""
    return f"{channel} is not in service; PRO_TRACKER_{channel.upper()}_PROVIDER says how it is"


def _version_order(each: Protocol) -> tuple[int, ...]:
    """Returns the sort key of a version, by which 1.10 follows 1.9."""
    return tuple(int(part) for part in each.version.split("."))


def default_protocol() -> Protocol:
    """Returns the protocol in which new subjects are enrolled: the first file by name, in its newest version."""
    return protocols()[0]

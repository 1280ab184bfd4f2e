"""Looks up protocols: as released, or in the data files before anything is released.

Data files are shipped or a clinic's own, each read and checked once per process.
"""

import typing
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.errors import InvalidDataFile, NotFound
from pro_tracker.domain.protocol import Protocol, ReminderStep
from pro_tracker.domain.record_codes import DefinitionKind
from pro_tracker.services.clinic.channels_in_service import channels_in_service
from pro_tracker.services.instruments import released_files
from pro_tracker.services.instruments.data_files import load_yaml, read_as, yaml_files
from pro_tracker.services.instruments.instrument_catalog import PACKAGE, Problem
from pro_tracker.services.instruments.released_files import Identity, ReleasedFile
from pro_tracker.services.protocols import protocol_checks, protocol_format
from pro_tracker.services.protocols.protocol_format import ProtocolFile
from pro_tracker.services.wording import message_checks

PROTOCOLS = PACKAGE / "protocols"


def protocol(code: str, version: str | None = None) -> Protocol:
    """Returns this version of the protocol, by default the newest. Raises NotFound, InvalidDataFile."""
    if version is not None and (released := released_files.find(DefinitionKind.PROTOCOL, code, version)):
        return _built(released)
    versions = released_files.versions(DefinitionKind.PROTOCOL, code)
    if version is None and versions:
        return _built(versions[-1])
    return from_files(code, version)


class BoundToProtocol(typing.Protocol):
    """A course, a visit, or a row with these columns of one."""

    @property
    def protocol_code(self) -> Any: ...

    @property
    def protocol_version(self) -> Any: ...


def bound_to(row: BoundToProtocol) -> Protocol:
    """Returns the protocol version that a course or visit is bound to. Raises NotFound."""
    return protocol(row.protocol_code, row.protocol_version)


@cache
def from_files(code: str, version: str | None = None) -> Protocol:
    """Returns this version of the protocol as in its file, by default the newest. Raises NotFound, InvalidDataFile."""
    paths = [path for path in all_files() if _code_of(path) == code]
    found = [read_protocol(path) for path in paths]
    matching = [each for each in found if version in (None, each.version)]
    if not matching:
        named = f"{code[:60]!r} {version or ''}"
        known = ", ".join(codes())
        raise NotFound(f"There is no protocol {named}; there are {known}.")
    return max(matching, key=_version_order)


def protocols() -> tuple[Protocol, ...]:
    """Returns every protocol in its newest version, by code. Raises InvalidDataFile for the first invalid file."""
    return tuple(protocol(code) for code in codes())


def codes() -> list[str]:
    """Returns the codes of all protocols, sorted."""
    released = released_files.codes(DefinitionKind.PROTOCOL)
    return codes_in_files() if released is None else released


def codes_in_files() -> list[str]:
    """Returns the codes of all protocols that have a file, sorted."""
    return sorted({_code_of(path) for path in all_files()})


def _code_of(path: Path) -> str:
    return path.stem.partition("@")[0]


def problems(path: Path | None = None) -> list[Problem]:
    """Returns every error in one protocol file, by default in all of them."""
    files = [path] if path else all_files()
    found: list[Problem] = []
    for file in files:
        found += _problems_of(file)
    return found


def unserved_steps(protocol: Protocol) -> dict[str, Channel]:
    """The steps that send nothing, since no channel that they name is in service: key in the file -> channel."""
    unserved: dict[str, Channel] = {}
    for key, step in _steps(protocol):
        channel = _unserved(step)
        if channel is not None:
            unserved[f"{key}.channel"] = channel
    return unserved


def _steps(protocol: Protocol) -> Iterator[tuple[str, ReminderStep]]:
    """Yields every step with its key in the file: the common ones, then those of single events."""
    for step in protocol.reminders:
        yield f"messages.steps.{step.number}", step
    for number, event in enumerate(protocol.events):
        for step in event.reminders:
            yield f"events.{number}.steps.{step.number}", step


def _unserved(step: ReminderStep) -> Channel | None:
    """The channel that a step names first, when none that it names is in service."""
    named = [option for option in step.channels if isinstance(option, Channel)]
    has_word = len(named) < len(step.channels)
    in_service = set(named).intersection(channels_in_service())
    if has_word or in_service:
        return None
    return named[0]


def all_versions() -> tuple[Protocol, ...]:
    """Returns every version of every protocol. Raises InvalidDataFile for the first invalid file."""
    if released_files.all_files() is None:
        paths = all_files()
        return tuple(map(read_protocol, paths))
    return tuple(map(_built, _released()))


def _released() -> Iterator[ReleasedFile]:
    """Yields every version of every protocol as it was released."""
    released = released_files.all_files() or {}
    for key, files in released.items():
        if key.kind == DefinitionKind.PROTOCOL:
            yield from files


def newest_with(code: str, event_code: str) -> Protocol:
    """Returns the newest version of the protocol that has this study event. Raises NotFound."""
    versions = [each for each in all_versions() if each.code == code]
    having = [each for each in versions if has_event(each, event_code)]
    if not having:
        return protocol(code)
    return max(having, key=_version_order)


def has_event(protocol: Protocol, event_code: str) -> bool:
    """Returns whether the protocol has a study event of this code."""
    codes = [event.code for event in protocol.events]
    return event_code in codes


def released_bodies() -> list[Mapping[str, Any]]:
    """Returns the content of every protocol file as it was released."""
    return [each.body for each in _released()]


_built_files: dict[Identity, Protocol] = {}


def _built(released: ReleasedFile) -> Protocol:
    """Returns the protocol of a released file, which was checked when it was released; built once in a process."""
    if released.identity not in _built_files:
        file = ProtocolFile.model_validate(released.body, strict=False)
        _built_files[released.identity] = file.build()
    return _built_files[released.identity]


def all_files() -> tuple[Path, ...]:
    """Returns every protocol file: the newest version is code.yaml, an older one code@version.yaml."""
    return yaml_files(PROTOCOLS)


@cache
def read_protocol(path: Path) -> Protocol:
    """Returns the protocol in this file. Raises InvalidDataFile with every error."""
    file = read_as(ProtocolFile, load_yaml(path))
    found = protocol_format.errors(file, _templates())
    found += protocol_checks.errors(file)
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


def _problems_of(path: Path) -> Iterator[Problem]:
    try:
        protocol = read_protocol(path)
    except InvalidDataFile as error:
        yield from (Problem(str(path), key, reason) for key, reason in error.errors)
        return
    for key, channel in unserved_steps(protocol).items():
        yield Problem(str(path), key, f"sends nothing: {unserved_reason(channel)}")
    is_newest = path.stem == protocol.code
    for code in protocol_checks.without_plan(protocol.instruments, protocol.response_plans) if is_newest else ():
        yield Problem(str(path), f"response_plans.{code}", protocol_checks.missing_plan(code))


def unserved_reason(channel: Channel) -> str:
    """Says why a step that names only this channel sends nothing, and what to set."""
    return f"{channel} is not in service; PRO_TRACKER_{channel.upper()}_PROVIDER says how it is"


def _version_order(each: Protocol) -> tuple[int, ...]:
    return released_files.version_order(each.version)

"""Looks up protocols in the shipped data files, each file read and checked once per process."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pro_tracker.domain.errors import InvalidDataFile, NotFound, ProTrackerError
from pro_tracker.domain.protocol import Protocol
from pro_tracker.services import catalog, message_texts, protocol_file
from pro_tracker.services.catalog import PACKAGE, Problem
from pro_tracker.services.data_files import load_yaml, read_as
from pro_tracker.services.protocol_file import ProtocolFile

PROTOCOLS = PACKAGE / "protocols"


@cache
def protocol(code: str, version: str | None = None) -> Protocol:
    """Return this version of the protocol, or its newest; raises NotFound, InvalidDataFile."""
    found = [read_protocol(path) for path in all_files() if path.stem.partition("@")[0] == code]
    wanted = [each for each in found if version in (None, each.version)]
    if not wanted:
        known = ", ".join(sorted({path.stem.partition("@")[0] for path in all_files()}))
        raise NotFound(f"There is no protocol {code[:60]!r} {version or ''}; there are {known}.")
    return max(wanted, key=_order)


def protocols() -> tuple[Protocol, ...]:
    """Return every protocol in its newest version, by code; raises InvalidDataFile for the first broken file."""
    return tuple(protocol(code) for code in sorted({path.stem.partition("@")[0] for path in all_files()}))


def problems(path: Path | None = None) -> list[Problem]:
    """Return everything that is wrong in one protocol file, or in all of them."""
    return [problem for each in ([path] if path else all_files()) for problem in _problems_of(each)]


def all_files() -> tuple[Path, ...]:
    """Return every protocol file: the newest version is code.yaml, an older one code@version.yaml."""
    return tuple(sorted(PROTOCOLS.glob("*.yaml")))


@cache
def read_protocol(path: Path) -> Protocol:
    """Return the protocol in this file, or raise InvalidDataFile with every fault found."""
    file = read_as(ProtocolFile, load_yaml(path))
    found = [*protocol_file.faults(file, tuple(message_texts.TEMPLATES)), *_battery_faults(file)]
    if path.stem not in (file.code, f"{file.code}@{file.version}"):
        found.append(("code", f"the file {path.name} should be named {file.code}.yaml"))
    if found:
        raise InvalidDataFile(*found)
    return file.build()


def _battery_faults(file: ProtocolFile) -> Iterator[tuple[str, str]]:
    for number, event in enumerate(file.events):
        for code in event.battery:
            try:
                catalog.instrument(code)
            except ProTrackerError as error:
                yield f"events.{number}.battery", str(error)


def _problems_of(path: Path) -> Iterator[Problem]:
    try:
        read_protocol(path)
    except InvalidDataFile as error:
        yield from (Problem(str(path), key, reason) for key, reason in error.faults)


def _order(each: Protocol) -> tuple[int, ...]:
    return tuple(int(part) for part in each.version.split("."))

"""Looks up protocols in the data files, shipped or a clinic's own, each file read and checked once per process."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pro_tracker.domain.errors import InvalidDataFile, NotFound, ProTrackerError
from pro_tracker.domain.instrument import Alert
from pro_tracker.domain.protocol import Protocol
from pro_tracker.services.instruments import instrument_catalog, instrument_checks
from pro_tracker.services.instruments.data_files import load_yaml, read_as, yaml_files
from pro_tracker.services.instruments.instrument_catalog import PACKAGE, Problem
from pro_tracker.services.protocols import protocol_format
from pro_tracker.services.protocols.protocol_format import ProtocolFile
from pro_tracker.services.wording import message_checks

PROTOCOLS = PACKAGE / "protocols"


@cache
def protocol(code: str, version: str | None = None) -> Protocol:
    """Return this version of the protocol, or its newest; raises NotFound, InvalidDataFile."""
    found = [read_protocol(path) for path in all_files() if path.stem.partition("@")[0] == code]
    matching = [each for each in found if version in (None, each.version)]
    if not matching:
        known = ", ".join(sorted({path.stem.partition("@")[0] for path in all_files()}))
        raise NotFound(f"There is no protocol {code[:60]!r} {version or ''}; there are {known}.")
    return max(matching, key=_order)


def protocols() -> tuple[Protocol, ...]:
    """Return every protocol in its newest version, by code; raises InvalidDataFile for the first broken file."""
    return tuple(protocol(code) for code in sorted({path.stem.partition("@")[0] for path in all_files()}))


def problems(path: Path | None = None) -> list[Problem]:
    """Return everything that is wrong in one protocol file, or in all of them."""
    return [problem for each in ([path] if path else all_files()) for problem in _problems_of(each)]


def all_files() -> tuple[Path, ...]:
    """Return every protocol file: the newest version is code.yaml, an older one code@version.yaml."""
    return yaml_files(PROTOCOLS)


@cache
def read_protocol(path: Path) -> Protocol:
    """Return the protocol in this file, or raise InvalidDataFile with every fault found."""
    file = read_as(ProtocolFile, load_yaml(path))
    found = protocol_format.errors(file, _templates())
    found += [*_battery_errors(file), *_rule_errors(file), *_plan_errors(file), *_offline_errors(file)]
    found += _severity_errors(file)
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


def _rule_errors(file: ProtocolFile) -> Iterator[tuple[str, str]]:
    in_battery = {code for event in file.events for code in event.battery}
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
    alerts = {code: _alerts(code) for event in file.events for code in event.battery}
    for code, raised in alerts.items():
        if raised and code not in file.response_plans:
            items = " and ".join(alert.item for alert in raised)
            yield f"response_plans.{code}", f"is missing: an answer to {items} may need a person the same day; say who"
    for code in file.response_plans:
        if not alerts.get(code):
            yield f"response_plans.{code}", "no event asks for an instrument of this name that raises alerts"


def _offline_errors(file: ProtocolFile) -> Iterator[tuple[str, str]]:
    in_battery = dict.fromkeys(code for event in file.events for code in event.battery)
    for code in in_battery:
        if _is_adaptive(code) and code not in file.offline_forms:
            yield f"offline_forms.{code}", "is missing: name the fixed form to use when the phone is offline"
    for code, form in file.offline_forms.items():
        if code not in in_battery or not _is_adaptive(code):
            yield f"offline_forms.{code}", "no event asks for an adaptive test of this name"
        if _is_adaptive(form) is not False:
            yield f"offline_forms.{code}", f"{form} is not the name of a fixed form"


def _is_adaptive(code: str) -> bool | None:
    """None where there is no such instrument."""
    try:
        return instrument_catalog.instrument(code).bank is not None
    except ProTrackerError:
        return None


def _alerts(code: str) -> tuple[Alert, ...]:
    try:
        return instrument_catalog.instrument(code).alerts
    except ProTrackerError:
        return ()  # _battery_errors names it


def _problems_of(path: Path) -> Iterator[Problem]:
    try:
        read_protocol(path)
    except InvalidDataFile as error:
        yield from (Problem(str(path), key, reason) for key, reason in error.errors)


def _order(each: Protocol) -> tuple[int, ...]:
    return tuple(int(part) for part in each.version.split("."))


def default_protocol() -> Protocol:
    """What new subjects are enrolled in: the first of the protocol files by name, in its newest version."""
    return protocols()[0]

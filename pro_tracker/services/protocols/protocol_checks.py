"""Checks a protocol file against the instrument files that it names. protocol_format.py checks the file by itself."""

from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from pro_tracker.domain.errors import InvalidDataFile, ProTrackerError
from pro_tracker.domain.instrument import Alert
from pro_tracker.languages import patient_languages
from pro_tracker.services.instruments import instrument_catalog, instrument_checks
from pro_tracker.services.protocols.protocol_format import ProtocolFile
from pro_tracker.services.wording import consent_forms


def errors(file: ProtocolFile) -> Iterator[tuple[str, str]]:
    """Yields key and reason of every contradiction to the instrument files."""
    checks = (_battery_errors, _rule_errors, _plan_errors, _offline_errors, _severity_errors)
    for check in (*checks, _result_errors, _consent_errors):
        yield from check(file)


def _battery_errors(file: ProtocolFile) -> Iterator[tuple[str, str]]:
    for number, event in enumerate(file.events):
        for code in event.battery:
            try:
                instrument_catalog.instrument_in_files(code)
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
            scale = instrument_catalog.instrument_in_files(code).scale(scale_code)
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
        instrument_catalog.instrument_in_files(code).scale(scale_code)
    except ProTrackerError as error:
        yield "calls.severity", str(error)


def _result_errors(file: ProtocolFile) -> Iterator[tuple[str, str]]:
    """Yields the scales whose results no patient can be shown: they are not asked, or their meaning is not for a page.

    A score with an answer that needs a person the same day is explained by a person.
    """
    in_battery = _battery_codes(file)
    for number, name in enumerate(file.for_patients.results):
        key = f"for_patients.results.{number}"
        code, _, scale_code = name.partition(".")
        if code not in in_battery:
            yield key, f"no event asks {code}"
            continue
        try:
            scale = instrument_catalog.instrument_in_files(code).scale(scale_code)
        except ProTrackerError as error:
            yield key, str(error)
            continue
        if _alerts(code):
            yield key, f"{code} raises alerts: its results are explained by a person"
        elif scale.responder_rule is not None:
            yield key, "this scale is the patient's own rating of change, which needs no comparison"


def _consent_errors(file: ProtocolFile) -> Iterator[tuple[str, str]]:
    if file.consent is None:
        return
    try:
        known = consent_forms.in_files(file.consent)
    except InvalidDataFile:
        yield "consent", f"the file of the consent form {file.consent} has problems of its own"
        return
    if not known:
        yield (
            "consent",
            f"there is no consent form {file.consent}: the folder consents has no file of this name",
        )
        return
    missing = [language for language in patient_languages() if language not in known[-1].texts]
    if missing:
        yield (
            "consent",
            f"the consent form {file.consent} has no wording in {', '.join(missing)}; release a new version",
        )


def _plan_errors(file: ProtocolFile) -> Iterator[tuple[str, str]]:
    """Yields the response plans that are missing: an instrument with alerts needs one. Also those without alerts."""
    codes = list(dict.fromkeys([*_battery_codes(file), *file.offline_forms.values()]))
    alerts = {code: _alerts(code) for code in codes}
    for code in without_plan(codes, file.response_plans):
        if not _had_no_alerts(code):
            yield f"response_plans.{code}", missing_plan(code)
    for code in file.response_plans:
        if not alerts.get(code):
            yield f"response_plans.{code}", "no event asks for an instrument of this name that raises alerts"


def without_plan(codes: Iterable[str], plans: Collection[str]) -> list[str]:
    """Returns those of the instruments that raise alerts and have no response plan."""
    unplanned = [code for code in codes if code not in plans]
    return [code for code in unplanned if _alerts(code)]


def missing_plan(code: str) -> str:
    alerting = list(dict.fromkeys(chain.from_iterable(alert.items for alert in _alerts(code))))
    n_items = len(instrument_catalog.instrument_in_files(code).items)
    items = " and ".join(alerting) if len(alerting) < n_items else "any item"
    return f"is missing: an answer to {items} may need a person the same day; say who"


def _had_no_alerts(code: str) -> bool:
    """Returns whether an earlier version of the instrument raised no alerts.

    A protocol that was released with it stays usable without a plan: its courses go on, and its alerts are raised.
    """
    return any(not each.alerts for each in instrument_catalog.versions_in_files(code))


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
        return instrument_catalog.instrument_in_files(code).bank is not None
    except ProTrackerError:
        return None


def _alerts(code: str) -> tuple[Alert, ...]:
    try:
        return instrument_catalog.instrument_in_files(code).alerts
    except ProTrackerError:
        return ()  # _battery_errors reports it

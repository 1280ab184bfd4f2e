"""Replays an event log into RecordedState: one handler per event type."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from pro_tracker.ledger_check.event_log import LogEntry
from pro_tracker.ledger_check.recorded_state import (
    FOREVER,
    HELPER,
    CourseState,
    DateRange,
    OutageInterval,
    PatientState,
    RecordedState,
)

Handler = Callable[[RecordedState, LogEntry], object]


def replay(entries: Iterable[LogEntry]) -> RecordedState:
    """Returns the state after all entries. Raises KeyError for an unknown event type."""
    state = RecordedState()
    for entry in entries:
        handle = HANDLERS[entry.event]
        handle(state, entry)
        state.ends_at = entry.at
    return state


def _patient(state: RecordedState, entry: LogEntry) -> PatientState:
    return state.patients[entry.data["subject"]].latest


def _change_patient(state: RecordedState, entry: LogEntry, **changes: Any) -> None:
    timeline = state.patients[entry.data["subject"]]
    changed = replace(timeline.latest, **changes)
    timeline.add(entry, changed)


def _course(state: RecordedState, entry: LogEntry) -> CourseState:
    return state.courses[str(entry.data["course"])].latest


def _change_course(state: RecordedState, entry: LogEntry, **changes: Any) -> None:
    course_id = str(entry.data["course"])
    timeline = state.courses[course_id]
    changed = replace(timeline.latest, **changes)
    timeline.add(entry, changed)


def _enrolled(state: RecordedState, entry: LogEntry) -> None:
    data = entry.data
    patient = PatientState(
        data["zone"],
        data["preferred"],
        addresses=data["addresses"],
        site=data.get("site", ""),
    )
    state.patients[data["subject"]].add(entry, patient)


def _transferred(state: RecordedState, entry: LogEntry) -> None:
    _change_patient(state, entry, site=entry.data["site"])


def _time_zone_changed(state: RecordedState, entry: LogEntry) -> None:
    _change_patient(state, entry, time_zone=entry.data["zone"])


def _preferences_changed(state: RecordedState, entry: LogEntry) -> None:
    message_time = _time(entry.data["hour"])
    _change_patient(state, entry, preferred_channel=entry.data["channel"], message_time=message_time)


def _address_changed(state: RecordedState, entry: LogEntry) -> None:
    """Replaces an address. The channel is open again, regardless of the former address."""
    patient = _patient(state, entry)
    channel = entry.data["channel"]
    addresses = {**patient.addresses, channel: entry.data["to"]}
    closed_channels = patient.closed_channels - {channel}
    _change_patient(state, entry, addresses=addresses, closed_channels=closed_channels)


def _channel_closed(state: RecordedState, entry: LogEntry) -> None:
    closed_channels = _patient(state, entry).closed_channels | {entry.data["channel"]}
    _change_patient(state, entry, closed_channels=closed_channels)


def _channel_opened(state: RecordedState, entry: LogEntry) -> None:
    closed_channels = _patient(state, entry).closed_channels - {entry.data["channel"]}
    _change_patient(state, entry, closed_channels=closed_channels)


def _helper_removed(state: RecordedState, entry: LogEntry) -> None:
    addresses = {**_patient(state, entry).addresses}
    addresses.pop(HELPER, None)
    _change_patient(state, entry, addresses=addresses)


def _bounced(state: RecordedState, entry: LogEntry) -> None:
    """Marks a message as bounced. Closes the channel only if the patient still has the bounced address."""
    state.bounced_keys.add(entry.data["key"])
    current_address = _patient(state, entry).addresses.get(entry.data["channel"])
    if current_address == entry.data["to"]:
        _channel_closed(state, entry)


def _paused(state: RecordedState, entry: LogEntry) -> None:
    """Adds a pause, or changes the end of an existing one."""
    first = _date(entry.data["from_on"]) or date.min
    last = _date(entry.data["until_on"])
    pause_id = str(entry.data["pause"])
    pauses = {**_patient(state, entry).pauses, pause_id: DateRange(first, last)}
    _change_patient(state, entry, pauses=pauses)


def _withdrew(state: RecordedState, entry: LogEntry) -> None:
    _change_patient(state, entry, withdrawn=True)


def _withdrawal_reverted(state: RecordedState, entry: LogEntry) -> None:
    _change_patient(state, entry, withdrawn=False)


def _died(state: RecordedState, entry: LogEntry) -> None:
    _change_patient(state, entry, died=True)


def _death_reverted(state: RecordedState, entry: LogEntry) -> None:
    _change_patient(state, entry, died=False)


def _merged(state: RecordedState, entry: LogEntry) -> None:
    _change_patient(state, entry, merged_into=entry.data["into"])
    state.merges.append(entry)
    state.merged_records[entry.data["into"]].add(entry.data["subject"])


def _separated(state: RecordedState, entry: LogEntry) -> None:
    _change_patient(state, entry, merged_into="")
    state.merges.append(entry)


def _course_planned(state: RecordedState, entry: LogEntry) -> None:
    """Adds a course, or changes the plan of an existing one."""
    data = entry.data
    timeline = state.courses[str(data["course"])]
    if not timeline.versions:
        state.courses_by_subject[data["subject"]].append(timeline)
        timeline.add(entry, CourseState(data["subject"], data["number"], None, 0))
    _change_course(state, entry, start_on=_date(data["start_on"]), planned_infusions=data["planned"])


def _course_ended(state: RecordedState, entry: LogEntry) -> None:
    _change_course(state, entry, ended_on=_date(entry.data["on"]))


def _protocol_moved(state: RecordedState, entry: LogEntry) -> None:
    state.protocol_moves[str(entry.data["course"])].append(entry)


def _infusion_recorded(state: RecordedState, entry: LogEntry) -> None:
    """Adds an infusion. `from` is its start in the clinic's `zone`; without a zone, in the patient's."""
    patient = state.patients[entry.data["subject"]].latest
    zone = ZoneInfo(entry.data.get("zone") or patient.time_zone)
    started_at = datetime.fromisoformat(entry.data["from"]).replace(tzinfo=zone)
    infusion_id = str(entry.data["infusion"])
    infusions = {**_course(state, entry).infusions, infusion_id: started_at}
    _change_infusions(state, entry, infusions)


def _infusion_removed(state: RecordedState, entry: LogEntry) -> None:
    """Removes an infusion that was recorded by mistake."""
    infusions = dict(_course(state, entry).infusions)
    infusions.pop(str(entry.data["infusion"]), None)
    _change_infusions(state, entry, infusions)


def _change_infusions(state: RecordedState, entry: LogEntry, infusions: Mapping[str, datetime]) -> None:
    """Updates the course, and the patient's infusions over all courses."""
    _change_course(state, entry, infusions=infusions)
    started_at: list[datetime] = []
    for course in state.courses_by_subject[entry.data["subject"]]:
        started_at.extend(course.latest.infusions.values())
    _change_patient(state, entry, infusions_started_at=started_at)


def _answer_given(state: RecordedState, entry: LogEntry) -> None:
    state.given_answers[entry.data["visit"]].append(entry)


def _amended(state: RecordedState, entry: LogEntry) -> None:
    state.amendments[entry.data["visit"]].append(entry)


def _answered(state: RecordedState, entry: LogEntry) -> None:
    state.answers.setdefault(entry.data["visit"], entry)


def _answer_pending(state: RecordedState, entry: LogEntry) -> None:
    state.pending_answers[entry.data["visit"]] = entry


def _declined(state: RecordedState, entry: LogEntry) -> None:
    state.refusals.setdefault(entry.data["visit"], entry)


def _consent_answered(state: RecordedState, entry: LogEntry) -> None:
    state.consents[entry.data["subject"]].append(entry)
    if entry.data["copy_of_visit"] is not None:
        state.consent_copies[entry.data["copy_of_visit"]].append(entry)


def _consent_removed(state: RecordedState, entry: LogEntry) -> None:
    state.removed_consents[entry.data["decision"]] = entry


def _snoozed(state: RecordedState, entry: LogEntry) -> None:
    state.snoozes[entry.data["visit"]].append(entry)


def _link_requested(state: RecordedState, entry: LogEntry) -> None:
    state.link_requests[entry.data["visit"]].append(entry)


def _accepted(state: RecordedState, entry: LogEntry) -> None:
    state.accepted.append(entry)
    state.first_accepted_at.setdefault(entry.data["key"], entry.at)


def _deferred(state: RecordedState, entry: LogEntry) -> None:
    state.deferred_at[entry.data["key"]] = entry.at


def _provider_down(state: RecordedState, entry: LogEntry) -> None:
    outage = OutageInterval(entry.at, FOREVER)
    state.outages[entry.data["channel"]].append(outage)


def _provider_up(state: RecordedState, entry: LogEntry) -> None:
    outages = state.outages[entry.data["channel"]]
    ended = replace(outages[-1], end=entry.at)
    outages[-1] = ended


def _no_change(_state: RecordedState, _entry: LogEntry) -> None:
    """Ignores an event that changes no state."""


HANDLERS: Mapping[str, Handler] = {
    "enrolled": _enrolled,
    "transferred": _transferred,
    "zone": _time_zone_changed,
    "preferences": _preferences_changed,
    "address": _address_changed,
    "channel-closed": _channel_closed,
    "channel-opened": _channel_opened,
    "helper-removed": _helper_removed,
    "bounced": _bounced,
    "paused": _paused,
    "withdrew": _withdrew,
    "withdrawal-reverted": _withdrawal_reverted,
    "died": _died,
    "death-reverted": _death_reverted,
    "merged": _merged,
    "separated": _separated,
    "course": _course_planned,
    "course-ended": _course_ended,
    "protocol-moved": _protocol_moved,
    "infusion-recorded": _infusion_recorded,
    "infusion-removed": _infusion_removed,
    "answer": _answer_given,
    "amended": _amended,
    "answered": _answered,
    "answer-pending": _answer_pending,
    "declined": _declined,
    "consent": _consent_answered,
    "consent-removed": _consent_removed,
    "snoozed": _snoozed,
    "link-requested": _link_requested,
    "accepted": _accepted,
    "deferred": _deferred,
    "provider-down": _provider_down,
    "provider-up": _provider_up,
    "birth-date-corrected": _no_change,
    "worker-killed": _no_change,
    "log-ended": _no_change,
}


def _date(text: str | None) -> date | None:
    if text is None:
        return None
    return date.fromisoformat(text)


def _time(text: str | None) -> time | None:
    if text is None:
        return None
    return time.fromisoformat(text)

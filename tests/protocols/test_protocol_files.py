"""Protocol files are read completely, and each error in one is reported with its place."""

from datetime import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from pro_tracker.domain.change import ScorePoint, change
from pro_tracker.domain.errors import InvalidDataFile, NotFound
from pro_tracker.domain.protocol import ChannelWord, ReminderStep
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog

SHIPPED = protocol_catalog.PROTOCOLS / "ketamine-5day.yaml"
PLAN = {"who": "Example nurse", "within_hours": 4, "telephone": "+1 216 555 0142"}
FOLLOW_UPS = ("last-infusion", "3-months", "6-months")


def written(folder: Path, change: Any, name: str = "ketamine-5day.yaml") -> Path:
    """Returns a function that writes the shipped protocol with one change to a file."""
    data = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    change(data)
    path = folder / name
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def test_the_shipped_protocol_has_the_schedule_of_the_study() -> None:
    protocol = protocol_catalog.protocol("ketamine-5day", "1")
    windows = {each.code: (each.anchor, each.opens_day, each.closes_day) for each in protocol.events}
    assert windows == {
        "baseline": ("first-infusion", -14, 0),
        "last-infusion": ("last-infusion", 1, 3),
        "3-months": ("last-infusion", 90 - 14, 90 + 30),
        "6-months": ("last-infusion", 180 - 14, 180 + 42),
    }
    assert [(step.day, *step.channels) for step in protocol.reminders] == [
        (0, "preferred"),
        (3, "preferred"),
        (7, "other"),
        (12, "other"),
    ]
    assert protocol.instruments[-1] == "pgic"
    assert [each.code for each in protocol.events if "pgic" in each.battery] == list(FOLLOW_UPS)
    assert (protocol.reminder_time, protocol.quiet_from, protocol.quiet_until) == (time(9), time(21), time(8))


def test_omitted_keys_have_default_values() -> None:
    protocol = protocol_catalog.protocol("ketamine-5day", "1")
    assert (protocol.hold_days, protocol.snooze_days, protocol.grace_hours) == (1, (1, 3), 24)
    assert all(protocol.reminders_at(event.code) == protocol.reminders for event in protocol.events)


def test_sending_rules_are_read_from_the_file(tmp_path: Path) -> None:
    own = [
        {"day": 1, "channel": "both", "template": "invitation"},
        {"day": -1, "from": "due", "channel": "other", "template": "last-reminder"},
    ]

    def change(data: dict[str, Any]) -> None:
        del data["messages"]["quiet"]
        data["messages"].update(hold_days=0, snooze_days=[2])
        data["events"][2].update(steps=own, anchor="by-hand")
        data.update(grace_hours=6)

    protocol = protocol_catalog.read_protocol(written(tmp_path, change))
    assert (protocol.quiet_from, protocol.quiet_until) == (time(21), time(8))
    assert (protocol.hold_days, protocol.snooze_days, protocol.grace_hours) == (0, (2,), 6)
    assert protocol.event("3-months").anchor == "by-hand"
    assert protocol.reminders_at("3-months") == (
        ReminderStep(0, 1, (ChannelWord.BOTH,), "invitation"),
        ReminderStep(1, -1, (ChannelWord.OTHER,), "last-reminder", "due"),
    )
    assert protocol.reminders_at("baseline") == protocol.reminders


def _near_due(*days: int) -> Any:
    def change(data: dict[str, Any]) -> None:
        steps = [{"day": day, "channel": "preferred", "template": "reminder"} for day in days]
        data["messages"].update(count_from="due", steps=steps)

    return change


def test_messages_may_count_from_the_due_day(tmp_path: Path) -> None:
    protocol = protocol_catalog.read_protocol(written(tmp_path, _near_due(-3, 0, 4)))
    assert {(step.day, step.counts_from) for step in protocol.reminders} == {
        (-3, "near-due"),
        (0, "near-due"),
        (4, "near-due"),
    }
    (falling := tmp_path / "falling").mkdir()
    (problem,) = protocol_catalog.problems(written(falling, _near_due(-3, 4, 0)))
    assert problem.reason == "the days must rise from step to step, counted from the opening of baseline"


def test_an_optional_event_is_asked_once(tmp_path: Path) -> None:
    protocol = protocol_catalog.read_protocol(written(tmp_path, lambda data: data["events"][2].update(optional=True)))
    assert [event.code for event in protocol.events if event.optional] == ["3-months"]
    assert protocol.reminders_at("3-months") == protocol.reminders[:1]
    assert protocol.reminders_at("6-months") == protocol.reminders

    def remind_twice(data: dict[str, Any]) -> None:
        data["events"][2].update(optional=True, steps=[dict(step) for step in data["messages"]["steps"][:2]])

    (reminding := tmp_path / "reminding").mkdir()
    (problem,) = protocol_catalog.problems(written(reminding, remind_twice))
    assert (problem.key, problem.reason) == ("events.2.steps", "must be a single step: an optional event is asked once")


def test_a_protocol_may_have_its_own_meaningful_change(tmp_path: Path) -> None:
    protocol = protocol_catalog.read_protocol(written(tmp_path, _rule("promis-fatigue-8a.total", {"points": 3})))
    fatigue = instrument_catalog.instrument("promis-fatigue-8a").scale("total")
    judged = change(protocol.with_study_rule("promis-fatigue-8a", fatigue), ScorePoint(60), ScorePoint(57))
    assert (judged.verdict, judged.threshold, judged.source) == ("improved", 3, "This study")
    assert change(fatigue, ScorePoint(60), ScorePoint(57)).verdict == "within-error"
    assert protocol.with_study_rule("pcs", fatigue) is fatigue


def test_an_instrument_with_alerts_needs_a_response_plan(tmp_path: Path) -> None:
    path = written(tmp_path, lambda data: data["events"][1]["battery"].append("phq-9"))
    (problem,) = protocol_catalog.problems(path)
    assert (problem.file, problem.key) == (str(path), "response_plans.phq-9")
    assert problem.reason == "is missing: an answer to PHQ9 may need a person the same day; say who"
    (planned := tmp_path / "planned").mkdir()
    protocol = protocol_catalog.read_protocol(written(planned, _with_phq_9(who="The physician on call")))
    plan = protocol.response_plans["phq-9"]
    assert (plan.who, plan.within_hours, plan.telephone) == ("The physician on call", 4, "+1 216 555 0142")


def test_a_protocol_released_before_its_checklist_raised_alerts_stays_usable_and_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, lambda data: data["events"][1]["battery"].append("adverse-effects-week"))
    assert "adverse-effects-week" in protocol_catalog.read_protocol(path).instruments
    (problem,) = protocol_catalog.problems(path)
    assert problem.key == "response_plans.adverse-effects-week"
    assert problem.reason == "is missing: an answer to any item may need a person the same day; say who"


def test_the_advice_of_a_plan_has_the_default_language(tmp_path: Path) -> None:
    path = written(tmp_path, _with_phq_9(who="The physician", advice={"es": "Hable con nosotros."}))
    (problem,) = protocol_catalog.problems(path)
    assert (problem.key, problem.reason) == ("response_plans.phq-9.advice", "lacks the default language 'en'")


def test_version_1_uses_no_instrument_with_alerts() -> None:
    asked = {code for protocol in protocol_catalog.protocols() for code in protocol.instruments}
    assert not [code for code in asked if instrument_catalog.instrument(code).alerts]


def test_an_unknown_protocol_is_reported_with_the_known_ones() -> None:
    with pytest.raises(NotFound, match=r"no protocol 'ketamine-9day' .*ketamine-5day"):
        protocol_catalog.protocol("ketamine-9day")
    with pytest.raises(NotFound, match="no protocol 'ketamine-5day' 99"):
        protocol_catalog.protocol("ketamine-5day", "99")


def test_the_newest_version_is_used_and_an_older_one_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol_catalog, "PROTOCOLS", tmp_path)
    written(tmp_path, lambda data: data.update(version="9", title="Older"), "ketamine-5day@9.yaml")
    written(tmp_path, lambda data: data.update(version="10", title="Newer"))
    protocol_catalog.from_files.cache_clear()
    found = [protocol_catalog.protocol("ketamine-5day", version).title for version in (None, "9", "10")]
    protocol_catalog.from_files.cache_clear()
    assert found == ["Newer", "Older", "Newer"]


def _rule(scale: str, criterion: dict[str, float]) -> Any:
    return lambda data: data.update(change_rules={scale: {"source": "This study", "any_of": [criterion]}})


def _with_phq_9(**changes: Any) -> Any:
    """Returns a baseline with PHQ-9 and a response plan with these changes; None removes a key."""
    plan = {key: value for key, value in (PLAN | changes).items() if value is not None}

    def change(data: dict[str, Any]) -> None:
        data["events"][0]["battery"].append("phq-9")
        data["response_plans"] = {"phq-9": plan}

    return change


def _own_steps(*steps: dict[str, Any]) -> Any:
    """Returns a baseline (opens at -14, due at -1, closes at 0) with its own reminder steps."""
    usual = {"channel": "preferred", "template": "reminder"}
    return lambda data: data["events"][0].update(steps=[{**usual, **step} for step in steps])


def _step(number: int, **changes: Any) -> Any:
    return lambda data: data["messages"]["steps"][number].update(changes)


MISTAKES = {
    "visits_open_at": lambda data: data.update(visits_open_at=900),
    "messages.send_at": lambda data: data["messages"].update(send_at="22:00"),
    "messages.quiet": lambda data: data["messages"].update(quiet={"start": "01:00", "end": "08:00"}),
    "messages.hold_days": lambda data: data["messages"].update(hold_days=8),
    "core": lambda data: data.update(core=["peg"]),
    "events.0.battery": lambda data: (data["events"][0]["battery"].insert(1, "peg"), data.update(core=["peg"])),
    "messages.snooze_days": lambda data: data["messages"].update(snooze_days=[3, 1]),
    "messages.snooze_days.0": lambda data: data["messages"].update(snooze_days=[0]),
    "messages.steps.0.day": _step(0, day=-1),
    "messages.steps.1.from": _step(1, **{"from": "closing"}),
    "events.0.steps": _own_steps({"day": 13}, {"day": 0, "from": "due"}),
    "events.0.steps.0.day": _own_steps({"day": -14, "from": "due"}),
    "events.0.steps.1.day": _own_steps({"day": 0}, {"day": 2, "from": "due"}),
    "events.0.steps.0.template": _own_steps({"day": 0, "template": "greeting"}),
    "grace_hours": lambda data: data.update(grace_hours=25),
    "messages.quiet.start": lambda data: data["messages"]["quiet"].update(start="9 pm"),
    "messages.steps": lambda data: data["messages"]["steps"].reverse(),
    "messages.steps.1.template": lambda data: data["messages"]["steps"][1].update(template="greeting"),
    "messages.steps.0.channel": lambda data: data["messages"]["steps"][0].update(channel="fax"),
    "messages.steps.1.channel": lambda data: data["messages"]["steps"][1].update(channel=["sms", "both"]),
    "messages.steps.2.channel": lambda data: data["messages"]["steps"][2].update(channel=["sms", "sms"]),
    "messages.steps.3.channel": lambda data: data["messages"]["steps"][3].update(channel=[]),
    "events.1.window": lambda data: data["events"][1]["window"].update(due=4),
    "events.1.code": lambda data: data["events"][1].update(code="baseline"),
    "events.0.titles": lambda data: data["events"][0].update(titles={"es": "Inicio"}),
    "events.0.anchor": lambda data: data["events"][0].update(anchor="birthday"),
    "events.2.battery": lambda data: data["events"][2]["battery"].append("horoscope"),
    "events.3.battery": lambda data: data["events"][3]["battery"].append("pcs"),
    "course.gap_days": lambda data: data["course"].update(gap_days=3),
    "course.pauses": lambda data: data["course"].update(pauses=3),
    "change_rules.promis-fatigue-8a.total.any_of.0": _rule("promis-fatigue-8a.total", {}),
    "change_rules.pcs.sum": _rule("pcs.sum", {"points": 8}),
    "change_rules.pgic.total": _rule("pgic.total", {"points": 1}),
    "change_rules.peg.total": _rule("peg.total", {"points": 1}),
    "response_plans.phq-9": lambda data: data["events"][3]["battery"].append("phq-9"),
    "response_plans.phq-9.who": _with_phq_9(who=" "),
    "response_plans.phq-9.within_hours": _with_phq_9(within_hours=25),
    "response_plans.phq-9.telephone": _with_phq_9(telephone=None),
    "response_plans.pcs": lambda data: data.update(response_plans={"pcs": PLAN}),
    "version": lambda data: data.update(version=1.1),
    "code": lambda data: data.update(code="other"),
    "scoring": lambda data: data.pop("scoring"),
}


@pytest.mark.parametrize("place", MISTAKES)
def test_each_error_is_reported_with_its_place(tmp_path: Path, place: str) -> None:
    path = written(tmp_path, MISTAKES[place])
    problems = protocol_catalog.problems(path)
    assert [problem.key for problem in problems] == [place]
    assert problems[0].reason
    with pytest.raises(InvalidDataFile):
        protocol_catalog.read_protocol(path)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("symptoms", [{"code": "other", "term": "Something"}], "is the question after the list, always asked"),
        ("symptoms", [{"code": "nausea", "term": term} for term in ("Nausea", "Sickness")], "has a code twice"),
        (
            "vitals",
            [{"code": "sysbp", "name": "Pressure", "unit": "mmHg", "at": ["before"], "range": [40, 300]}],
            "up to",
        ),
        (
            "vitals",
            [{"code": "SYSBP", "name": "Pressure", "unit": "mmHg", "at": ["before"], "range": [300, 40]}],
            "rise",
        ),
        (
            "vitals",
            [{"code": "SYSBP", "name": "Pressure", "unit": "mmHg", "at": ["later"], "range": [40, 300]}],
            "before",
        ),
        (
            "medications",
            [{"name": "Example", "use": "rescue", "unit": "mg", "most": most} for most in (4, 5)],
            "names a drug twice",
        ),
    ],
)
def test_an_error_in_what_is_asked_at_infusions_is_reported_with_its_place(
    tmp_path: Path, key: str, value: Any, words: str
) -> None:
    def change(data: dict[str, Any]) -> None:
        plan = {"dose_mg_per_kg": 0.5, "tolerance_percent": 20, "minutes": 40, "spacing_days": 1}
        data["treatment"] = {**plan, key: value}

    with pytest.raises(InvalidDataFile) as raised:
        protocol_catalog.read_protocol(written(tmp_path, change))
    assert f"treatment.{key}" in str(raised.value)
    assert words in str(raised.value)

"""The fields of one adverse event: a row of the infusion form for each, and the fields of its own form."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask_babel import lazy_gettext as _
from wtforms.validators import Optional

from pro_tracker.domain.adverse_event_codes import ActionTaken, AdverseEventOutcome, Relatedness
from pro_tracker.services.treatment.adverse_event_facts import AdverseEventFacts
from pro_tracker.web import labels
from pro_tracker.web.staff.forms import fields

YES_OR_NO = {"yes": True, "no": False}
GRADES = frozenset(map(str, labels.GRADES))
ACTIONS, OUTCOMES, RELATIONS = frozenset(ActionTaken), frozenset(AdverseEventOutcome), frozenset(Relatedness)
NOT_CHOSEN = ("", "")
PARTS = ("grade", "emergency", "started", "action", "outcome", "relatedness", "serious")


def named(key: str, *, with_term: bool) -> dict[str, Any]:
    """Returns the fields of one adverse event by name, such as grade_0; a listed symptom has its term already."""
    found = {f"{part}_{key}": field for part, field in _made().items()}
    if not with_term:
        return found
    term = fields.text_field(_("What happened"))
    return {f"term_{key}": term, **found}


def _made() -> Mapping[str, Any]:
    """Returns new fields of one adverse event, by part."""
    return {
        "grade": fields.optional_select_field(_("CTCAE grade"), GRADES),
        "emergency": emergency_field(),
        "started": fields.time_field(_("Began at (if on this day)"), Optional()),
        "action": action_field(),
        "outcome": outcome_field(),
        "relatedness": relatedness_field(),
        "serious": serious_field(),
    }


def emergency_field() -> Any:
    label = _("Did someone have to respond at once (emergency)?")
    return fields.optional_select_field(label, YES_OR_NO)


def action_field() -> Any:
    return fields.optional_select_field(_("What was done with the treatment?"), ACTIONS)


def outcome_field() -> Any:
    return fields.optional_select_field(_("Outcome so far"), OUTCOMES)


def relatedness_field() -> Any:
    return fields.optional_select_field(_("Caused by the treatment?"), RELATIONS)


def serious_field() -> Any:
    label = _("Serious (hospital, danger to life, lasting harm)?")
    return fields.optional_select_field(label, YES_OR_NO)


def choices() -> Mapping[str, Any]:
    """Returns the choices of each part; the first is none, so that nothing is chosen by itself."""
    return {
        "grade": fields.choices([NOT_CHOSEN, *((str(grade), text) for grade, text in labels.GRADES.items())]),
        "emergency": _yes_or_no(),
        "action": fields.choices([NOT_CHOSEN, *labels.ACTIONS_TAKEN.items()]),
        "outcome": fields.choices([NOT_CHOSEN, *labels.ADVERSE_EVENT_OUTCOMES.items()]),
        "relatedness": fields.choices([NOT_CHOSEN, *labels.RELATEDNESS.items()]),
        "serious": _yes_or_no(),
    }


def _yes_or_no() -> Any:
    return fields.choices([NOT_CHOSEN, ("yes", _("Yes")), ("no", _("No"))])


@dataclass(frozen=True, slots=True)
class AdverseEventRow:
    """The fields of one adverse event; all are empty if there was none. `symptom`: the term of a listed one."""

    parts: Mapping[str, Any]
    symptom_code: str | None = None
    symptom: str = ""
    recorded: AdverseEventFacts | None = None  # what is corrected: keeps what the row has no field for

    def set_choices(self, offered: Mapping[str, Any]) -> None:
        """Gives the fields their choices, by part."""
        for part, choices_of_part in offered.items():
            self.parts[part].choices = choices_of_part

    @property
    def term(self) -> Any:
        """The field of the term; None of a listed symptom."""
        return self.parts.get("term")

    @property
    def is_empty(self) -> bool:
        entries = [field.data for field in self.parts.values()]
        return not any(entries)

    @property
    def has_errors(self) -> bool:
        return any(field.errors for field in self.parts.values())

    def facts(self, **known: Any) -> AdverseEventFacts:
        """Returns the entries of a complete row as the service takes them, with these facts of the whole form."""
        started_at = self.parts["started"].data
        started_on = known.pop("given_on")
        recorded = self.recorded or AdverseEventFacts("", 0)
        if started_at is None:
            started_on = recorded.started_on
        if recorded.source is not None:
            known["source"] = recorded.source
        return replace(
            recorded,
            **known,
            term=self.term.data if self.term else self.symptom,
            symptom_code=self.symptom_code,
            started_on=started_on,
            started_at_local=started_at,
            **coded(self.parts),
        )

    def is_complete(self) -> bool:
        """Returns whether term, grade and emergency response are given; a missing one gets an error."""
        if self.term and not self.term.data:
            _add_error(self.term, _("Say what the adverse event was."))
        self._require("grade", _("Choose the CTCAE grade."))
        self._require("emergency", _("Say whether someone had to respond at once."))
        return not self.has_errors

    def _require(self, part: str, advice: Any) -> None:
        field = self.parts[part]
        if not field.data:
            _add_error(field, self._about(advice))

    def _about(self, advice: Any) -> Any:
        if not self.symptom:
            return advice
        return f"{self.symptom}: {advice}"


def _add_error(field: Any, text: Any) -> None:
    field.errors = [*field.errors, text]


def coded(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the facts that are chosen from lists: grade, emergency, action, outcome, relatedness, seriousness."""
    return {
        "ctcae_grade": int(parts["grade"].data),
        "emergency_response": YES_OR_NO.get(parts["emergency"].data),
        "action_taken": ActionTaken(parts["action"].data) if parts["action"].data else None,
        "outcome": AdverseEventOutcome(parts["outcome"].data) if parts["outcome"].data else None,
        "relatedness": Relatedness(parts["relatedness"].data) if parts["relatedness"].data else None,
        "is_serious": YES_OR_NO.get(parts["serious"].data),
    }


def as_entered(facts: AdverseEventFacts) -> dict[str, Any]:
    """Returns recorded facts as data of the fields, by part."""
    yes_or_no: dict[bool | None, str] = {value: text for text, value in YES_OR_NO.items()}
    return {
        "term": facts.term,
        "grade": str(facts.ctcae_grade),
        "emergency": yes_or_no.get(facts.emergency_response),
        "started": facts.started_at_local,
        "action": facts.action_taken or "",
        "outcome": facts.outcome or "",
        "relatedness": facts.relatedness or "",
        "serious": yes_or_no.get(facts.is_serious),
    }


def as_row(facts: AdverseEventFacts, key: str) -> dict[str, Any]:
    """Returns recorded facts as data of a row of the infusion form, by field name."""
    data: dict[str, Any] = {}
    for part, value in as_entered(facts).items():
        name = f"{part}_{key}"
        data[name] = value
    return data

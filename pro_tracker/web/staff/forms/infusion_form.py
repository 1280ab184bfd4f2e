"""The infusion form: the fields of InfusionFacts, under the same names, what the protocol lists, and adverse events."""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, TypeVar

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField
from wtforms.validators import InputRequired, NumberRange, Optional

from pro_tracker.domain.adverse_event_codes import AdverseEventSource
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.infusion_codes import ANSWERED, ASKED, OPEN_QUESTION, Asking, InfusionStatus, SymptomAnswer
from pro_tracker.domain.infusion_warnings import InfusionWarning
from pro_tracker.models.course import Infusion
from pro_tracker.services.treatment import adverse_event_facts
from pro_tracker.services.treatment.infusion_facts import AdverseEventFacts, InfusionFacts, SymptomFacts
from pro_tracker.web import labels
from pro_tracker.web.fields import DateInputField
from pro_tracker.web.staff.forms import adverse_event_fields, fields, infusion_lists
from pro_tracker.web.staff.forms.adverse_event_fields import AdverseEventRow
from pro_tracker.web.staff.forms.infusion_lists import InfusionLists

MIN_ROWS, MAX_ROWS = 1, 20  # rows for adverse events in addition to the listed symptoms
NO_LISTS = InfusionLists()


class InfusionFieldsForm(FlaskForm):  # type: ignore[misc]
    """Dose, duration, status, answers about symptoms, vital signs and adverse events of one infusion."""

    row_count = 0
    lists = InfusionLists()
    recorded: Infusion | None = None  # what is corrected
    warnings: Sequence[InfusionWarning] = ()  # to be corrected or confirmed
    warned = HiddenField()  # which warnings the page showed
    sure = BooleanField(_("I have checked this: it was so"))
    given_on = DateInputField(_("Date"), [InputRequired(_("Enter the date of the infusion."))])
    started_at_local = fields.time_field(
        _("Start time (optional)"),
        Optional(),
        description=_("Without it, a baseline counts that was answered on this day before the infusion was recorded."),
    )
    dose_mg_per_kg = fields.decimal_field(
        _("Dose in mg per kg"),
        InputRequired(_("Enter the dose.")),
        NumberRange(0, 5, _("The dose must be above 0 and at most 5 mg/kg.")),
    )
    weight_kg = fields.decimal_field(
        _("Weight in kg"),
        InputRequired(_("Enter the weight.")),
        NumberRange(0, 500, _("The weight must be above 0 and below 500 kg.")),
    )
    minutes = fields.integer_field(_("Duration in minutes"), InputRequired(_("Enter the duration.")))
    status = fields.radio_field(_("How did it go?"), _("Choose whether it was completed or stopped."))
    stop_reason = fields.text_field(_("Why was it stopped?"), description=_("Needed if it was stopped early."))
    ondansetron_mg = fields.decimal_field(
        _("Ondansetron in mg (optional)"),
        Optional(),
        NumberRange(0, 32, _("Ondansetron must be 0 to 32 mg, or left empty when that is not known.")),
        description=_("0 if none was given; empty if that is not known."),
    )

    asked = fields.radio_field(
        _("Did someone ask about adverse effects?"), _("Choose whether someone asked, and what was reported.")
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.status.choices = fields.choices(labels.INFUSION_STATES.items())
        self.asked.choices = fields.choices(labels.ASKINGS.items())
        infusion_lists.set_choices(self)
        chosen = adverse_event_fields.choices()
        for row in (*self.symptom_rows, *self.rows):
            row.set_choices(chosen)

    @property
    def rows(self) -> list[AdverseEventRow]:
        """The rows for adverse events other than the listed symptoms, in the order of the page."""
        recorded = [facts for facts in self._recorded_events() if facts.symptom_code is None]
        found: list[AdverseEventRow] = []
        for number in range(self.row_count):
            facts = recorded[number] if number < len(recorded) else None
            parts = self._parts(str(number), ("term", *adverse_event_fields.PARTS))
            found.append(AdverseEventRow(parts, recorded=facts))
        return found

    @property
    def symptom_rows(self) -> list[AdverseEventRow]:
        """The rows for the listed symptoms, each described where its answer is yes."""
        recorded = {facts.symptom_code: facts for facts in self._recorded_events()}
        found: list[AdverseEventRow] = []
        for symptom in self.lists.symptoms:
            parts = self._parts(symptom.code, adverse_event_fields.PARTS)
            facts = recorded.get(symptom.code)
            found.append(AdverseEventRow(parts, symptom.code, symptom.term, facts))
        return found

    @property
    def reported(self) -> list[AdverseEventRow]:
        """The rows of the listed symptoms whose answer is yes."""
        answers = self._marks()
        return [row for row in self.symptom_rows if answers[row.symptom_code] == SymptomAnswer.YES]

    def _recorded_events(self) -> list[AdverseEventFacts]:
        if self.recorded is None:
            return []
        events = self.recorded.adverse_events
        return [adverse_event_facts.facts_of(event) for event in events]

    def _parts(self, key: str, parts: Iterable[str]) -> dict[str, Any]:
        """Returns the fields of one adverse event, by part."""
        found: dict[str, Any] = {}
        for part in parts:
            name = f"{part}_{key}"
            found[part] = self[name]
        return found

    def _marks(self) -> dict[str | None, str | None]:
        """Returns the answer that is marked for each question, by code; None where there is none."""
        found: dict[str | None, str | None] = {}
        for question in self.lists.questions:
            name = f"symptom_{question.code}"
            found[question.code] = self[name].data
        return found

    def validate(self, **kwargs: Any) -> bool:
        """Validates each field, then what depends on several; reports all errors at once."""
        valid = bool(super().validate(**kwargs))
        if self.status.data == InfusionStatus.STOPPED and not self.stop_reason.data:
            self.stop_reason.errors = [*self.stop_reason.errors, _("Say why the infusion was stopped.")]
            valid = False
        contradiction = self._contradiction()
        if contradiction:
            self.asked.errors = [*self.asked.errors, contradiction]
            valid = False
        # A list, not a generator: every row is checked, so that each missing entry gets its error.
        complete = [row.is_complete() for row in self._described()]
        return valid and all(complete)

    def _described(self) -> list[AdverseEventRow]:
        return [*self.reported, *self._described_others()]

    def _contradiction(self) -> Any:
        """Returns what contradicts how staff asked, in words; None if nothing does."""
        marked = set(self._marks().values())
        match self.asked.data:
            case Asking.NONE_REPORTED:
                return self._contradicts_none(marked)
            case Asking.AS_MARKED:
                return self._contradicts_marks(marked)
            case None:
                return None
        if marked & ANSWERED:
            return _("An answer is marked below, so someone asked. Correct one of them.")
        return None

    def _contradicts_none(self, marked: set[str | None]) -> Any:
        if self._described() or SymptomAnswer.YES in marked:
            return _("None was reported, but one is marked or described below. Correct one of them.")
        if SymptomAnswer.NOT_ASKED in marked:
            return _("All were asked about, but one is marked as not asked. Correct one of them.")
        return None

    def _contradicts_marks(self, marked: set[str | None]) -> Any:
        if self._marks()[OPEN_QUESTION] == SymptomAnswer.YES and not self._described_others():
            return _("Anything else is marked as reported. Describe it below.")
        if not self._described() and SymptomAnswer.NOT_ASKED not in marked:
            return _("Nothing is marked as reported or as not asked. Mark it, or choose that none was reported.")
        return None

    def _described_others(self) -> list[AdverseEventRow]:
        return [row for row in self.rows if not row.is_empty]

    def require_checked(self, warnings: Sequence[InfusionWarning]) -> None:
        """Raises InvalidInput unless there is no warning, or exactly these were shown and confirmed."""
        digest = _digest(warnings)
        was_shown = self.warned.data == digest
        self.warnings = warnings
        self.warned.data = digest
        if not warnings:
            return
        if not (self.sure.data and was_shown):
            raise InvalidInput(_("Correct what is odd, or confirm it."), field="sure")

    def facts(self) -> InfusionFacts:
        """Returns the entries as the service takes them; empty rows are left out."""
        return InfusionFacts(
            given_on=self.given_on.data,
            started_at_local=self.started_at_local.data,
            dose_mg_per_kg=self.dose_mg_per_kg.data,
            weight_kg=self.weight_kg.data,
            minutes=self.minutes.data,
            status=InfusionStatus(self.status.data),
            stop_reason=self.stop_reason.data or None,
            ondansetron_mg=self.ondansetron_mg.data,
            adverse_events=self._events(),
            symptoms=self._answers(),
            vitals=infusion_lists.vitals(self),
            medications=infusion_lists.medications(self),
            nurse=infusion_lists.text_or_none(self, "nurse"),
            chair=infusion_lists.text_or_none(self, "chair"),
        )

    def _events(self) -> tuple[AdverseEventFacts, ...]:
        is_asked = self.asked.data in ASKED
        known = {
            "given_on": self.given_on.data,
            "source": AdverseEventSource.ASKED if is_asked else AdverseEventSource.VOLUNTEERED,
            "found_on": None,
        }
        return tuple(row.facts(**known) for row in self._described())

    def _answers(self) -> tuple[SymptomFacts, ...]:
        """Returns the answers. Where staff asked, what is not marked was asked about and not reported."""
        if self.asked.data == Asking.UNKNOWN:
            return ()
        answers = self._marks()
        if self.asked.data == Asking.AS_MARKED and self._described_others():
            answers[OPEN_QUESTION] = answers[OPEN_QUESTION] or SymptomAnswer.YES
        found: list[SymptomFacts] = []
        for question in self.lists.questions:
            answer = answers[question.code] or self._not_marked()
            found.append(SymptomFacts(question.code, question.term, SymptomAnswer(answer)))
        return tuple(found)

    def _not_marked(self) -> SymptomAnswer:
        if self.asked.data == Asking.NOT_ASKED:
            return SymptomAnswer.NOT_ASKED
        return SymptomAnswer.NO


def _digest(warnings: Sequence[InfusionWarning]) -> str:
    text = repr(warnings)
    return hashlib.sha256(text.encode()).hexdigest()


class InfusionForm(InfusionFieldsForm):
    """A new infusion, and whether the course ends with it."""

    course_ends = BooleanField(
        _("The course ends here"),
        description=_("No further infusion of this course is expected, although fewer were given than planned."),
    )
    end_reason = fields.text_field(_("Why does the course end here?"), description=_("Needed if it ends here."))

    def validate(self, **kwargs: Any) -> bool:
        valid = super().validate(**kwargs)
        if self.course_ends.data and not self.end_reason.data:
            self.end_reason.errors = [*self.end_reason.errors, _("Say why the course ends.")]
            return False
        return valid


class InfusionCorrectionForm(InfusionFieldsForm):
    """The correction of an infusion. The end of the course is on the course page.

    `as_shown`: the adverse events when the form was filled, which have a page of their own.
    """

    as_shown = HiddenField()
    reason = fields.text_field(_("Why is it corrected?"), InputRequired(_("Say why the infusion is corrected.")))


AnyInfusionForm = TypeVar("AnyInfusionForm", bound=InfusionFieldsForm)


@cache
def with_rows(count: int, base: type[AnyInfusionForm], lists: InfusionLists = NO_LISTS) -> type[AnyInfusionForm]:
    """Returns a subclass of the form with the fields of the lists, and `count` rows for other adverse events."""
    attributes: dict[str, Any] = {
        "row_count": count,
        "lists": lists,
        **infusion_lists.list_fields(lists),
    }
    for symptom in lists.symptoms:
        attributes |= adverse_event_fields.named(symptom.code, with_term=False)
    for number in range(count):
        attributes |= adverse_event_fields.named(str(number), with_term=True)
    return type(f"{base.__name__}WithRows", (base,), attributes)


RECORDED_FIELDS = (
    "given_on",
    "started_at_local",
    "dose_mg_per_kg",
    "weight_kg",
    "minutes",
    "status",
    "stop_reason",
    "ondansetron_mg",
    "nurse",
    "chair",
)


def as_recorded(infusion: Infusion, lists: InfusionLists) -> dict[str, Any]:
    """Returns a recorded infusion as data of the form, by field name."""
    data = {name: infusion_lists.short(getattr(infusion, name)) for name in RECORDED_FIELDS}
    data["asked"] = infusion.asking
    data |= infusion_lists.as_recorded(infusion, lists)
    number = 0
    for event in infusion.adverse_events:
        key = event.symptom_code or str(number)
        number += event.symptom_code is None
        facts = adverse_event_facts.facts_of(event)
        data |= adverse_event_fields.as_row(facts, key)
    return data

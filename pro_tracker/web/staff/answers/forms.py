"""The forms that correct answers. What they mean is in services/answer_corrections."""

from collections.abc import Iterable, Sequence
from typing import Any

from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField
from wtforms.validators import DataRequired

from pro_tracker.domain.response_codes import CHOSEN_SOURCES, LateAnswerOutcome, MissingItem
from pro_tracker.services.answer_corrections.visit_answers import InstrumentAnswers, ReadItem, ReadResponse
from pro_tracker.web import labels
from pro_tracker.web.staff.forms import fields

ALL = "all"  # the choice of every response of the visit
UNCHANGED = ""  # an item without an answer that is left as it is


class AmendmentForm(FlaskForm):  # type: ignore[misc]
    """The answers of one response. `amendment_form` adds a field for each item."""

    as_shown = HiddenField()  # id of the response that the form was filled with
    source = fields.radio_field(_("How do you know the right answer?"), _("Choose how you know it."))
    reason = fields.text_field(_("Why is it corrected?"), DataRequired(_("Say why the answers are corrected.")))
    items: Sequence[ReadItem] = ()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source.choices = fields.choices((source, labels.EDIT_SOURCES[source]) for source in CHOSEN_SOURCES)
        for field, item in zip(self.item_fields, self.items, strict=True):
            field.choices = fields.choices(_choices(item))

    @property
    def item_fields(self) -> list[Any]:
        """The fields of the items, in their order."""
        return [self[f"item_{number}"] for number in range(len(self.items))]

    def answers(self) -> dict[str, int | None]:
        """Returns the chosen answer of each item, without those that have none and were left so."""
        chosen: dict[str, int | None] = {}
        for field, item in zip(self.item_fields, self.items, strict=True):
            if field.data != UNCHANGED:
                chosen[item.link_id] = None if field.data == MissingItem.DECLINED else int(field.data)
        return chosen


def amendment_form(response: ReadResponse) -> type[AmendmentForm]:
    """Returns the form for this response; its fields are numbered, since a link_id may hold any characters."""
    attributes: dict[str, Any] = {"items": response.items}
    for number, item in enumerate(response.items):
        attributes[f"item_{number}"] = fields.select_field(item.text)
    return type("AmendmentFormOfItems", (AmendmentForm,), attributes)


def as_recorded(response: ReadResponse) -> dict[str, Any]:
    """Returns a response as data of its form, by field name."""
    data = {f"item_{number}": _recorded(item) for number, item in enumerate(response.items)}
    return {**data, "as_shown": str(response.row.id)}


def _recorded(item: ReadItem) -> str:
    if item.missing == MissingItem.DECLINED:
        return str(item.missing)
    return UNCHANGED if item.value is None else str(item.value)


def _choices(item: ReadItem) -> Iterable[tuple[str, Any]]:
    if item.missing not in (None, MissingItem.DECLINED):
        yield UNCHANGED, labels.MISSING_ITEMS[MissingItem(item.missing)]
    for option in item.options:
        yield str(option.value), option.label
    yield MissingItem.DECLINED, labels.MISSING_ITEMS[MissingItem.DECLINED]


class WhichForm(FlaskForm):  # type: ignore[misc]
    """One response of the visit, or all of them."""

    as_shown = HiddenField()  # ids of the responses in effect that the page showed
    which = fields.radio_field(_("Which answers?"), _("Choose which answers."))

    def __init__(self, answered: Sequence[InstrumentAnswers], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        by_code = [(each.code, each.title) for each in answered if each.current]
        everything = [(ALL, _("All answers of this visit"))] if len(by_code) > 1 else []
        self.which.choices = fields.choices([*everything, *by_code])


class VoidForm(WhichForm):
    reason = fields.text_field(_("Why are they in error?"), DataRequired(_("Say why these answers are in error.")))


class FindForm(WhichForm):
    """The answers to move, and the patient whose they are."""

    study_code = fields.text_field(
        _("Study code of the patient whose answers they are"),
        DataRequired(_("Enter the study code.")),
        description=_("The same patient for another visit. The code is on the patient's page, below the name."),
    )


class MoveForm(FindForm):
    """The visit to which the answers go."""

    target = fields.radio_field(_("Which visit do they belong to?"), _("Choose the visit."))
    sure = BooleanField(_("I have checked that these are the right visit and the right person"))
    reason = fields.text_field(_("Why are they moved?"), DataRequired(_("Say why these answers are moved.")))


class LateAnswerForm(FlaskForm):  # type: ignore[misc]
    outcome = fields.radio_field(_("What should count?"), _("Choose what should count."))
    reason = fields.text_field(_("Why is it taken over?"), description=_("Needed if the late answer is taken over."))

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.outcome.choices = fields.choices(OUTCOMES.items())

    def validate(self, **kwargs: Any) -> bool:
        valid = bool(super().validate(**kwargs))
        if self.outcome.data == LateAnswerOutcome.APPLIED and not self.reason.data:
            self.reason.errors = [*self.reason.errors, _("Say why the answer is taken over.")]
            return False
        return valid


OUTCOMES = {
    LateAnswerOutcome.APPLIED: _("The late answer: it takes the place of the one that was sent"),
    LateAnswerOutcome.KEPT_AS_SENT: _("The answer as it was sent"),
}

"""The forms with which staff record an answer to a consent form, and remove one that was entered by mistake."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from flask_babel import gettext, lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import SelectMultipleField
from wtforms.validators import InputRequired, Optional

from pro_tracker.domain.consent import (
    ANSWERS_TO_FORM,
    BY_STAFF,
    ConsentForm,
    ConsentMode,
    ConsentOutcome,
    ConsentPurpose,
)
from pro_tracker.services.enrolment.consent_decisions import ConsentFacts
from pro_tracker.web import consent_labels
from pro_tracker.web.fields import DateInputField
from pro_tracker.web.staff.forms import fields


class ConsentRecordForm(FlaskForm):  # type: ignore[misc]
    """An answer that a patient gave on paper or by telephone."""

    mode = fields.radio_field(_("How did the patient answer?"), _("Choose how."))
    version = fields.radio_field(_("Which version of the form?"), _("Choose the version."))
    outcome = fields.radio_field(_("What did the patient decide?"), _("Choose the decision."))
    purposes = SelectMultipleField(_("Agreed to (leave empty after a refusal)"))
    signed_on = DateInputField(_("Day on the paper"), [Optional()], description=_("For paper only."))

    def __init__(self, versions: Sequence[ConsentForm], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.forms = {form.version: form for form in versions}
        self.mode.choices = fields.choices((mode, consent_labels.MODES[mode]) for mode in BY_STAFF)
        self.version.choices = fields.choices((version, version) for version in reversed(self.forms))
        self.outcome.choices = fields.choices((each, consent_labels.OUTCOMES[each]) for each in ANSWERS_TO_FORM)
        self.purposes.choices = _purposes(versions)

    def validate_signed_on(self, field: Any) -> None:
        """Requires the day of a paper, and of nothing else."""
        if self.mode.data == ConsentMode.PAPER and field.data is None:
            field.errors = [gettext("Enter the day on the paper.")]

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Returns whether the fields are valid; Optional() would skip the day of a paper otherwise."""
        is_valid = bool(super().validate(*args, **kwargs))
        self.validate_signed_on(self.signed_on)
        return is_valid and not self.signed_on.errors

    def facts(self, language: str) -> ConsentFacts:
        """Returns the entries as the service takes them."""
        form = self.forms[self.version.data]
        mode, outcome = ConsentMode(self.mode.data), ConsentOutcome(self.outcome.data)
        is_given = outcome is ConsentOutcome.GIVEN
        signed_on = self.signed_on.data if mode is ConsentMode.PAPER else None
        return ConsentFacts(form, outcome, mode, language, self._agreed(form) if is_given else {}, signed_on=signed_on)

    def _agreed(self, form: ConsentForm) -> Mapping[ConsentPurpose, bool]:
        ticked = self.purposes.data or []
        return {purpose: purpose in ticked for purpose in form.purposes}


def _purposes(versions: Sequence[ConsentForm]) -> Any:
    """Returns the choices of every purpose that a version of the form asks for."""
    asked = set(chain.from_iterable(form.purposes for form in versions))
    labelled = consent_labels.PURPOSES.items()
    return fields.choices((purpose, label) for purpose, label in labelled if purpose in asked)


class RemoveConsentForm(FlaskForm):  # type: ignore[misc]
    reason = fields.text_field(_("Why is the entry wrong?"), InputRequired(_("Say why the entry is removed.")))

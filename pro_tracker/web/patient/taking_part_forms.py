"""Forms about taking part: the answer to a consent form, and a withdrawal. Each is confirmed by what only they know."""

from collections.abc import Mapping
from typing import Any

import wtforms
from flask_babel import gettext, lazy_gettext as _

from pro_tracker.domain.consent import ConsentForm, ConsentPurpose
from pro_tracker.domain.subject_codes import WithdrawalScope
from pro_tracker.services.enrolment.consent_decisions import MAX_NAME_LENGTH
from pro_tracker.web.answering import one_line
from pro_tracker.web.patient.forms import BirthDateForm, VisitForm

library: Any = wtforms  # its published types are older than SelectChoice and invalid_choice_message
SCOPES = {
    WithdrawalScope.ASKING: _("Stop asking me"),
    WithdrawalScope.DATA: _("Stop asking me, and stop using my answers"),
}


class ConsentAnswerForm(VisitForm):
    """Asks for the purposes that a person agrees to, none of them ticked beforehand, and for the name."""

    purposes = library.SelectMultipleField(_("I agree to this:"), validate_choice=True)
    signed_name = library.StringField(_("Your name"), filters=[one_line])
    version = library.HiddenField()  # of the text that was shown

    def offer(self, form: ConsentForm, language: str) -> None:
        """Sets the purposes with their sentences in this language, or in the one that stands in for it."""
        text, written_in = form.text(language), {"lang": form.text_language(language)}
        required_first = sorted(form.purposes, key=lambda purpose: purpose != form.required)
        self.purposes.choices = [library.SelectChoice(each, text.purposes[each], written_in) for each in required_first]

    def validate_agreement(self, form: ConsentForm) -> bool:
        """Returns whether the form can be stored as consent; adds the errors of its fields otherwise."""
        name = self.signed_name.data
        if not self.validate():
            return False
        if not form.allows_asking(self.agreed(form)):
            self.purposes.errors = [_missing_purpose(form)]
        if not any(character.isalpha() for character in name):  # nor only spaces, signs or pictures
            self.signed_name.errors = [gettext("Type your name.")]
        elif len(name) > MAX_NAME_LENGTH:
            self.signed_name.errors = [gettext("Write at most %(num)d characters.", num=MAX_NAME_LENGTH)]
        return not self.errors

    def agreed(self, form: ConsentForm) -> Mapping[ConsentPurpose, bool]:
        """Returns every purpose of the form -> whether it was ticked."""
        ticked = self.purposes.data or []
        return {purpose: purpose in ticked for purpose in form.purposes}


def _missing_purpose(form: ConsentForm) -> str:
    if form.required is None:
        return str(gettext('Tick what you agree to, or press "I do not agree".'))
    return str(gettext('We can ask you only if you tick the first one. Or press "I do not agree".'))


class WithdrawForm(BirthDateForm):
    """Asks what shall stop. The birth date confirms it, as mail scanners press buttons and telephones are shared."""

    scope = library.RadioField(
        _("What would you like?"),
        choices=[library.SelectChoice(code, label) for code, label in SCOPES.items()],
        invalid_choice_message=_("Choose one."),
    )

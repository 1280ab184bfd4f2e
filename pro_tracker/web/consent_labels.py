"""Labels of consent, for staff: purposes, outcomes, modes, states and what a state means for questions."""

from flask_babel import lazy_gettext as _

from pro_tracker.domain.consent import ConsentChoice, ConsentMode, ConsentOutcome, ConsentPurpose, ConsentState

PURPOSES = {
    ConsentPurpose.CARE: _("Questions and care"),
    ConsentPurpose.REGISTRY: _("Research by the clinic"),
    ConsentPurpose.SHARING: _("Sharing with other researchers"),
}
OUTCOMES = {
    ConsentOutcome.GIVEN: _("Agreed"),
    ConsentOutcome.DECLINED: _("Did not agree"),
    ConsentOutcome.STOPPED_ASKING: _("Stopped being asked"),
    ConsentOutcome.STOPPED_USE: _("Stopped being asked, and the use of answers"),
}
MODES = {
    ConsentMode.OWN_DEVICE: _("Own device"),
    ConsentMode.CLINIC_DEVICE: _("Device of the clinic"),
    ConsentMode.TELEPHONE: _("Telephone"),
    ConsentMode.PAPER: _("Paper"),
}
STATES = {
    ConsentState.NOT_NEEDED: (_("No form"), "quiet"),
    ConsentState.NOT_ASKED: (_("Not asked yet"), "accent"),
    ConsentState.GIVEN: (_("Agreed"), "quiet"),
    ConsentState.OUTDATED: (_("Agreed to an earlier version"), "accent"),
    ConsentState.DECLINED: (_("Did not agree"), "strong"),
    ConsentState.WITHDRAWN: (_("Withdrawn"), "strong"),
}
OF_CHOICE = {choice: STATES[choice.states[0]][0] for choice in ConsentChoice}
CHOICES = {**OF_CHOICE, ConsentChoice.MISSING: _("Consent missing")}
ADVICE = {
    ConsentState.NOT_NEEDED: _("The study has no consent form here, so nothing is asked for before the questions."),
    ConsentState.NOT_ASKED: _("The form comes before the first question."),
    ConsentState.GIVEN: _("Questions are asked."),
    ConsentState.OUTDATED: _("The new version is shown before the next question."),
    ConsentState.DECLINED: _("Nothing is asked and no message goes out. The patient can still agree."),
    ConsentState.WITHDRAWN: _("Nothing is asked and no message goes out. Only the clinic can revert the withdrawal."),
}

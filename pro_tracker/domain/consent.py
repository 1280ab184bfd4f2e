"""Consent to take part: what a form asks, what a person decided, and the state that follows from both. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pro_tracker.domain.language_choice import best_language


class ConsentPurpose(StrEnum):
    """The uses of answers. Each is agreed to or not by itself, and a form asks for one or more of them."""

    CARE = "care"  # by the care team of the person
    REGISTRY = "registry"  # in the research files and figures of the clinics that use this service
    SHARING = "sharing"  # by researchers elsewhere, without name


class ConsentOutcome(StrEnum):
    """The decisions of a person. The first two answer a form; the others withdraw, with or without a form."""

    GIVEN = "given"
    DECLINED = "declined"
    STOPPED_ASKING = "stopped-asking"
    STOPPED_USE = "stopped-use"


ANSWERS_TO_FORM = (ConsentOutcome.GIVEN, ConsentOutcome.DECLINED)


class ConsentMode(StrEnum):
    """The means by which a decision reached the service."""

    OWN_DEVICE = "own-device"
    CLINIC_DEVICE = "clinic-device"
    TELEPHONE = "telephone"
    PAPER = "paper"


BY_STAFF = (ConsentMode.PAPER, ConsentMode.TELEPHONE)  # recorded by staff


class ConsentState(StrEnum):
    """The state of a person's consent to one form. Derived, never stored."""

    NOT_NEEDED = "not-needed"  # the protocol names no form
    NOT_ASKED = "not-asked"
    GIVEN = "given"
    OUTDATED = "outdated"  # given for an earlier version of the form
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


ASKED_IN = (ConsentState.NOT_NEEDED, ConsentState.GIVEN)
MISSING_IN = (ConsentState.NOT_ASKED, ConsentState.OUTDATED)  # the form is shown before the next question


class ConsentChoice(StrEnum):
    """The people of a list: those in one state, or all who still have to read the form."""

    MISSING = "missing"
    NOT_ASKED = ConsentState.NOT_ASKED.value
    OUTDATED = ConsentState.OUTDATED.value
    GIVEN = ConsentState.GIVEN.value
    DECLINED = ConsentState.DECLINED.value
    WITHDRAWN = ConsentState.WITHDRAWN.value

    @property
    def states(self) -> tuple[ConsentState, ...]:
        """The states that it stands for."""
        if self is ConsentChoice.MISSING:
            return MISSING_IN
        return (ConsentState(self.value),)


@dataclass(frozen=True, slots=True)
class ConsentSection:
    """One part of a consent text: a heading, and paragraphs of plain text."""

    heading: str
    text: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConsentText:
    """A consent form in one language. `purposes`: the sentence that a person agrees to, for each purpose."""

    title: str
    sections: tuple[ConsentSection, ...]
    purposes: Mapping[ConsentPurpose, str] = field(hash=False)


@dataclass(frozen=True, slots=True)
class ConsentForm:
    """One released version of a consent form.

    `required`: the purpose without which nothing is asked; None where any choice will do. `texts`: language -> text.
    """

    code: str
    version: str
    purposes: tuple[ConsentPurpose, ...]
    required: ConsentPurpose | None
    texts: Mapping[str, ConsentText] = field(hash=False)

    def text(self, language: str) -> ConsentText:
        """Returns the text in `language` or, for "es-MX", in "es"; without either, in the first of its languages."""
        return self.texts[self.text_language(language)]

    def text_language(self, language: str) -> str:
        """Returns the language that `text` gives the wording in."""
        return best_language(self.texts, language)

    def allows_asking(self, agreed: Mapping[ConsentPurpose, bool]) -> bool:
        """Returns whether a person who agreed to these purposes may be asked: to the required one, or to any."""
        if self.required is None:
            return any(agreed.values())
        return agreed.get(self.required, False)


@dataclass(frozen=True, slots=True)
class FormAnswer:
    """The newest answer of a person to a form, of any version."""

    version: str
    outcome: ConsentOutcome


def state(form: ConsentForm | None, newest: FormAnswer | None, *, withdrawn: bool = False) -> ConsentState:
    """Returns the state of a person's consent to `form`, given the newest answer to it, None without one.

    A decline stands when a new version comes: a person who said no is not asked again because of it.
    """
    if withdrawn:
        return ConsentState.WITHDRAWN
    if form is None:
        return ConsentState.NOT_NEEDED
    if newest is None:
        return ConsentState.NOT_ASKED
    if newest.outcome is ConsentOutcome.DECLINED:
        return ConsentState.DECLINED
    return ConsentState.GIVEN if newest.version == form.version else ConsentState.OUTDATED

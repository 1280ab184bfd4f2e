"""The errors that the service raises on purpose. Each message says in plain words what is wrong and what to do."""


class ProTrackerError(Exception):
    """The base class. Its text may be shown to users, so it never holds a name, a contact, an answer or a token."""


class NotFound(ProTrackerError):
    """The record does not exist, or the account may not see it; the two cannot be distinguished."""


class MergedRecord(NotFound):
    """The record was merged into another one, which has all of its pages. `person_id`: the id of the kept record."""

    def __init__(self, study_code: str, person_id: object) -> None:
        super().__init__(f"The record {study_code} was merged into this one. Nothing was changed.")
        self.person_id = person_id


class NotSignedIn(ProTrackerError):
    """The request has no session, and its client is a program that cannot use the sign-in page."""


class NotAllowed(ProTrackerError):
    """The account is signed in, but its role does not allow the action."""


class InvalidInput(ProTrackerError):
    """An input value is invalid; `field` is the name of its form field or column, or None."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class DuplicateRecord(InvalidInput):
    """A record number or another unique value exists already."""


class ChangedSince(InvalidInput):
    """The record was changed by another user after it was shown to this one."""


class WindowClosed(ProTrackerError):
    """The visit's window is not open now, so nothing can be answered."""


class HeldAfterInfusion(WindowClosed):
    """The subject had an infusion, and is asked nothing until the morning after it."""


class NoLongerAsked(WindowClosed):
    """A death is recorded for the person, so that none of the visits can be answered."""


class ConsentNeeded(ProTrackerError):
    """The person has not agreed to the consent form of the study in its present version, so nothing is asked."""


class AlreadyAnswered(ProTrackerError):
    """The visit was completed before; its first answers are kept."""


class UnusableLink(ProTrackerError):
    """A personal link is unknown, expired or revoked."""


class IdentityNotConfirmed(ProTrackerError):
    """The entered birth date does not match, or the limit of wrong entries is reached."""


class InvalidKeys(ProTrackerError):
    """The encryption keys of the identity fields are missing or malformed."""


class UnknownItem(InvalidInput):
    """An answer names an item that the instrument does not have."""


class AnswerOutOfRange(InvalidInput):
    """An answer is not one of the option codes (integers) of its item."""


class UnknownInstrument(NotFound):
    """No instrument file has this code and version."""


class InvalidInstrument(ProTrackerError):
    """An instrument is inconsistent, so that no score can be computed with it."""


class InvalidDataFile(ProTrackerError):
    """An instrument, text pack or protocol file cannot be used.

    `errors` lists (key, reason) pairs; the key is the path within the file, with dots between levels, or "".
    """

    def __init__(self, *errors: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{key}: {reason}" if key else reason for key, reason in errors))
        self.errors = errors

"""Every error the service raises on purpose. Each message says in plain words what is wrong and what to do."""


class ProTrackerError(Exception):
    """Base of all. Its text may be shown to people, so it never holds a name, a contact, an answer or a token."""


class NotFound(ProTrackerError):
    """The thing does not exist, or not for this person: both look the same from outside."""


class NotSignedIn(ProTrackerError):
    """Nobody is signed in, and what asks is a program that a sign-in page would not help."""


class NotAllowed(ProTrackerError):
    """The person is known and may not do this."""


class InvalidInput(ProTrackerError):
    """Something given cannot be used; `field` names it where there is one."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class DuplicateRecord(InvalidInput):
    """A record number or another unique fact exists already."""


class WindowClosed(ProTrackerError):
    """The visit's window is not open now, so nothing can be answered."""


class AlreadyAnswered(ProTrackerError):
    """The visit was completed before; the first answers stand."""


class UnusableLink(ProTrackerError):
    """A personal link is unknown, expired or revoked."""


class IdentityNotConfirmed(ProTrackerError):
    """The birth date given does not match, or too many wrong ones were given."""


class InvalidKeys(ProTrackerError):
    """The field keys cannot be used."""


class UnknownItem(InvalidInput):
    """An answer names an item that the instrument does not have."""


class AnswerOutOfRange(InvalidInput):
    """An answer is no whole number among the options of its item."""


class UnknownInstrument(NotFound):
    """No instrument file has this code and version."""


class InvalidInstrument(ProTrackerError):
    """An instrument contradicts itself, so nothing is scored with it."""


class InvalidDataFile(ProTrackerError):
    """An instrument, text pack or protocol file cannot be used.

    `errors` lists what is wrong as (key, reason); the key is the place in the file, dots between levels, or "".
    """

    def __init__(self, *errors: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{key}: {reason}" if key else reason for key, reason in errors))
        self.errors = errors

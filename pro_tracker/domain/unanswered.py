"""Why a visit ended without answers: the codes there are, and the rule that chooses one. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

# Code -> what it says, for pages and the codebook. The first four are told by a caller, or by staff at the visit.
REASONS = {
    "refused": "Did not want to answer",
    "too-ill": "Too ill to answer",
    "language": "Needs another language or an interpreter",
    "wrong-number": "The telephone number was somebody else's",
    "hospital": "In hospital",
    "died": "Died",
    "clinic": "The clinic could not ask",
    "paused": "Asking was paused",
    "started-not-sent": "Began, and did not send the answers",
    "not-reached": "Called, and not reached",
    "no-contact": "No contact on file that works",
    "no-reply": "Asked, and did not reply",
    "entered-late": "Its time was over when it was entered",
    "withdrawn": "Withdrew from the study",
    "new-course": "A new course of treatment began",
    "no-date": "The date it hung on was taken back",
    "entered-in-error": "Answered, and taken back as entered in error",
}
GIVEN_BY_STAFF = ("refused", "too-ill", "language", "wrong-number", "hospital", "died", "clinic")
TOLD_BY_CALLS = frozenset({"refused", "too-ill", "language", "wrong-number"})


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known of a visit whose window closed. `calls`: the outcomes of the attempts to call, in their order."""

    calls: Sequence[str]
    paused: bool
    started: bool
    reachable: bool


def reason(known: Circumstances) -> str:
    """The code for a visit that was missed: what a person found out comes before what the service can tell."""
    told = _told(known.calls)
    if told is not None:
        return told
    if known.paused:
        return "paused"
    if known.started:
        return "started-not-sent"
    if known.calls and known.calls[-1] != "reached":
        return "not-reached"
    return "no-reply" if known.reachable or known.calls else "no-contact"


def _told(calls: Sequence[str]) -> str | None:
    """The last thing a caller found out; whoever was reached after a wrong number was not unreachable."""
    for outcome in reversed(calls):
        if outcome in TOLD_BY_CALLS:
            return outcome
        if outcome == "reached":
            return None
    return None

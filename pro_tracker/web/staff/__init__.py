"""Staff pages: worklist, patients, treatment, trends, calls, instruments and accounts."""

from pro_tracker.web.staff import (
    accounts,
    answers,
    calls,
    contacts,
    course,
    deaths,
    enrolment,
    home,
    identity,
    infusions,
    instruments,
    ledger,
    merges,
    pauses,
    reasons,
    reports,
    subjects,
    telephone,
    transfers,
    visits,
    withdrawals,
)
from pro_tracker.web.staff.blueprint import blueprint

__all__ = [
    "accounts",
    "answers",
    "blueprint",
    "calls",
    "contacts",
    "course",
    "deaths",
    "enrolment",
    "home",
    "identity",
    "infusions",
    "instruments",
    "ledger",
    "merges",
    "pauses",
    "reasons",
    "reports",
    "subjects",
    "telephone",
    "transfers",
    "visits",
    "withdrawals",
]

blueprint.register_blueprint(telephone.blueprint)  # nested, since its URLs share a prefix with subject and visit

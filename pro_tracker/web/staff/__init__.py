"""Staff pages: worklist, patients, treatment, trends, calls, instruments and accounts."""

from pro_tracker.web.staff import (
    accounts,
    calls,
    contacts,
    course,
    enrolment,
    home,
    infusions,
    instruments,
    ledger,
    pauses,
    reasons,
    reports,
    subjects,
    telephone,
    visits,
    withdrawals,
)
from pro_tracker.web.staff.blueprint import blueprint

__all__ = [
    "accounts",
    "blueprint",
    "calls",
    "contacts",
    "course",
    "enrolment",
    "home",
    "infusions",
    "instruments",
    "ledger",
    "pauses",
    "reasons",
    "reports",
    "subjects",
    "telephone",
    "visits",
    "withdrawals",
]

blueprint.register_blueprint(telephone.blueprint)  # nested, since its URLs share a prefix with subject and visit

"""The staff's pages: who needs me now, patients, treatment, trends, calls, accounts."""

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

blueprint.register_blueprint(telephone.blueprint)  # a part with addresses of its own

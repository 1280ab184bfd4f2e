"""The staff's pages: who needs me now, patients, treatment, trends, calls, accounts."""

from pro_tracker.web.staff import (
    accounts,
    calls,
    course,
    enrolment,
    home,
    infusions,
    instruments,
    ledger,
    subjects,
    telephone,
    visits,
)
from pro_tracker.web.staff.blueprint import blueprint

__all__ = [
    "accounts",
    "blueprint",
    "calls",
    "course",
    "enrolment",
    "home",
    "infusions",
    "instruments",
    "ledger",
    "subjects",
    "telephone",
    "visits",
]

blueprint.register_blueprint(telephone.blueprint)  # a part with addresses of its own

"""Whom pages name for danger: the emergency number and crisis line of the clinic, read once in a request that asks."""

from flask import g

from pro_tracker.services.clinic import help_lines as lines
from pro_tracker.services.clinic.help_lines import HelpLines
from pro_tracker.web.patient.blueprint import blueprint
from pro_tracker.web.session import db_session


@blueprint.app_template_global()
def help_lines() -> HelpLines:
    """Returns the help of the visit's clinic, in a telephone interview too; without a visit, what all clinics share."""
    if "help_lines" not in g:
        g.help_lines = _read()
    found: HelpLines = g.help_lines
    return found


def _read() -> HelpLines:
    if g.get("visit") is not None:
        return lines.of_subject(db_session(), g.visit.person_id)
    if g.get("subject") is not None:
        return lines.of_subject(db_session(), g.subject.id)
    return lines.common(db_session())

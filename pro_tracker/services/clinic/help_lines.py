"""Whom a patient can call in danger, by the settings of the site: emergency number and crisis line."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject


@dataclass(frozen=True, slots=True)
class HelpLines:
    """The help of one site; "" and no words where none is set. `crisis_words`: by language, with the number in them."""

    emergency_number: str
    crisis_number: str
    crisis_words: Mapping[str, str]


NONE = HelpLines("", "", {})


def of_subject(session: Session, subject_id: uuid.UUID) -> HelpLines:
    """Returns the help of the subject's site, in one statement."""
    of_site = select(Site.emergency_number, Site.crisis_line).join(Subject, Subject.site_id == Site.id)
    row = session.execute(of_site.where(Subject.id == subject_id)).one()
    return _build(row.emergency_number, row.crisis_line)


def common(session: Session) -> HelpLines:
    """Returns the help that all sites agree on, for pages that know no subject; NONE if they differ."""
    rows = session.execute(select(Site.emergency_number, Site.crisis_line))
    found = [_build(row.emergency_number, row.crisis_line) for row in rows]
    if not found or any(each != found[0] for each in found):
        return NONE
    return found[0]


def _build(emergency_number: str, crisis_line: Mapping[str, str]) -> HelpLines:
    words = dict(crisis_line)
    number = words.pop("number", "")
    return HelpLines(emergency_number, number, words)

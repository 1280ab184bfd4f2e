"""Texts of a clinic for the pages about privacy and accessibility, from the sites file.

All of it may be missing: the pages say what is true of every installation, and this comes in addition.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.languages import patient_languages
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.services.instruments.data_files import FileModel

Paragraph = Annotated[str, Field(min_length=1, max_length=1000)]
Paragraphs = Annotated[list[Paragraph], Field(min_length=1, max_length=10)]
BY_LANGUAGE = ("kept_for", "privacy", "accessibility")


class PatientPagesEntry(FileModel):
    """The key patient_pages of a site. `kept_for` completes the sentence "We keep your answers ..."."""

    kept_for: dict[str, Annotated[str, Field(min_length=1, max_length=200)]] = Field(default_factory=dict)
    privacy_contact: str = Field(default="", max_length=200)
    privacy: dict[str, Paragraphs] = Field(default_factory=dict)
    accessibility: dict[str, Paragraphs] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_every_language(self) -> Self:
        for key in BY_LANGUAGE:
            written = getattr(self, key)
            missing = [language for language in patient_languages() if written and language not in written]
            if missing:
                raise ValueError(f"needs {key} in {', '.join(missing)}, too: each language of patients or none")
        return self


@dataclass(frozen=True, slots=True)
class PatientPages:
    """The texts of one clinic in one language; "" and no paragraphs where it has none."""

    kept_for: str
    privacy_contact: str
    privacy: Sequence[str]
    accessibility: Sequence[str]


def of_subject(session: Session, subject_id: uuid.UUID, language: str) -> PatientPages:
    """Returns what the clinic of this subject says, in one statement."""
    of_site = select(Site.patient_pages).join(Subject, Subject.site_id == Site.id)
    stored: Mapping[str, Any] = session.scalars(of_site.where(Subject.id == subject_id)).one()
    primary = language.partition("-")[0]
    return PatientPages(
        kept_for=stored.get("kept_for", {}).get(primary, ""),
        privacy_contact=stored.get("privacy_contact", ""),
        privacy=stored.get("privacy", {}).get(primary, ()),
        accessibility=stored.get("accessibility", {}).get(primary, ()),
    )

"""What must be true of a person's facts before they are enrolled. Rules of form only: it knows no table."""

import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from pro_tracker.domain import plausible_dates
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.languages import LANGUAGES
from pro_tracker.domain.subject_codes import Sex
from pro_tracker.services.contacts.addresses import ADDRESS_ERRORS, FIELDS, NEEDS_ADDRESS, time_zones, usable_address

MAX_TEXT_LENGTH = 200
MAX_AGE_YEARS = 120


@dataclass(frozen=True, kw_only=True)
class EnrolmentFacts:
    """What is known of a person when they are enrolled. Texts as typed, "" where nothing was given; dates are local."""

    record_number: str
    given_name: str
    family_name: str
    birth_date: date | None
    sex: str
    email: str
    mobile: str
    language: str
    time_zone: str
    site_code: str
    enrolled_on: date | None
    consent_version: str
    consent_on: date | None
    preferred_channel: str = ""  # a channel; "" for the first on which there is an address
    planned_start_on: date | None = None
    planned_infusions: int | None = None

    @property
    def addresses(self) -> dict[Channel, str]:
        """The addresses as typed, "" where none was given."""
        return {channel: getattr(self, field) for channel, field in FIELDS.items()}


@dataclass(frozen=True)
class FieldProblem:
    """Why a fact cannot be used: the field's name in EnrolmentFacts, and what to do. Never repeats what was typed."""

    field: str
    reason: str


def normalise(facts: EnrolmentFacts) -> EnrolmentFacts:
    """The same facts with every text trimmed and in Unicode's composed form (NFC), so that equal names are equal."""
    texts = {
        name: unicodedata.normalize("NFC", value.strip())
        for name, value in asdict(facts).items()
        if isinstance(value, str)
    }
    return replace(facts, **texts)  # type: ignore[arg-type]


def check(facts: EnrolmentFacts, *, sites: Collection[str], now: datetime) -> list[FieldProblem]:
    """Everything that keeps these facts from being enrolled, in the order of the fields; [] when nothing does."""
    facts = normalise(facts)
    return [
        *_text_problems(facts),
        *_birth_problems(facts, now),
        *_contact_problems(facts),
        *_choice_problems(facts, sites),
        *_consent_problems(facts, now),
        *_plan_problems(facts, now),
    ]


def _text_problems(facts: EnrolmentFacts) -> Iterator[FieldProblem]:
    if not facts.record_number:
        yield FieldProblem("record_number", "The record number is missing.")
    if not facts.given_name and not facts.family_name:
        yield FieldProblem("given_name", "The name is missing. One of given and family name is enough.")
    for name, value in asdict(facts).items():
        if isinstance(value, str) and len(value) > MAX_TEXT_LENGTH:
            yield FieldProblem(name, f"This is longer than {MAX_TEXT_LENGTH} characters.")
        if isinstance(value, str) and any(unicodedata.category(sign) in ("Cc", "Cs") for sign in value):
            yield FieldProblem(name, "This holds a line break or another control character. Type it again.")


def _birth_problems(facts: EnrolmentFacts, now: datetime) -> Iterator[FieldProblem]:
    today = _today(facts, now)
    if facts.birth_date is None:
        yield FieldProblem("birth_date", "The birth date is missing: the patient's pages ask for it.")
    elif facts.birth_date > today:
        yield FieldProblem("birth_date", "The birth date is in the future.")
    elif facts.birth_date.year < today.year - MAX_AGE_YEARS:
        yield FieldProblem("birth_date", f"The birth date is more than {MAX_AGE_YEARS} years ago.")


def _contact_problems(facts: EnrolmentFacts) -> Iterator[FieldProblem]:
    for channel, address in facts.addresses.items():
        if address and usable_address(channel, address) is None:
            yield FieldProblem(FIELDS[channel], ADDRESS_ERRORS[channel])
    for channel, address in facts.addresses.items():
        if facts.preferred_channel == channel and not address:
            yield FieldProblem("preferred_channel", NEEDS_ADDRESS[channel])


def _choice_problems(facts: EnrolmentFacts, sites: Collection[str]) -> Iterator[FieldProblem]:
    if facts.sex not in tuple(Sex):
        yield FieldProblem("sex", f"Sex must be one of {', '.join(Sex)}.")
    if facts.language not in LANGUAGES:
        yield FieldProblem("language", f"The language must be one of {', '.join(LANGUAGES)}.")
    if facts.time_zone not in time_zones():
        yield FieldProblem("time_zone", "This is no time zone of the IANA list. It looks like America/New_York.")
    if facts.site_code not in sites:
        yield FieldProblem("site_code", "There is no such site. Sites are listed in config/sites.yaml.")
    if facts.preferred_channel not in ("", *Channel):
        yield FieldProblem("preferred_channel", f"The channel must be one of {', '.join(Channel)}.")


def _consent_problems(facts: EnrolmentFacts, now: datetime) -> Iterator[FieldProblem]:
    today = _today(facts, now)
    if not facts.consent_version:
        yield FieldProblem(
            "consent_version", "The version of the consent is missing. Nobody is enrolled without consent."
        )
    for field, day, name in (
        ("enrolled_on", facts.enrolled_on, "date of enrolment"),
        ("consent_on", facts.consent_on, "date of consent"),
    ):
        if day is None:
            yield FieldProblem(field, f"The {name} is missing.")
        elif day > today:
            yield FieldProblem(field, f"The {name} is in the future.")
        elif facts.birth_date and day < facts.birth_date <= today:
            yield FieldProblem(field, f"The {name} is before the birth date.")


def _plan_problems(facts: EnrolmentFacts, now: datetime) -> Iterator[FieldProblem]:
    if reason := plausible_dates.problem(facts.planned_start_on, _today(facts, now)):
        yield FieldProblem("planned_start_on", reason)
    if facts.planned_infusions is not None and not 1 <= facts.planned_infusions <= 100:
        yield FieldProblem("planned_infusions", "The number of planned infusions must be from 1 to 100.")


def _today(facts: EnrolmentFacts, now: datetime) -> date:
    zone = ZoneInfo(facts.time_zone) if facts.time_zone in time_zones() else None
    return now.astimezone(zone).date() if zone else (now + timedelta(hours=14)).date()

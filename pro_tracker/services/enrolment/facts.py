"""Checks the facts of a person before enrolment. Rules of form only; asks the database for nothing."""

import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from pro_tracker.domain import plausible_dates
from pro_tracker.domain.channels import PREFERABLE_CHANNELS, Channel, address_kind
from pro_tracker.domain.record_numbers import NO_RULES, NumberRules, normal_form
from pro_tracker.domain.subject_codes import Sex
from pro_tracker.languages import patient_languages
from pro_tracker.services.contacts.addresses import ADDRESS_ERRORS, FIELDS, NEEDS_ADDRESS, time_zones, usable_address
from pro_tracker.services.protocols import protocol_catalog, protocol_choice

MAX_TEXT_LENGTH = 200
MAX_AGE_YEARS = 120


@dataclass(frozen=True, kw_only=True)
class EnrolmentFacts:
    """The facts entered at enrolment. Texts are as typed, "" for none; dates are local to the subject."""

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
    preferred_channel: str = ""  # a channel; "" for the first one with an address
    planned_start_on: date | None = None
    planned_infusions: int | None = None
    protocol: str = ""  # code of the protocol; "" for the default of the site

    @property
    def addresses(self) -> dict[Channel, str]:
        """The addresses by channel, as typed, "" for none."""
        return {channel: getattr(self, field) for channel, field in FIELDS.items()}


@dataclass(frozen=True)
class FieldProblem:
    """A validation error: the field of EnrolmentFacts, and what to do. Never contains the typed value."""

    field: str
    reason: str


def normalise(facts: EnrolmentFacts) -> EnrolmentFacts:
    """Returns the facts with every text trimmed and in Unicode NFC, so that equal names compare equal."""
    texts = {name: unicodedata.normalize("NFC", value.strip()) for name, value in _texts(facts)}
    return replace(facts, **texts)  # type: ignore[arg-type]


def check(facts: EnrolmentFacts, *, sites: Mapping[str, NumberRules], now: datetime) -> list[FieldProblem]:
    """Returns all validation errors in the order of the fields; [] for valid facts.

    `sites`: the known site codes, with the rules of their record numbers.
    """
    facts = normalise(facts)
    return [
        *_number_problems(facts.record_number, sites.get(facts.site_code, NO_RULES)),
        *_text_problems(facts),
        *_birth_problems(facts, now),
        *_contact_problems(facts),
        *_choice_problems(facts, sites),
        *_consent_problems(facts, now),
        *_plan_problems(facts, now),
    ]


def _texts(facts: EnrolmentFacts) -> Iterator[tuple[str, str]]:
    for name, value in asdict(facts).items():
        if isinstance(value, str):
            yield name, value


def _number_problems(number: str, rules: NumberRules) -> Iterator[FieldProblem]:
    normal = normal_form(number, rules)
    if not normal:
        yield FieldProblem("record_number", "The record number is missing.")
    elif not rules.accept(normal):
        reason = f"The clinic has no such record numbers. They look like {rules.example}."
        yield FieldProblem("record_number", reason)


def _text_problems(facts: EnrolmentFacts) -> Iterator[FieldProblem]:
    if not facts.given_name and not facts.family_name:
        yield FieldProblem("given_name", "The name is missing. One of given and family name is enough.")
    for name, value in _texts(facts):
        if len(value) > MAX_TEXT_LENGTH:
            yield FieldProblem(name, f"This is longer than {MAX_TEXT_LENGTH} characters.")
        # Control characters and surrogates, which PostgreSQL or UTF-8 cannot store.
        if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in value):
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
            yield FieldProblem(FIELDS[channel], ADDRESS_ERRORS[address_kind(channel)])
    for channel, address in facts.addresses.items():
        if facts.preferred_channel == channel and not address:
            yield FieldProblem("preferred_channel", NEEDS_ADDRESS[address_kind(channel)])


def _choice_problems(facts: EnrolmentFacts, sites: Collection[str]) -> Iterator[FieldProblem]:
    if facts.sex not in tuple(Sex):
        yield FieldProblem("sex", f"Sex must be one of {', '.join(Sex)}.")
    if facts.language not in patient_languages():
        yield FieldProblem("language", f"The language must be one of {', '.join(patient_languages())}.")
    if facts.time_zone not in time_zones():
        yield FieldProblem("time_zone", "This is no time zone of the IANA list. It looks like America/New_York.")
    if facts.site_code not in sites:
        yield FieldProblem("site_code", "There is no such site. Sites are listed in config/sites.yaml.")
    if facts.preferred_channel not in ("", *PREFERABLE_CHANNELS):
        yield FieldProblem("preferred_channel", f"The channel must be one of {', '.join(PREFERABLE_CHANNELS)}.")
    if facts.protocol and facts.protocol not in protocol_catalog.codes():
        yield FieldProblem("protocol", protocol_choice.unknown(facts.protocol))


def _consent_problems(facts: EnrolmentFacts, now: datetime) -> Iterator[FieldProblem]:
    today = _today(facts, now)
    if not facts.consent_version:
        yield FieldProblem(
            "consent_version", "The version of the consent is missing. Nobody is enrolled without consent."
        )
    dates = (
        ("enrolled_on", facts.enrolled_on, "date of enrolment"),
        ("consent_on", facts.consent_on, "date of consent"),
    )
    for field, day, name in dates:
        if day is None:
            yield FieldProblem(field, f"The {name} is missing.")
        elif day > today:
            yield FieldProblem(field, f"The {name} is in the future.")
        elif facts.birth_date and day < facts.birth_date <= today:
            yield FieldProblem(field, f"The {name} is before the birth date.")


def _plan_problems(facts: EnrolmentFacts, now: datetime) -> Iterator[FieldProblem]:
    reason = plausible_dates.problem(facts.planned_start_on, _today(facts, now))
    if reason:
        yield FieldProblem("planned_start_on", reason)
    if facts.planned_infusions is not None and not 1 <= facts.planned_infusions <= 100:
        yield FieldProblem("planned_infusions", "The number of planned infusions must be from 1 to 100.")


def _today(facts: EnrolmentFacts, now: datetime) -> date:
    """Returns the subject's local date, or the latest date anywhere (UTC+14) when the time zone is not valid."""
    if facts.time_zone in time_zones():
        return now.astimezone(ZoneInfo(facts.time_zone)).date()
    return (now + timedelta(hours=14)).date()

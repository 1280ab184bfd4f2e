"""The page of a patient's contacts and message preferences: addresses, channel, hour, language and time zone."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from flask import flash, redirect, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.channels import ADDRESS_CHANNELS, PREFERABLE_CHANNELS, Channel
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.errors import NotFound
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services.contacts import contacts, preferences
from pro_tracker.services.contacts.addresses import FIELDS
from pro_tracker.services.contacts.preferences import Preferences
from pro_tracker.services.planning import subject_lock
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import courses
from pro_tracker.web import access, labels
from pro_tracker.web.session import commit, db_session
from pro_tracker.web.staff import current, edit_conflicts, preview
from pro_tracker.web.staff.blueprint import blueprint, wall_time
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.edit_conflicts import Changer
from pro_tracker.web.staff.forms.contact_forms import AddressesForm, ReopenForm, StaffPreferencesForm, reopen_form

# Prefixes of field names, since the page has several forms. The form of a closed contact has its channel as prefix.
ADDRESSES, PREFERENCES = "addresses", "preferences_form"
# The actions that change what each of the two forms shows.
CONTACT_ACTIONS = ("contact.correct", "subject.enrol")
PREFERENCE_ACTIONS = ("subject.prefer", "subject.enrol")


@blueprint.get("/subjects/<uuid:subject_id>/contacts", endpoint="contacts")
@access.staff(Role.COORDINATOR)
def show_contacts(subject_id: uuid.UUID) -> Page:
    return _page(subject_id)


@blueprint.post("/subjects/<uuid:subject_id>/contacts/addresses")
@access.staff(Role.COORDINATOR)
def correct_addresses(subject_id: uuid.UUID) -> Page | Response:
    form = AddressesForm(prefix=ADDRESSES)
    subject = current.subject(subject_id)
    return preview.save(
        subject,
        form,
        lambda now: _correct(subject, form, now),
        success_message=_("The addresses are saved."),
        show_form=lambda: _page(subject_id, **{ADDRESSES: form}),
    )


@blueprint.post("/subjects/<uuid:subject_id>/contacts/preferences")
@access.staff(Role.COORDINATOR)
def change_preferences(subject_id: uuid.UUID) -> Page | Response:
    subject = current.subject(subject_id)
    form = _preferences_form(subject)
    return preview.save(
        subject,
        form,
        lambda now: _change(subject, form, now),
        success_message=_("The wishes are saved."),
        show_form=lambda: _page(subject_id, **{PREFERENCES: form}),
    )


@blueprint.post("/subjects/<uuid:subject_id>/contacts/<channel>/reopen")
@access.staff(Role.COORDINATOR)
def reopen_contact(subject_id: uuid.UUID, channel: str) -> Page | Response:
    """Makes a closed contact active again; the form asks staff to confirm that the patient wants messages there."""
    form = reopen_form(channel)
    subject = current.subject(subject_id)
    contact = _contact(subject, channel)
    return preview.save(
        subject,
        form,
        lambda now: contacts.reopen(db_session(), contact, now=now, actor=access.actor()),
        success_message=_("Messages go there again."),
        show_form=lambda: _page(subject_id, **{channel: form}),
    )


@blueprint.post("/subjects/<uuid:subject_id>/contacts/<channel>/acknowledge")
@access.staff(Role.COORDINATOR)
def acknowledge_contact(subject_id: uuid.UUID, channel: str) -> Response:
    """Leaves a contact closed and removes it from the worklist."""
    subject = current.subject(subject_id)
    contact = _contact(subject, channel)
    contacts.acknowledge(db_session(), contact, now=clock.now(), actor=access.actor())
    commit()
    flash(_("Noted. Nothing goes there, and the list of closed channels shows it no more."))
    return redirect(url_for("staff.subject", subject_id=subject_id), 303)


def _correct(subject: Subject, form: AddressesForm, now: datetime) -> None:
    session = db_session()
    # The lock comes before the read, so that the values compared are those that the correction replaces.
    subject_lock.lock(session, subject)
    session.expire(subject, ["contacts"])
    requested = {channel: address.strip() for channel, address in form.addresses().items()}
    recorded = _recorded_addresses(subject)
    changer = _changer(subject, CONTACT_ACTIONS)
    edit_conflicts.reject_stale(form, _address_values(recorded), _address_values(requested), changer)
    contacts.correct(session, subject, requested, now=now, actor=access.actor())


def _change(subject: Subject, form: StaffPreferencesForm, now: datetime) -> None:
    session = db_session()
    subject_lock.lock(session, subject)
    requested = form.requested()
    recorded = preferences.for_subject(subject)
    changer = _changer(subject, PREFERENCE_ACTIONS)
    edit_conflicts.reject_stale(form, _preference_values(recorded), _preference_values(requested), changer)
    preferences.change(session, subject, requested, now=now, actor=access.actor())


def _changer(subject: Subject, actions: Sequence[str]) -> Changer:
    return Changer(subject.id, subject.time_zone, actions)


def _recorded_addresses(subject: Subject) -> dict[Channel, str]:
    """Returns the subject's address on each channel, "" for none."""
    known = {contact.channel: contact.address for contact in subject.contacts}
    return {channel: known.get(channel, "") for channel in PREFERABLE_CHANNELS}


def _address_values(by_channel: Mapping[Channel, str]) -> edit_conflicts.RecordedValues:
    values = {}
    for channel, address in by_channel.items():
        label = str(labels.CHANNELS[channel])
        values[label] = address or "–"
    return values


def _preference_values(chosen: Preferences) -> edit_conflicts.RecordedValues:
    hour = wall_time(chosen.message_time) if chosen.message_time else _("as the protocol says")
    language = labels.language_name(chosen.language)
    return {
        _("channel"): str(labels.CHANNELS[chosen.preferred_channel]),
        _("hour"): hour,
        _("language"): language,
        _("time zone"): chosen.time_zone,
        _("label"): chosen.label or "–",
    }


def _contact(subject: Subject, code: str) -> Contact:
    channel = next((each for each in ADDRESS_CHANNELS if each == code), None)
    contact = contacts.of_subject(db_session(), subject.id, channel) if channel else None
    if contact is None:
        raise NotFound(_("There is no such address on file. It may have been taken away meanwhile."))
    return contact


def _preferences_form(subject: Subject, **options: Any) -> StaffPreferencesForm:
    course = courses.current_course(db_session(), subject)
    # Without a course any protocol will do: only its sending hours are used.
    protocol = protocol_catalog.bound_to(course) if course else protocol_catalog.protocols()[0]
    return StaffPreferencesForm(protocol, subject, prefix=PREFERENCES, **options)


def _page(subject_id: uuid.UUID, **failed: Any) -> Page:
    """Returns the page; `failed` holds the form that was sent, by prefix. The other forms show recorded values."""
    subject = current.subject(subject_id)
    closed = _reopen_forms(subject, failed)
    return current.show(
        "staff/contacts.html",
        subject,
        addresses=failed.get(ADDRESSES) or _fresh_addresses_form(subject),
        preferences_form=failed.get(PREFERENCES) or _fresh_preferences_form(subject),
        closed=closed,
        # Also one by one, since `current.show` looks for errors in forms, not in dictionaries of forms.
        **{f"{channel}_form": form for channel, form in closed.items()},
    )


def _fresh_addresses_form(subject: Subject) -> AddressesForm:
    recorded = _recorded_addresses(subject)
    values = {FIELDS[channel]: address for channel, address in recorded.items()}
    form = AddressesForm(formdata=None, prefix=ADDRESSES, data=values)
    edit_conflicts.remember(form, _address_values(recorded))
    return form


def _fresh_preferences_form(subject: Subject) -> StaffPreferencesForm:
    form = _preferences_form(subject, formdata=None)
    recorded = preferences.for_subject(subject)
    edit_conflicts.remember(form, _preference_values(recorded))
    return form


def _reopen_forms(subject: Subject, failed: Mapping[str, Any]) -> dict[Channel, ReopenForm]:
    """Returns a form for each closed contact, by channel."""
    forms: dict[Channel, ReopenForm] = {}
    for contact in subject.contacts:
        if contact.state != ContactState.ACTIVE:
            channel = contact.channel
            forms[channel] = failed.get(channel) or reopen_form(channel, formdata=None)
    return forms

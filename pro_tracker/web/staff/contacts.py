"""How a patient is reached: addresses and what became of them, and how and when the patient wants to be written to."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import flash, redirect, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.errors import NotFound
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services.contacts import contacts as service, preferences
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
from pro_tracker.web.staff.forms.contact_forms import AddressesForm, ReopenForm, StaffPreferencesForm

ADDRESSES, PREFERENCES = (
    "addresses",
    "preferences_form",
)  # prefixes, like each channel's own: several forms stand on one page


@blueprint.get("/subjects/<uuid:subject_id>/contacts")
@access.staff(Role.COORDINATOR)
def contacts(subject_id: uuid.UUID) -> Page:
    return _page(subject_id)


@blueprint.post("/subjects/<uuid:subject_id>/contacts/addresses")
@access.staff(Role.COORDINATOR)
def correct_addresses(subject_id: uuid.UUID) -> Page | Response:
    form, subject = AddressesForm(prefix=ADDRESSES), current.subject(subject_id)
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
    form, subject = ReopenForm(prefix=channel), current.subject(subject_id)
    contact = _contact(subject, channel)
    return preview.save(
        subject,
        form,
        lambda now: service.reopen(db_session(), contact, now=now, actor=access.actor()),
        success_message=_("Messages go there again."),
        show_form=lambda: _page(subject_id, **{channel: form}),
    )


@blueprint.post("/subjects/<uuid:subject_id>/contacts/<channel>/acknowledge")
@access.staff(Role.COORDINATOR)
def acknowledge_contact(subject_id: uuid.UUID, channel: str) -> Response:
    contact = _contact(current.subject(subject_id), channel)
    service.acknowledge(db_session(), contact, now=clock.now(), actor=access.actor())
    commit()
    flash(_("Noted. Nothing goes there, and the list of closed channels shows it no more."))
    return redirect(url_for("staff.subject", subject_id=subject_id), 303)


def _correct(subject: Subject, form: AddressesForm, now: datetime) -> None:
    subject_lock.lock(db_session(), subject)
    db_session().expire(subject, ["contacts"])
    requested = {channel: address.strip() for channel, address in form.addresses().items()}
    edit_conflicts.reject_stale(form, _addresses(_on_file(subject)), _addresses(requested))
    service.correct(db_session(), subject, requested, now=now, actor=access.actor())


def _change(subject: Subject, form: StaffPreferencesForm, now: datetime) -> None:
    subject_lock.lock(db_session(), subject)
    edit_conflicts.reject_stale(
        form, _preference_values(preferences.for_subject(subject)), _preference_values(form.requested())
    )
    preferences.change(db_session(), subject, form.requested(), now=now, actor=access.actor())


def _on_file(subject: Subject) -> dict[Channel, str]:
    """Channel -> address, "" for none."""
    known = {contact.channel: contact.address for contact in subject.contacts}
    return {channel: known.get(channel, "") for channel in Channel}


def _addresses(by_channel: Mapping[Channel, str]) -> edit_conflicts.RecordedValues:
    return {str(labels.CHANNELS[channel]): address or "–" for channel, address in by_channel.items()}


def _preference_values(preferences_form: Preferences) -> edit_conflicts.RecordedValues:
    return {
        _("channel"): str(labels.CHANNELS[preferences_form.preferred_channel]),
        _("hour"): wall_time(preferences_form.message_time)
        if preferences_form.message_time
        else _("as the protocol says"),
        _("language"): str(labels.LANGUAGES.get(preferences_form.language, preferences_form.language)),
        _("time zone"): preferences_form.time_zone,
    }


def _contact(subject: Subject, code: str) -> Contact:
    channel = next((each for each in Channel if each == code), None)
    contact = service.of_subject(db_session(), subject.id, channel) if channel else None
    if contact is None:
        raise NotFound(_("There is no such address on file. It may have been taken away meanwhile."))
    return contact


def _preferences_form(subject: Subject, **options: Any) -> StaffPreferencesForm:
    course = courses.current_course(db_session(), subject)
    known = (
        protocol_catalog.protocol(course.protocol_code, course.protocol_version)
        if course
        else protocol_catalog.default_protocol()
    )
    return StaffPreferencesForm(known, subject, prefix=PREFERENCES, **options)


def _page(subject_id: uuid.UUID, **failed: Any) -> Page:
    """The page; `failed` holds the form that was sent, the others are fresh."""
    subject = current.subject(subject_id)
    known = _on_file(subject)
    addresses = AddressesForm(
        formdata=None, prefix=ADDRESSES, data={FIELDS[channel]: address for channel, address in known.items()}
    )
    edit_conflicts.remember(addresses, _addresses(known))
    preferences_form = _preferences_form(subject, formdata=None)
    edit_conflicts.remember(preferences_form, _preference_values(preferences.for_subject(subject)))
    closed = {
        contact.channel: failed.get(contact.channel) or ReopenForm(formdata=None, prefix=contact.channel)
        for contact in subject.contacts
        if contact.state != ContactState.ACTIVE
    }
    return current.show(
        "staff/contacts.html",
        subject,
        addresses=failed.get(ADDRESSES) or addresses,
        preferences_form=failed.get(PREFERENCES) or preferences_form,
        closed=closed,
        **{f"{channel}_form": form for channel, form in closed.items()},
    )

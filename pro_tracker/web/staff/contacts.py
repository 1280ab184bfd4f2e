"""How a patient is reached: addresses and what became of them, and how and when the patient wants to be written to."""

import uuid
from typing import Any

from flask import flash, redirect, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.errors import NotFound
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services import contacts as service, courses, enrolment, preferences, protocols
from pro_tracker.web import access
from pro_tracker.web.session import commit, db_session
from pro_tracker.web.staff import current, preview
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.contact_forms import AddressesForm, PreferencesForm, ReopenForm
from pro_tracker.web.staff.current import Page

ADDRESSES, WISHES = "addresses", "wishes"  # prefixes, like each channel's own: several forms stand on one page


@blueprint.get("/subjects/<uuid:subject_id>/contacts")
@access.staff("coordinator")
def contacts(subject_id: uuid.UUID) -> Page:
    return _page(subject_id)


@blueprint.post("/subjects/<uuid:subject_id>/contacts/addresses")
@access.staff("coordinator")
def correct_addresses(subject_id: uuid.UUID) -> Page | Response:
    form, subject = AddressesForm(prefix=ADDRESSES), current.subject(subject_id)
    return preview.save(
        subject,
        form,
        lambda now: service.correct(db_session(), subject, form.addresses(), now=now, actor=access.actor()),
        told=_("The addresses are saved."),
        again=lambda: _page(subject_id, **{ADDRESSES: form}),
    )


@blueprint.post("/subjects/<uuid:subject_id>/contacts/wishes")
@access.staff("coordinator")
def change_preferences(subject_id: uuid.UUID) -> Page | Response:
    subject = current.subject(subject_id)
    form = _wishes(subject)
    return preview.save(
        subject,
        form,
        lambda now: preferences.change(db_session(), subject, form.wanted(), now=now, actor=access.actor()),
        told=_("The wishes are saved."),
        again=lambda: _page(subject_id, **{WISHES: form}),
    )


@blueprint.post("/subjects/<uuid:subject_id>/contacts/<channel>/reopen")
@access.staff("coordinator")
def reopen_contact(subject_id: uuid.UUID, channel: str) -> Page | Response:
    form, subject = ReopenForm(prefix=channel), current.subject(subject_id)
    contact = _contact(subject, channel)
    return preview.save(
        subject,
        form,
        lambda now: service.reopen(db_session(), contact, now=now, actor=access.actor()),
        told=_("Messages go there again."),
        again=lambda: _page(subject_id, **{channel: form}),
    )


@blueprint.post("/subjects/<uuid:subject_id>/contacts/<channel>/acknowledge")
@access.staff("coordinator")
def acknowledge_contact(subject_id: uuid.UUID, channel: str) -> Response:
    contact = _contact(current.subject(subject_id), channel)
    service.acknowledge(db_session(), contact, now=clock.now(), actor=access.actor())
    commit()
    flash(_("Noted. Nothing goes there, and the list of closed channels shows it no more."))
    return redirect(url_for("staff.subject", subject_id=subject_id), 303)


def _contact(subject: Subject, channel: str) -> Contact:
    contact = service.of_subject(db_session(), subject.id, channel)
    if contact is None:
        raise NotFound(_("There is no such address on file. It may have been taken away meanwhile."))
    return contact


def _wishes(subject: Subject, **options: Any) -> PreferencesForm:
    course = courses.current_course(db_session(), subject)
    known = (
        protocols.protocol(course.protocol_code, course.protocol_version) if course else enrolment.default_protocol()
    )
    return PreferencesForm(known, subject, prefix=WISHES, **options)


def _page(subject_id: uuid.UUID, **failed: Any) -> Page:
    """The page; `failed` holds the form that was sent, the others are fresh."""
    subject = current.subject(subject_id)
    known = {"email": "", "mobile": ""}
    for contact in subject.contacts:
        known["mobile" if contact.channel == "sms" else "email"] = contact.address
    closed = {
        contact.channel: failed.get(contact.channel) or ReopenForm(formdata=None, prefix=contact.channel)
        for contact in subject.contacts
        if contact.state != "active"
    }
    return current.show(
        "staff/contacts.html",
        subject,
        addresses=failed.get(ADDRESSES) or AddressesForm(formdata=None, prefix=ADDRESSES, data=known),
        wishes=failed.get(WISHES) or _wishes(subject, formdata=None),
        closed=closed,
        **{f"{channel}_form": form for channel, form in closed.items()},
    )

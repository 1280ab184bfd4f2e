"""Account pages of administrators: the list and the form for a new account. They show no patient data."""

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from sqlalchemy import select
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.models.account import Account
from pro_tracker.models.site import Site
from pro_tracker.services.clinic import accounts as services
from pro_tracker.services.clinic.accounts import AccountFacts
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.forms.account_form import AccountForm


@blueprint.get("/accounts")
@access.staff(Role.ADMINISTRATOR, sites="none")
def accounts() -> str:
    return render_template("staff/accounts.html", accounts=services.list_all(db_session()))


@blueprint.get("/accounts/new")
@access.staff(Role.ADMINISTRATOR, sites="none")
def new_account() -> Page:
    return _page(_form())


@blueprint.post("/accounts/new")
@access.staff(Role.ADMINISTRATOR, sites="none")
def create_account() -> Page | Response:
    form = _form()
    if not form.validate():
        return _page(form)
    created = current.submit(form, lambda: _create(form))
    if created is None:
        return _page(form)
    flash(_("The account %(email)s is ready.", email=created.email))
    return redirect(url_for("staff.accounts"), 303)


def _form() -> AccountForm:
    sites = db_session().scalars(select(Site).order_by(Site.code))
    return AccountForm(list(sites))


def _create(form: AccountForm) -> Account:
    facts = AccountFacts(
        email=form.email.data,
        display_name=form.display_name.data,
        role=form.role.data,
        password=form.password.data or "",
        site_codes=form.site_codes.data or [],
    )
    return services.create(db_session(), access.actor(), facts, now=clock.now())


def _page(form: AccountForm) -> Page:
    status = 422 if form.errors else 200
    return render_template("staff/new_account.html", form=form), status

"""Account pages of administrators: the list, and the forms to add, change and close one. They show no patient data."""

from collections.abc import Callable

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from sqlalchemy import select
from werkzeug.wrappers import Response

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.models.account import Account
from pro_tracker.models.site import Site
from pro_tracker.services.clinic import accounts
from pro_tracker.services.clinic.accounts import AccountFacts, AccountRights
from pro_tracker.web import access
from pro_tracker.web.session import db_session
from pro_tracker.web.staff import current
from pro_tracker.web.staff.blueprint import blueprint
from pro_tracker.web.staff.current import Page
from pro_tracker.web.staff.forms.account_form import AccountChangeForm, AccountForm


@blueprint.get("/accounts", endpoint="accounts")
@access.staff(Role.ADMINISTRATOR, sites="none")
def list_accounts() -> str:
    return render_template("staff/accounts.html", accounts=accounts.list_all(db_session()))


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


@blueprint.get("/accounts/<int:account_id>")
@access.staff(Role.ADMINISTRATOR, sites="none")
def account(account_id: int) -> Page:
    shown = accounts.get(db_session(), account_id)
    return _account_page(shown, _change_form(shown))


@blueprint.post("/accounts/<int:account_id>")
@access.staff(Role.ADMINISTRATOR, sites="none")
def change_account(account_id: int) -> Page | Response:
    changed = accounts.get(db_session(), account_id)
    form = _change_form(changed)
    if not form.validate():
        return _account_page(changed, form)

    def change() -> None:
        rights = AccountRights(form.role.data, form.site_codes.data or [])
        accounts.change(db_session(), access.actor(), changed, rights, now=clock.now())

    return _done(changed, form, change, _("The account %(email)s is changed.", email=changed.email))


@blueprint.post("/accounts/<int:account_id>/close")
@access.staff(Role.ADMINISTRATOR, sites="none")
def close_account(account_id: int) -> Page | Response:
    closed = accounts.get(db_session(), account_id)

    def close() -> None:
        accounts.close(db_session(), access.actor(), closed, now=clock.now())

    done = _("The account %(email)s is closed.", email=closed.email)
    return _done(closed, _change_form(closed, is_posted=False), close, done)


@blueprint.post("/accounts/<int:account_id>/reopen")
@access.staff(Role.ADMINISTRATOR, sites="none")
def reopen_account(account_id: int) -> Page | Response:
    opened = accounts.get(db_session(), account_id)

    def reopen() -> None:
        accounts.reopen(db_session(), access.actor(), opened, now=clock.now())

    done = _("The account %(email)s is open again.", email=opened.email)
    return _done(opened, _change_form(opened, is_posted=False), reopen, done)


def _done(changed: Account, form: AccountChangeForm, action: Callable[[], None], message: str) -> Page | Response:
    """Runs the action; returns the list with the message, or the account's page with the reason why not."""
    if current.submit(form, action) is None:
        return _account_page(changed, form)
    flash(message)
    return redirect(url_for("staff.accounts"), 303)


def _form() -> AccountForm:
    return AccountForm(_sites())


def _change_form(changed: Account, *, is_posted: bool = True) -> AccountChangeForm:
    """The form with role and sites of the account, or with what was posted."""
    stored = {"role": changed.role, "site_codes": [site.code for site in changed.sites]}
    posted = {} if is_posted else {"formdata": None}
    return AccountChangeForm(_sites(), data=stored, **posted)


def _sites() -> list[Site]:
    return list(db_session().scalars(select(Site).order_by(Site.code)))


def _create(form: AccountForm) -> Account:
    facts = AccountFacts(
        email=form.email.data,
        display_name=form.display_name.data,
        role=form.role.data,
        password=form.password.data or "",
        site_codes=form.site_codes.data or [],
    )
    return accounts.create(db_session(), access.actor(), facts, now=clock.now())


def _page(form: AccountForm) -> Page:
    status = 422 if form.errors else 200
    return render_template("staff/new_account.html", form=form), status


def _account_page(shown: Account, form: AccountChangeForm) -> Page:
    status = 422 if form.errors else 200
    return render_template("staff/account.html", account=shown, form=form), status

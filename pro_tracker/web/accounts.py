"""Staff sign-in and sign-out: Flask-Security on our accounts, time-outs and limits. Access to pages is in access.py."""

import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from flask import Flask, Response, current_app, flash, request, session
from flask_babel import gettext as _
from flask_limiter import Limiter
from flask_login import current_user, user_logged_out
from flask_security import LoginForm, Security, SQLAlchemySessionUserDatastore, UserMixin, user_authenticated
from flask_security.utils import logout_user, validate_redirect_url
from werkzeug.local import LocalProxy

from pro_tracker import clock
from pro_tracker.domain.account_codes import Role
from pro_tracker.models.account import Account
from pro_tracker.services.clinic import accounts
from pro_tracker.web import access, clinic_device, limits
from pro_tracker.web.session import commit, db_session

IDLE_TIMEOUT = timedelta(minutes=30)
MAX_SESSION_AGE = timedelta(hours=12)  # a working day; afterwards staff sign in again, even if active
FAILED_SIGN_IN_LIMITS = {"address": "30 per 5 minutes", "account": "10 per 15 minutes"}

CONFIG = {
    "SECURITY_LOGIN_URL": "/sign-in",
    "SECURITY_LOGOUT_URL": "/sign-out",
    "SECURITY_POST_LOGOUT_VIEW": "/sign-in",
    "SECURITY_LOGIN_USER_TEMPLATE": "staff/sign_in.html",
    "SECURITY_PASSWORD_SCHEMES": ["argon2"],
    # argon2 adds its own salt; services/clinic/accounts.py makes the same hashes.
    "SECURITY_PASSWORD_SINGLE_HASH": True,  # nosec B105: a switch
    "SECURITY_EMAIL_VALIDATOR_ARGS": {"check_deliverability": False, "globally_deliverable": False},
    "SECURITY_API_ENABLED_METHODS": ["session"],
    "SECURITY_JOIN_USER_ROLES": False,
    "SECURITY_FRESHNESS": timedelta(minutes=-1),  # no route to confirm a sign-in again: no page requires it
    "SECURITY_STATIC_FOLDER": None,
    "SECURITY_FLASH_MESSAGES": False,
    "SECURITY_CLI_USERS_NAME": False,
    "SECURITY_CLI_ROLES_NAME": False,
    "SESSION_PROTECTION": "strong",  # a session used from another browser or network address ends
}


class SignedInAccount(Account, UserMixin):
    """An account with the methods that Flask-Login needs, which keeps the model free of web libraries."""

    roles = ()  # type: ignore[assignment]  # the one role is a column; each route declares the roles it serves


class SignInForm(LoginForm):
    """Address and password. Every failure has the same text, so that it does not disclose which accounts exist."""

    remember = None  # type: ignore[assignment]  # no "remember me": a session never outlasts the time-outs above

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email.label.text = _("E-mail address")
        self.password.label.text = _("Password")

    def validate(self, **kwargs: Any) -> bool:
        """Returns whether the credentials are right; records a failure in the audit trail."""
        if not validate_redirect_url(self.next.data or "/"):
            # Open redirects are prevented without refusing the sign-in: the user lands on the start page.
            self.next.data = ""
        if super().validate(**kwargs):
            return True
        account_id = self.user.id if self.user else None
        accounts.record_failed_sign_in(db_session(), account_id, now=clock.now())
        self.password.errors = []
        self.email.errors = [_("The address or the password is not right. Try again, or ask an administrator.")]
        return False


def init_app(app: Flask) -> None:
    """Adds the sign-in pages. Must precede access.init_app: an expired session ends before its role is checked."""
    app.config.from_mapping(CONFIG)
    role_model: Any = Role
    request_session: Any = LocalProxy(db_session)
    datastore = SQLAlchemySessionUserDatastore(request_session, SignedInAccount, role_model)
    security = Security(app, datastore, login_form=SignInForm)
    security.want_json(lambda _request: False)  # pages only: JSON replies contain tokens that outlast a sign-out
    security.login_manager.request_loader(None)
    app.before_request(_end_old_session)
    user_authenticated.connect(_signed_in, app)
    user_logged_out.connect(_signed_out, app)
    limit = _limits(limits.limiter(app, "sign-in"))
    for endpoint in [name for name in app.view_functions if name.startswith("security.")]:
        view = _committed(app.view_functions[endpoint])
        app.view_functions[endpoint] = access.public(limit(view))


def _signed_in(_app: Flask, user: Account, **_other: Any) -> None:
    now = clock.now()
    session["signed_in_at"] = session["seen_at"] = now.timestamp()
    clinic_device.unmark()
    accounts.record_sign_in(db_session(), user.id, now=now)


def _signed_out(_app: Flask, user: Account, **_other: Any) -> None:
    now = clock.now()
    accounts.record_sign_out(db_session(), user.id, now=now)


def _end_old_session() -> None:
    if "_user_id" not in session:
        return
    now = clock.now()
    if clinic_device.is_marked():
        _sign_out()
    elif _has_expired(now):
        _sign_out()
        flash(_("You were signed out because the page was not used for a while. Please sign in again."))
    else:
        session["seen_at"] = now.timestamp()


def _sign_out() -> None:
    if current_user.is_authenticated:
        logout_user()
        commit()


def _has_expired(now: datetime) -> bool:
    idle_seconds = now.timestamp() - session.get("seen_at", 0)
    if idle_seconds > IDLE_TIMEOUT.total_seconds():
        return True
    age_seconds = now.timestamp() - session.get("signed_in_at", 0)
    return bool(age_seconds > MAX_SESSION_AGE.total_seconds())


def _committed(view: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a view of Flask-Security so that the audit event of sign-in or sign-out is committed after it."""

    @wraps(view)
    def committed(**arguments: Any) -> Any:
        response = view(**arguments)
        commit()
        return response

    return committed


def _limits(limiter: Limiter) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Returns a decorator that limits failed sign-ins by network address and by account."""
    by_address = limiter.limit(FAILED_SIGN_IN_LIMITS["address"], methods=["POST"], deduct_when=_failed)
    by_account = limiter.limit(
        FAILED_SIGN_IN_LIMITS["account"],
        key_func=_account_key,
        methods=["POST"],
        deduct_when=_failed,
    )
    return lambda view: by_address(by_account(view))


def _failed(response: Response) -> bool:
    # Only a successful sign-in redirects.
    return response.status_code != 302


def _account_key() -> str:
    # A keyed hash of the address keeps personal data out of the limiter's storage.
    address = request.form.get("email", "").strip().lower()
    secret = str(current_app.secret_key)
    digest = hmac.new(secret.encode(), address.encode(), hashlib.sha256)
    return digest.hexdigest()

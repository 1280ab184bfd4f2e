"""Staff accounts: create, change, close, set passwords, record sign-ins. The sign-in page verifies passwords."""

import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from argon2 import PasswordHasher
from email_validator import EmailNotValidError, validate_email
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, selectinload

from pro_tracker.domain.account_codes import ActorKind, Role
from pro_tracker.domain.errors import DuplicateRecord, InvalidInput, NotFound
from pro_tracker.models.account import Account
from pro_tracker.models.site import Site
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor

# NIST SP 800-63B-4, 3.1.1: fifteen characters where the password is the only factor, and no rule about their kinds.
MIN_PASSWORD_LENGTH = 15
MAX_PASSWORD_LENGTH = 256

_hasher = PasswordHasher()  # argon2id with RFC 9106's parameters for machines with little memory


@dataclass(frozen=True, kw_only=True)
class AccountFacts:
    """The facts of a new account as an administrator enters them."""

    email: str
    display_name: str
    role: str
    password: str = field(repr=False)
    site_codes: Sequence[str] = ()


@dataclass(frozen=True)
class AccountRights:
    """The rights of an account: what it may do and see from now on."""

    role: str
    site_codes: Sequence[str]


def create(session: Session, actor: Actor, facts: AccountFacts, *, now: datetime) -> Account:
    """Adds an account. Raises InvalidInput with its field, DuplicateRecord when the address has an account."""
    account = Account(
        email=normalise_email(facts.email),
        display_name=_display_name(facts.display_name),
        password=hash_password(facts.password),
        role=_role(facts.role),
        sites=_sites(session, facts.site_codes, facts.role),
        fs_uniquifier=uuid.uuid4().hex,
        created_at=now,
    )
    _add(session, account)
    sites = [site.code for site in account.sites]
    detail: audit.Detail = {"account": account.id, "role": account.role, "sites": sites}
    audit.record(session, actor, "account.create", now=now, detail=detail)
    return account


def set_password(session: Session, actor: Actor, account: Account, password: str, *, now: datetime) -> None:
    """Sets a new password and ends all sessions of the account. Raises InvalidInput as `hash_password`."""
    account.password = hash_password(password)
    account.fs_uniquifier = uuid.uuid4().hex  # sessions refer to the former value
    session.flush()
    audit.record(session, actor, "account.set-password", now=now, detail={"account": account.id})


def change(session: Session, actor: Actor, account: Account, rights: AccountRights, *, now: datetime) -> None:
    """Gives the account another role and other sites, from its next request on.

    Raises InvalidInput as `create`, and for the only administrator.
    """
    new_role, sites = _role(rights.role), _sites(session, rights.site_codes, rights.role)
    if new_role != Role.ADMINISTRATOR:
        _require_another_administrator(session, account, field="role")
    account.role, account.sites = new_role, sites
    session.flush()
    detail: audit.Detail = {"account": account.id, "role": new_role, "sites": [site.code for site in sites]}
    audit.record(session, actor, "account.change", now=now, detail=detail)


def close(session: Session, actor: Actor, account: Account, *, now: datetime) -> None:
    """Closes the account and ends its sessions. What it did keeps its name.

    Raises InvalidInput for the only administrator, and for a closed account.
    """
    if not account.active:
        raise InvalidInput("This account is closed already.")
    _require_another_administrator(session, account)
    account.active = False
    account.fs_uniquifier = uuid.uuid4().hex  # sessions refer to the former value, also after it is opened again
    session.flush()
    audit.record(session, actor, "account.close", now=now, detail={"account": account.id})


def reopen(session: Session, actor: Actor, account: Account, *, now: datetime) -> None:
    """Opens a closed account again, with its former password, role and sites. Raises InvalidInput for an open one."""
    if account.active:
        raise InvalidInput("This account is open already.")
    account.active = True
    session.flush()
    audit.record(session, actor, "account.reopen", now=now, detail={"account": account.id})


def list_all(session: Session) -> Sequence[Account]:
    """Returns every account with its sites, sorted by address."""
    accounts = select(Account).options(selectinload(Account.sites))
    accounts = accounts.order_by(Account.email)
    return session.scalars(accounts).all()


def find(session: Session, email: str) -> Account:
    """Returns the account with this mail address. Raises NotFound."""
    address = email.strip().lower()
    account = session.scalar(select(Account).where(Account.email == address))
    if account is None:
        raise NotFound("There is no account with this address. `pro-tracker account list` shows all.")
    return account


def get(session: Session, account_id: int) -> Account:
    """Returns the account with this id. Raises NotFound."""
    account = session.get(Account, account_id)
    if account is None:
        raise NotFound("There is no such account. The list of accounts shows all.")
    return account


def record_sign_in(session: Session, account_id: int, *, now: datetime) -> None:
    actor = Actor(ActorKind.ACCOUNT, str(account_id))
    audit.record(session, actor, "account.sign-in", now=now)


def record_sign_out(session: Session, account_id: int, *, now: datetime) -> None:
    actor = Actor(ActorKind.ACCOUNT, str(account_id))
    audit.record(session, actor, "account.sign-out", now=now)


def record_failed_sign_in(session: Session, account_id: int | None, *, now: datetime) -> None:
    """Records a failed sign-in. `account_id` is None when no account has the address; the address is not stored."""
    actor = Actor(ActorKind.SERVICE, "sign-in")
    audit.record(session, actor, "account.sign-in-failed", now=now, detail={"account": account_id})


def normalise_email(text: str) -> str:
    """Returns the mail address in lower case; a clinic's `.local` is valid. Raises InvalidInput for an invalid form."""
    try:
        parsed = validate_email(text.strip(), check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        raise InvalidInput("Enter an e-mail address in the form name@clinic.example.", field="email") from error
    return parsed.normalized.lower()


def hash_password(password: str) -> str:
    """Returns the argon2id hash to store. Raises InvalidInput for a password that is too short or too long."""
    if len(password) < MIN_PASSWORD_LENGTH:
        raise InvalidInput(
            f"The password needs at least {MIN_PASSWORD_LENGTH} characters. Several words in a row make a good one.",
            field="password",
        )
    if len(password) > MAX_PASSWORD_LENGTH:
        raise InvalidInput(f"The password has more than {MAX_PASSWORD_LENGTH} characters.", field="password")
    # NFKD makes the same password from different keyboards equal; the sign-in page normalises in the same way.
    return _hasher.hash(unicodedata.normalize("NFKD", password))


def _display_name(text: str) -> str:
    if not (name := text.strip()):
        raise InvalidInput("Enter the person's name.", field="display_name")
    return name


def _role(text: str) -> Role:
    if text not in set(Role):
        raise InvalidInput(f"The role must be one of {', '.join(Role)}.", field="role")
    return Role(text)


def _sites(session: Session, codes: Sequence[str], role: str) -> list[Site]:
    named = select(Site).where(Site.code.in_(codes))
    found = list(session.scalars(named.order_by(Site.code)))
    known = {site.code for site in found}
    unknown = sorted(set(codes) - known)
    if unknown:
        raise InvalidInput(
            f"There is no site {', '.join(unknown)}. Sites are listed in config/sites.yaml.", field="site_codes"
        )
    if not found and role != Role.ADMINISTRATOR:
        raise InvalidInput("Choose at least one site: the account sees no other.", field="site_codes")
    return found


def _require_another_administrator(session: Session, account: Account, field: str | None = None) -> None:
    """Raises InvalidInput if no account could manage the others without this one."""
    # Locked, so that two administrators who close each other at the same moment do not both succeed.
    administrators = select(Account.id).where(Account.role == Role.ADMINISTRATOR, Account.active)
    ids = session.scalars(administrators.order_by(Account.id).with_for_update()).all()
    if list(ids) == [account.id]:
        raise InvalidInput(
            "This is the only administrator. Make another account an administrator first, then repeat this.",
            field=field,
        )


def _add(session: Session, account: Account) -> None:
    try:
        with session.begin_nested():
            session.add(account)
    except IntegrityError as twice:
        raise DuplicateRecord("There is an account with this address already.", field="email") from twice

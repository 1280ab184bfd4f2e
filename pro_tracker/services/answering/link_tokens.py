"""The secret tokens of links: how they are made, hashed and recognised in a text. Stores nothing."""

import hashlib
import re
import secrets
from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.link import Link

LINK_IN_TEXT = re.compile(r"/v/([\w-]+)")
TOKEN_BYTES = 16  # 128 bits: 22 letters, short enough for a text message


def new_token() -> str:
    """The secret part of a link's address."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def token_hash(token: str) -> bytes:
    """What is stored of a token. It is random, so one round of SHA-256 is enough: there is nothing to guess from."""
    return hashlib.sha256(token.encode()).digest()


def recogniser(session: Session, message_id: int) -> Callable[[str], bool]:
    """A function that says whether a text holds a link that went out with this message."""
    hashes = set(session.scalars(select(Link.token_hash).where(Link.message_id == message_id)))
    return lambda text: any(token_hash(token) in hashes for token in LINK_IN_TEXT.findall(text))

"""The secret tokens of links: creates and hashes them and detects them in a text. Stores nothing."""

import hashlib
import re
import secrets
from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.link import Link

LINK_IN_TEXT = re.compile(r"/v/([\w-]+)")
TOKEN_BYTES = 16  # 128 bits, 22 characters in base64url: short enough for a text message


def new_token() -> str:
    """The secret part of a link's address."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def token_hash(token: str) -> bytes:
    """The SHA-256 that is stored instead of a token. One round is enough: 128 random bits cannot be guessed."""
    return hashlib.sha256(token.encode()).digest()


def token_detector(session: Session, message_id: int) -> Callable[[str], bool]:
    """A predicate: does this text hold a link that was sent with the message?"""
    sent = select(Link.token_hash).where(Link.message_id == message_id)
    hashes = set(session.scalars(sent))

    def has_token(text: str) -> bool:
        tokens = LINK_IN_TEXT.findall(text)
        return any(token_hash(token) in hashes for token in tokens)

    return has_token

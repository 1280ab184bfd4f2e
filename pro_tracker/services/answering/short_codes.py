"""Short codes of printed cards: a link to one visit that can be typed. Stored as a keyed hash, like no other link.

Nine characters can be guessed from a plain hash, so only the key ring can compare them. A code ends with the links of
its visit, and leads no further than a link does: to the page that asks for the birth date.
"""

import secrets
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.db import key_ring
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.folding import visible
from pro_tracker.models.link import Link
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor

# Without vowels, so that no word appears, and without what looks alike: 0 O, 1 I L, 5 S, 8 B, 2 Z.
ALPHABET = "CDFGHJKMNPQRTVWXY34679"
GROUPS, GROUP_LENGTH = 3, 3
LENGTH = GROUPS * GROUP_LENGTH  # 22^9, about 10^12: with the limits on tries, a guess in thousands of years
KIND = "short-code"


def issue(session: Session, actor: Actor, visit: Visit, *, now: datetime) -> str:
    """Adds a code to the visit and returns it as it is printed, such as "CDF-GHJ-KMN": a lost one is not recovered."""
    code = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    session.add(Link(visit_id=visit.id, message_id=None, token_hash=key_ring().lookup_hash(code, KIND), created_at=now))
    session.flush()
    audit.record(session, actor, "link.print", now=now, subject_id=visit.subject_id, detail={"visit": visit.id})
    groups = [code[start : start + GROUP_LENGTH] for start in range(0, LENGTH, GROUP_LENGTH)]
    return "-".join(groups)


def find(session: Session, written: str, *, now: datetime) -> int | None:
    """Returns the id of the link with this code, in any spelling, revoked or not; None where there is none."""
    code = "".join(filter(str.isalnum, visible(written))).upper()
    if len(code) != LENGTH:
        return None
    hashes = key_ring().lookup_hashes(code, KIND)
    row = session.execute(
        select(Link.id, Visit.subject_id).join(Visit, Visit.id == Link.visit_id).where(Link.token_hash.in_(hashes))
    ).one_or_none()
    if row is None:
        return None
    actor = Actor(ActorKind.PATIENT, str(row.id))
    audit.record(session, actor, "identity.enter-code", now=now, subject_id=row.subject_id)
    return int(row.id)

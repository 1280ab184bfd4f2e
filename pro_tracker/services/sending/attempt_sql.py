"""The statements behind attempts.py: PostgreSQL does for some messages in one what SQLite does for each in steps."""

from collections.abc import Mapping

from sqlalchemy import TextClause, bindparam, text

from pro_tracker.db import UtcDateTime
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import MessageState, Outcome

MOMENTS = ("now", "until", "send_at", "sent_at", "finished_at")

# The visit first and the message after it, as answering locks them. FOR SHARE waits for an answer that is being stored,
# and an answer waits for it: whichever commits first decides. What was read may be old by now, so it is asked again.
_OPEN_VISIT = (
    "SELECT visit.id FROM visit JOIN contact ON contact.subject_id = visit.subject_id WHERE visit.id = {id}"
    " AND coalesce(completed_at, voided_at) IS NULL AND opens_at <= :now AND (closes_at > :now OR EXISTS ("
    "SELECT 1 FROM visit_draft WHERE visit_draft.visit_id = visit.id AND grace_until > :now))"
    f" AND contact.channel = :channel AND contact.state = '{ContactState.ACTIVE}'"
)
_LINK = "INSERT INTO link (visit_id, message_id, token_hash, created_at)"
_ATTEMPT = "INSERT INTO attempt (message_id, number, provider, started_at, about_provider)"
_NOTE = (
    "UPDATE attempt SET outcome = {new}outcome, finished_at = {new}finished_at, reply = {new}reply,"
    " provider_id = {new}provider_id, about_provider = {new}about_provider"
)
_CLOSE = (
    "UPDATE message SET state = {new}state, lease_until = NULL, end_reason = NULL, failure = {new}failure,"
    " sent_at = {new}sent_at, send_at = coalesce({new}send_at, message.send_at)"
)
# Who handed it over knows best, however late the news; who only found the attempt open overwrites nothing.
_IS_OPEN = f"(attempt.outcome IS NULL OR attempt.outcome = '{Outcome.UNKNOWN}')"
# "Accepted" is true whatever happened since. Anything else is news only of the newest attempt at a message in hand.
_IS_NEWS = (
    f"({{new}}state = '{MessageState.SENT}' OR (message.attempts = {{new}}number"
    f" AND message.state IN ('{MessageState.CLAIMED}', '{MessageState.UNCERTAIN}')))"
)


def _statement(sql: str) -> TextClause:
    return text(sql).bindparams(*(bindparam(name, type_=UtcDateTime) for name in MOMENTS if f":{name}" in sql))


def _one_and_some(sql: str, columns: Mapping[str, str]) -> tuple[TextClause, TextClause]:
    """The statement for one row of "asked", whose columns are parameters, and for some, in the JSON parameter `rows`.

    That one row is one PostgreSQL must be told: of JSON it expects a hundred, for which it goes through a small table.
    """
    one = ", ".join(f"CAST(:{name} AS {type_}) AS {name}" for name, type_ in columns.items())
    typed = ", ".join(f"{name} {type_}" for name, type_ in columns.items())
    some = f"* FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS rows ({typed})"
    return _statement(sql.format(asked=one)), _statement(sql.format(asked=some))


_BEGUN = dict(message_id="bigint", visit_id="bigint", attempts="integer", token_hash="text")  # noqa: C408  # nosec B106
# `attempts` as they were read: of two senders with the same message one begins. LATERAL, coalesce, and lease_until in
# the place of the state (only what is claimed has one) keep PostgreSQL to the rows that are asked for: with statistics
# from before, it went through all open visits and all claimed messages by their partial indexes, sixty times as long.
BEGIN_POSTGRESQL = _one_and_some(
    f"""
    WITH asked AS MATERIALIZED (SELECT {{asked}}),
    open_visit AS MATERIALIZED (SELECT visit.id FROM asked CROSS JOIN LATERAL (
        {_OPEN_VISIT.format(id="asked.visit_id")} FOR SHARE OF visit) AS visit),
    taken AS (UPDATE message SET attempts = message.attempts + 1, lease_until = :until FROM asked
        WHERE message.id = asked.message_id AND message.lease_until IS NOT NULL AND message.attempts = asked.attempts
        AND asked.visit_id IN (SELECT id FROM open_visit)
        RETURNING message.id, message.visit_id, message.attempts, asked.token_hash),
    linked AS ({_LINK} SELECT visit_id, id, decode(token_hash, 'hex'), :now FROM taken)
    {_ATTEMPT} SELECT id, attempts, :provider, :now, false FROM taken RETURNING message_id, id
    """,  # nosec B608  only constants are put together
    _BEGUN,
)
BEGIN_SQLITE = (
    _statement(
        "UPDATE message SET attempts = attempts + 1, lease_until = :until WHERE id = :message_id"  # nosec B608
        f" AND state = '{MessageState.CLAIMED}' AND attempts = :attempts"
        f" AND EXISTS ({_OPEN_VISIT.format(id=':visit_id')})"
    ),
    _statement(f"{_LINK} VALUES (:visit_id, :message_id, :token_hash, :now)"),
    _statement(f"{_ATTEMPT} VALUES (:message_id, :attempts + 1, :provider, :now, false) RETURNING id"),
)
_FINISHED = {
    **dict.fromkeys(("attempt_id", "message_id"), "bigint"),
    **dict.fromkeys(("outcome", "reply", "provider_id", "state", "failure"), "text"),
    **dict.fromkeys(("finished_at", "sent_at", "send_at"), "timestamptz"),
    "number": "integer",
    "about_provider": "boolean",
}
FINISH_POSTGRESQL = _one_and_some(
    f"""
    WITH asked AS MATERIALIZED (SELECT {{asked}}),
    noted AS ({_NOTE.format(new="asked.")} FROM asked WHERE attempt.id = asked.attempt_id AND {_IS_OPEN})
    {_CLOSE.format(new="asked.")} FROM asked
    WHERE message.id = asked.message_id AND {_IS_NEWS.format(new="asked.")} RETURNING message.id
    """,  # nosec B608
    _FINISHED,
)
FINISH_SQLITE = (
    _statement(f"{_NOTE.format(new=':')} WHERE id = :attempt_id AND {_IS_OPEN}"),
    _statement(f"{_CLOSE.format(new=':')} WHERE id = :message_id AND {_IS_NEWS.format(new=':')}"),
)
PUT_BACK = _statement(
    "UPDATE message SET state = :state, lease_until = NULL, end_reason = :reason, send_at = coalesce(:send_at, send_at)"
    f" WHERE id = :message_id AND state = '{MessageState.CLAIMED}' AND attempts = :attempts"
)

"""The SQL of attempts.py. PostgreSQL does in one statement for several messages what SQLite does in steps for each."""

from collections.abc import Mapping

from sqlalchemy import TextClause, bindparam, text

from pro_tracker.db import UtcDateTime
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import MessageKind, MessageState, SendOutcome

MOMENTS = ("now", "until", "send_at", "sent_at", "finished_at")

# Locks the visit first and the message after it, in the order in which answering locks them. FOR SHARE waits for an
# answer that is being stored, and an answer waits for it: the first commit decides. What was read before may be out of
# date, so every condition is checked again here. The copy of a consent is sent whatever became of its visit.
_OPEN_VISIT = (
    "SELECT visit.id FROM visit"  # nosec B608  only constants are put together
    " JOIN contact ON contact.subject_id = visit.subject_id WHERE visit.id = {id}"
    " AND (coalesce(completed_at, voided_at) IS NULL AND opens_at <= :now AND (closes_at > :now OR EXISTS ("
    "SELECT 1 FROM visit_draft WHERE visit_draft.visit_id = visit.id AND grace_until > :now)) OR EXISTS ("
    f"SELECT 1 FROM message AS copy WHERE copy.id = {{message}} AND copy.kind = '{MessageKind.CONSENT_COPY}'))"
    f" AND contact.channel = :address_channel AND contact.state = '{ContactState.ACTIVE}'"
)
_LINK = "INSERT INTO link (visit_id, message_id, token_hash, created_at)"
_ATTEMPT = "INSERT INTO attempt (message_id, number, provider, started_at, is_provider_fault)"
_RECORD = (
    "UPDATE attempt SET outcome = {new}outcome, finished_at = {new}finished_at, reply = {new}reply,"
    " provider_id = {new}provider_id, is_provider_fault = {new}is_provider_fault"
)
_UPDATE = (
    "UPDATE message SET state = {new}state, lease_until = NULL, end_reason = NULL, failure = {new}failure,"
    " sent_at = {new}sent_at, send_at = coalesce({new}send_at, message.send_at)"
)
# The sender's own result replaces an unknown outcome, however late it comes. Nothing replaces a known outcome.
_MAY_RECORD = f"(attempt.outcome IS NULL OR attempt.outcome = '{SendOutcome.UNKNOWN}')"
# "Accepted" stays true whatever happened since. Any other result counts only for the newest attempt at a message
# whose outcome is open or uncertain.
_MAY_UPDATE = (
    f"({{new}}state = '{MessageState.SENT}' OR (message.attempts = {{new}}number"
    f" AND message.state IN ('{MessageState.CLAIMED}', '{MessageState.UNCERTAIN}')))"
)


def _statement(sql: str) -> TextClause:
    moments = [bindparam(name, type_=UtcDateTime) for name in MOMENTS if f":{name}" in sql]
    return text(sql).bindparams(*moments)


def _for_one_and_several(sql: str, columns: Mapping[str, str]) -> tuple[TextClause, TextClause]:
    """Returns the statement for one input row, given as parameters, and the one for several, given as JSON in `rows`.

    `columns`: name -> PostgreSQL type. One row needs a statement of its own: of JSON the planner expects a hundred
    rows, and reads a small table from end to end.
    """
    parameters = [f"CAST(:{name} AS {type_}) AS {name}" for name, type_ in columns.items()]
    declarations = [f"{name} {type_}" for name, type_ in columns.items()]
    one = ", ".join(parameters)
    several = f"* FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS rows ({', '.join(declarations)})"
    for_one = _statement(sql.format(input=one))
    for_several = _statement(sql.format(input=several))
    return for_one, for_several


_BEGIN_COLUMNS = {
    **dict.fromkeys(("message_id", "visit_id"), "bigint"),
    "attempts": "integer",
    "token_hash": "text",  # nosec B105  a type's name
}
# Comparing `attempts` with the number that was read lets one of two senders with the same message begin. LATERAL,
# coalesce, and lease_until instead of the state (only claimed messages have one) keep PostgreSQL to the requested rows:
# with outdated statistics it read all open visits and all claimed messages by their partial indexes, 60 times slower.
BEGIN_POSTGRESQL = _for_one_and_several(
    f"""
    WITH input AS MATERIALIZED (SELECT {{input}}),
    open_visit AS MATERIALIZED (SELECT visit.id FROM input CROSS JOIN LATERAL (
        {_OPEN_VISIT.format(id="input.visit_id", message="input.message_id")} FOR SHARE OF visit) AS visit),
    begun AS (UPDATE message SET attempts = message.attempts + 1, lease_until = :until FROM input
        WHERE message.id = input.message_id AND message.lease_until IS NOT NULL AND message.attempts = input.attempts
        AND input.visit_id IN (SELECT id FROM open_visit)
        RETURNING message.id, message.visit_id, message.attempts, input.token_hash),
    linked AS ({_LINK} SELECT visit_id, id, decode(token_hash, 'hex'), :now FROM begun)
    {_ATTEMPT} SELECT id, attempts, :provider, :now, false FROM begun RETURNING message_id, id
    """,  # nosec B608  only constants are put together
    _BEGIN_COLUMNS,
)
BEGIN_SQLITE = (
    _statement(
        "UPDATE message SET attempts = attempts + 1, lease_until = :until WHERE id = :message_id"  # nosec B608
        f" AND state = '{MessageState.CLAIMED}' AND attempts = :attempts"
        f" AND EXISTS ({_OPEN_VISIT.format(id=':visit_id', message=':message_id')})"
    ),
    _statement(f"{_LINK} VALUES (:visit_id, :message_id, :token_hash, :now)"),
    _statement(f"{_ATTEMPT} VALUES (:message_id, :attempts + 1, :provider, :now, false) RETURNING id"),
)
_FINISH_COLUMNS = {
    **dict.fromkeys(("attempt_id", "message_id"), "bigint"),
    **dict.fromkeys(("outcome", "reply", "provider_id", "state", "failure"), "text"),
    **dict.fromkeys(("finished_at", "sent_at", "send_at"), "timestamptz"),
    "number": "integer",
    "is_provider_fault": "boolean",
}
FINISH_POSTGRESQL = _for_one_and_several(
    f"""
    WITH input AS MATERIALIZED (SELECT {{input}}),
    recorded AS ({_RECORD.format(new="input.")} FROM input WHERE attempt.id = input.attempt_id AND {_MAY_RECORD})
    {_UPDATE.format(new="input.")} FROM input
    WHERE message.id = input.message_id AND {_MAY_UPDATE.format(new="input.")} RETURNING message.id
    """,  # nosec B608
    _FINISH_COLUMNS,
)
FINISH_SQLITE = (
    _statement(f"{_RECORD.format(new=':')} WHERE id = :attempt_id AND {_MAY_RECORD}"),
    _statement(f"{_UPDATE.format(new=':')} WHERE id = :message_id AND {_MAY_UPDATE.format(new=':')}"),
)
END_CLAIM = _statement(
    "UPDATE message SET state = :state, lease_until = NULL, end_reason = :reason,"  # nosec B608
    " send_at = coalesce(:send_at, send_at)"
    f" WHERE id = :message_id AND state = '{MessageState.CLAIMED}' AND attempts = :attempts"
)

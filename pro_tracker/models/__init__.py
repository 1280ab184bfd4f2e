"""The tables, one noun in each file: columns, constraints, relationships. No rules and no commits.

Importing this package registers every table on `db.Base.metadata`, which Alembic and foreign keys need.
"""

from pro_tracker.models import (
    account as account,
    aggregate as aggregate,
    answer_alert as answer_alert,
    audit as audit,
    call as call,
    consent_decision as consent_decision,
    correction as correction,
    course as course,
    definition as definition,
    delivery_report as delivery_report,
    draft_answer as draft_answer,
    heartbeat as heartbeat,
    identity_change as identity_change,
    incident as incident,
    infusion_findings as infusion_findings,
    interruption as interruption,
    link as link,
    merge as merge,
    message as message,
    missed_infusion as missed_infusion,
    other_treatment as other_treatment,
    protocol_event as protocol_event,
    provider_state as provider_state,
    rescoring as rescoring,
    response as response,
    roster_import as roster_import,
    site as site,
    subject as subject,
    text_pack as text_pack,
    transfer as transfer,
    visit as visit,
    visit_access as visit_access,
)

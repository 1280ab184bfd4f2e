"""Every table of the first version."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, Json, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("password", sa.String(), nullable=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("fs_uniquifier", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "role IN ('coordinator', 'clinician', 'researcher', 'administrator')", name=op.f("ck_account_role")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("email", name=op.f("uq_account_email")),
        sa.UniqueConstraint("fs_uniquifier", name=op.f("uq_account_fs_uniquifier")),
    )
    op.create_table(
        "aggregate",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("protocol_code", sa.String(), nullable=False),
        sa.Column("site_code", sa.String(), nullable=False),
        sa.Column("event_code", sa.String(), nullable=False),
        sa.Column("visit_number", sa.Integer(), nullable=False),
        sa.Column("instrument_code", sa.String(), nullable=False),
        sa.Column("scale_code", sa.String(), nullable=False),
        sa.Column("n_expected", sa.Integer(), nullable=False),
        sa.Column("n_answered", sa.Integer(), nullable=False),
        sa.Column("mean", sa.Float(), nullable=True),
        sa.Column("sd", sa.Float(), nullable=True),
        sa.Column("n_paired", sa.Integer(), nullable=False),
        sa.Column("mean_change", sa.Float(), nullable=True),
        sa.Column("sd_change", sa.Float(), nullable=True),
        sa.Column("n_paired_or_rated", sa.Integer(), nullable=False),
        sa.Column("n_responders", sa.Integer(), nullable=False),
        sa.Column("refreshed_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "n_answered <= n_expected AND n_paired <= n_answered AND n_responders <= n_paired_or_rated",
            name=op.f("ck_aggregate_counts"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_aggregate")),
        sa.UniqueConstraint(
            "protocol_code",
            "site_code",
            "event_code",
            "instrument_code",
            "scale_code",
            name=op.f("uq_aggregate_protocol_code_site_code_event_code_instrument_code_scale_code"),
        ),
    )
    op.create_table(
        "audit_event",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.Column("actor_kind", sa.String(), nullable=False),
        sa.Column("actor_id", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("previous_hash", sa.String(), nullable=True),
        sa.Column("hash", sa.String(), nullable=True),
        sa.CheckConstraint(
            "actor_kind IN ('account', 'patient', 'service', 'command')", name=op.f("ck_audit_event_actor_kind")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_event")),
    )
    op.create_index("ix_audit_event_subject_id", "audit_event", ["subject_id", "id"], unique=False)
    op.create_table(
        "definition",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("body", Json, nullable=False),
        sa.Column("released_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("kind IN ('protocol', 'instrument', 'text-pack')", name=op.f("ck_definition_kind")),
        sa.PrimaryKeyConstraint("kind", "code", "version", name=op.f("pk_definition")),
    )
    op.create_table(
        "heartbeat",
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("part", name=op.f("pk_heartbeat")),
    )
    op.create_table(
        "site",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("time_zone", sa.String(), nullable=False),
        sa.Column("phone", sa.String(), nullable=False),
        sa.Column("last_subject_number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site")),
        sa.UniqueConstraint("code", name=op.f("uq_site_code")),
    )
    op.create_table(
        "account_site",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_account_site_account_id")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_account_site_site_id")),
        sa.PrimaryKeyConstraint("account_id", "site_id", name=op.f("pk_account_site")),
    )
    op.create_table(
        "subject",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("study_code", sa.String(), nullable=False),
        sa.Column("enrolled_on", sa.Date(), nullable=False),
        sa.Column("sex", sa.String(), nullable=False),
        sa.Column("age_years", sa.Integer(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("time_zone", sa.String(), nullable=False),
        sa.Column("preferred_channel", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("withdrawn_at", UtcDateTime(), nullable=True),
        sa.Column("withdrawn_reason", sa.String(), nullable=True),
        sa.CheckConstraint("preferred_channel IN ('email', 'sms')", name=op.f("ck_subject_preferred_channel")),
        sa.CheckConstraint("sex IN ('female', 'male', 'other', 'unknown')", name=op.f("ck_subject_sex")),
        sa.CheckConstraint("(withdrawn_at IS NULL) = (withdrawn_reason IS NULL)", name=op.f("ck_subject_withdrawn")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_subject_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subject")),
        sa.UniqueConstraint("study_code", name=op.f("uq_subject_study_code")),
    )
    op.create_index(op.f("ix_subject_site_id"), "subject", ["site_id"], unique=False)
    op.create_table(
        "consent",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("signed_on", sa.Date(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_consent_subject_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent")),
        sa.UniqueConstraint("subject_id", "version", name=op.f("uq_consent_subject_id_version")),
    )
    op.create_table(
        "contact",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("address_cell", sa.LargeBinary(), nullable=False),
        sa.Column("address_hash", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("state_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("channel IN ('email', 'sms')", name=op.f("ck_contact_channel")),
        sa.CheckConstraint("state IN ('active', 'bounced', 'stopped')", name=op.f("ck_contact_state")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_contact_subject_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact")),
        sa.UniqueConstraint("subject_id", "channel", name=op.f("uq_contact_subject_id_channel")),
    )
    op.create_index(op.f("ix_contact_address_hash"), "contact", ["address_hash"], unique=False)
    op.create_table(
        "course",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("protocol_code", sa.String(), nullable=False),
        sa.Column("protocol_version", sa.String(), nullable=False),
        sa.Column("planned_start_on", sa.Date(), nullable=True),
        sa.Column("planned_infusions", sa.Integer(), nullable=False),
        sa.Column("ended_on", sa.Date(), nullable=True),
        sa.Column("end_reason", sa.String(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("(ended_on IS NULL) = (end_reason IS NULL)", name=op.f("ck_course_ended")),
        sa.CheckConstraint("number >= 1", name=op.f("ck_course_number")),
        sa.CheckConstraint("planned_infusions >= 1", name=op.f("ck_course_planned_infusions")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_course_subject_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_course")),
        sa.UniqueConstraint("subject_id", "number", name=op.f("uq_course_subject_id_number")),
    )
    op.create_table(
        "identity",
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("given_name_cell", sa.LargeBinary(), nullable=False),
        sa.Column("family_name_cell", sa.LargeBinary(), nullable=False),
        sa.Column("birth_date_cell", sa.LargeBinary(), nullable=False),
        sa.Column("record_number_cell", sa.LargeBinary(), nullable=False),
        sa.Column("record_number_hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_identity_subject_id")),
        sa.PrimaryKeyConstraint("subject_id", name=op.f("pk_identity")),
        sa.UniqueConstraint("record_number_hash", name=op.f("uq_identity_record_number_hash")),
    )
    op.create_table(
        "infusion",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("course_id", BigInt, nullable=False),
        sa.Column("given_on", sa.Date(), nullable=False),
        sa.Column("started_at_local", sa.Time(), nullable=True),
        sa.Column("dose_mg_per_kg", sa.Numeric(precision=5, scale=3), nullable=False),
        sa.Column("weight_kg", sa.Numeric(precision=5, scale=1), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("stop_reason", sa.String(), nullable=True),
        sa.Column("ondansetron_mg", sa.Numeric(precision=4, scale=1), nullable=True),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("(status = 'stopped') = (stop_reason IS NOT NULL)", name=op.f("ck_infusion_stop_reason")),
        sa.CheckConstraint("status IN ('completed', 'stopped')", name=op.f("ck_infusion_status")),
        sa.CheckConstraint("dose_mg_per_kg > 0 AND dose_mg_per_kg <= 5", name=op.f("ck_infusion_dose")),
        sa.CheckConstraint("minutes > 0 AND minutes <= 1440", name=op.f("ck_infusion_minutes")),
        sa.CheckConstraint(
            "ondansetron_mg IS NULL OR (ondansetron_mg >= 0 AND ondansetron_mg <= 32)",
            name=op.f("ck_infusion_ondansetron"),
        ),
        sa.CheckConstraint("weight_kg > 0 AND weight_kg < 500", name=op.f("ck_infusion_weight")),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name=op.f("fk_infusion_course_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_infusion")),
        sa.UniqueConstraint(
            "course_id", "given_on", "started_at_local", name=op.f("uq_infusion_course_id_given_on_started_at_local")
        ),
    )
    op.create_table(
        "visit",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("course_id", BigInt, nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("event_code", sa.String(), nullable=False),
        sa.Column("visit_number", sa.Integer(), nullable=False),
        sa.Column("anchor_on", sa.Date(), nullable=False),
        sa.Column("opens_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("closes_at", UtcDateTime(), nullable=False),
        sa.Column("planned_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("completed_at", UtcDateTime(), nullable=True),
        sa.Column("voided_at", UtcDateTime(), nullable=True),
        sa.Column("void_reason", sa.String(), nullable=True),
        sa.Column("failed_checks", sa.Integer(), nullable=False),
        sa.Column("locked_until", UtcDateTime(), nullable=True),
        sa.CheckConstraint("(voided_at IS NULL) = (void_reason IS NULL)", name=op.f("ck_visit_voided")),
        sa.CheckConstraint("opens_at <= due_at AND due_at <= closes_at", name=op.f("ck_visit_window")),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name=op.f("fk_visit_course_id")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_visit_subject_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visit")),
        sa.UniqueConstraint("course_id", "event_code", name=op.f("uq_visit_course_id_event_code")),
    )
    op.create_index(op.f("ix_visit_completed_at"), "visit", ["completed_at"], unique=False)
    op.create_index(
        "ix_visit_open",
        "visit",
        ["closes_at"],
        unique=False,
        postgresql_where=sa.text("completed_at IS NULL AND voided_at IS NULL"),
        sqlite_where=sa.text("completed_at IS NULL AND voided_at IS NULL"),
    )
    op.create_index(op.f("ix_visit_subject_id"), "visit", ["subject_id"], unique=False)
    op.create_table(
        "adverse_event",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("infusion_id", BigInt, nullable=False),
        sa.Column("term", sa.String(), nullable=False),
        sa.Column("ctcae_grade", sa.Integer(), nullable=False),
        sa.Column("emergency_response", sa.Boolean(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("ctcae_grade BETWEEN 1 AND 5", name=op.f("ck_adverse_event_ctcae_grade")),
        sa.ForeignKeyConstraint(["infusion_id"], ["infusion.id"], name=op.f("fk_adverse_event_infusion_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adverse_event")),
    )
    op.create_index(op.f("ix_adverse_event_infusion_id"), "adverse_event", ["infusion_id"], unique=False)
    op.create_table(
        "call",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("visit_id", BigInt, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("account_id", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('reached', 'voicemail', 'no-answer', 'wrong-number', 'refused', 'too-ill', 'answered', "
            "'no-longer-wanted')",
            name=op.f("ck_call_outcome"),
        ),
        sa.CheckConstraint(
            "reason IN ('no-contact', 'all-reminders-sent', 'send-failed', 'send-uncertain')",
            name=op.f("ck_call_reason"),
        ),
        sa.CheckConstraint("(closed_at IS NULL) = (outcome IS NULL)", name=op.f("ck_call_closed")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_call_account_id")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_call_subject_id")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_call_visit_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call")),
        sa.UniqueConstraint("visit_id", "reason", name=op.f("uq_call_visit_id_reason")),
    )
    op.create_index(op.f("ix_call_subject_id"), "call", ["subject_id"], unique=False)
    op.create_table(
        "message",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("key", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("visit_id", BigInt, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("template", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("local_on", sa.Date(), nullable=False),
        sa.Column("local_time", sa.Time(), nullable=False),
        sa.Column("send_at", UtcDateTime(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("end_reason", sa.String(), nullable=True),
        sa.Column("failure", sa.String(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("(state = 'claimed') = (lease_until IS NOT NULL)", name=op.f("ck_message_lease")),
        sa.CheckConstraint("(state = 'ended') = (end_reason IS NOT NULL)", name=op.f("ck_message_ended")),
        sa.CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name=op.f("ck_message_sent")),
        sa.CheckConstraint("channel IN ('email', 'sms')", name=op.f("ck_message_channel")),
        sa.CheckConstraint("kind IN ('reminder', 'fresh-link')", name=op.f("ck_message_kind")),
        sa.CheckConstraint(
            "state IN ('planned', 'claimed', 'sent', 'failed', 'uncertain', 'ended')", name=op.f("ck_message_state")
        ),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_message_subject_id")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_message_visit_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        sa.UniqueConstraint("key", name=op.f("uq_message_key")),
        sa.UniqueConstraint("visit_id", "kind", "step", "channel", name=op.f("uq_message_visit_id_kind_step_channel")),
    )
    op.create_index(
        "ix_message_claimed",
        "message",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("state = 'claimed'"),
        sqlite_where=sa.text("state = 'claimed'"),
    )
    op.create_index(
        "ix_message_due",
        "message",
        ["send_at"],
        unique=False,
        postgresql_where=sa.text("state = 'planned'"),
        sqlite_where=sa.text("state = 'planned'"),
    )
    op.create_index(op.f("ix_message_subject_id"), "message", ["subject_id"], unique=False)
    op.create_table(
        "questionnaire_response",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("visit_id", BigInt, nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("instrument_code", sa.String(), nullable=False),
        sa.Column("instrument_version", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("text_pack_version", sa.String(), nullable=False),
        sa.Column("text_pack_validated", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("answers", Json, nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("authored_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("mode IN ('self-web', 'telephone', 'clinic')", name=op.f("ck_questionnaire_response_mode")),
        sa.CheckConstraint(
            "status IN ('in-progress', 'completed', 'amended', 'entered-in-error', 'stopped')",
            name=op.f("ck_questionnaire_response_status"),
        ),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_questionnaire_response_subject_id")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_questionnaire_response_visit_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_questionnaire_response")),
        sa.UniqueConstraint(
            "visit_id", "instrument_code", name=op.f("uq_questionnaire_response_visit_id_instrument_code")
        ),
    )
    op.create_index(
        op.f("ix_questionnaire_response_subject_id"), "questionnaire_response", ["subject_id"], unique=False
    )
    op.create_table(
        "visit_draft",
        sa.Column("visit_id", BigInt, nullable=False),
        sa.Column("answers", Json, nullable=False),
        sa.Column("saved_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_visit_draft_visit_id")),
        sa.PrimaryKeyConstraint("visit_id", name=op.f("pk_visit_draft")),
    )
    op.create_table(
        "attempt",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("message_id", BigInt, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("provider_id", sa.String(), nullable=True),
        sa.Column("reply", sa.String(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('accepted', 'try-again', 'refused', 'unknown')", name=op.f("ck_attempt_outcome")
        ),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_attempt_message_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
        sa.UniqueConstraint("message_id", "number", name=op.f("uq_attempt_message_id_number")),
    )
    op.create_table(
        "link",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("visit_id", BigInt, nullable=False),
        sa.Column("message_id", BigInt, nullable=True),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_link_message_id")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_link_visit_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_link_token_hash")),
    )
    op.create_index(op.f("ix_link_message_id"), "link", ["message_id"], unique=False)
    op.create_index(op.f("ix_link_visit_id"), "link", ["visit_id"], unique=False)
    op.create_table(
        "score",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("response_id", BigInt, nullable=False),
        sa.Column("visit_id", BigInt, nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("instrument_code", sa.String(), nullable=False),
        sa.Column("instrument_version", sa.String(), nullable=False),
        sa.Column("scale_code", sa.String(), nullable=False),
        sa.Column("scoring_version", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("raw_score", sa.Float(), nullable=True),
        sa.Column("t_score", sa.Float(), nullable=True),
        sa.Column("standard_error", sa.Float(), nullable=True),
        sa.Column("n_answered", sa.Integer(), nullable=False),
        sa.Column("n_items", sa.Integer(), nullable=False),
        sa.Column("prorated", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("scored_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("(status = 'not-scored') = (reason IS NOT NULL)", name=op.f("ck_score_reason")),
        sa.CheckConstraint("(status = 'scored') = (raw_score IS NOT NULL)", name=op.f("ck_score_scored")),
        sa.CheckConstraint("status IN ('scored', 'not-scored')", name=op.f("ck_score_status")),
        sa.ForeignKeyConstraint(["response_id"], ["questionnaire_response.id"], name=op.f("fk_score_response_id")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_score_subject_id")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_score_visit_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_score")),
        sa.UniqueConstraint(
            "response_id", "scale_code", "scoring_version", name=op.f("uq_score_response_id_scale_code_scoring_version")
        ),
    )
    op.create_index(op.f("ix_score_subject_id"), "score", ["subject_id"], unique=False)
    op.create_index(op.f("ix_score_visit_id"), "score", ["visit_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_score_visit_id"), table_name="score")
    op.drop_index(op.f("ix_score_subject_id"), table_name="score")
    op.drop_table("score")
    op.drop_index(op.f("ix_link_visit_id"), table_name="link")
    op.drop_index(op.f("ix_link_message_id"), table_name="link")
    op.drop_table("link")
    op.drop_table("attempt")
    op.drop_table("visit_draft")
    op.drop_index(op.f("ix_questionnaire_response_subject_id"), table_name="questionnaire_response")
    op.drop_table("questionnaire_response")
    op.drop_index(op.f("ix_message_subject_id"), table_name="message")
    op.drop_index(
        "ix_message_due",
        table_name="message",
        postgresql_where=sa.text("state = 'planned'"),
        sqlite_where=sa.text("state = 'planned'"),
    )
    op.drop_index(
        "ix_message_claimed",
        table_name="message",
        postgresql_where=sa.text("state = 'claimed'"),
        sqlite_where=sa.text("state = 'claimed'"),
    )
    op.drop_table("message")
    op.drop_index(op.f("ix_call_subject_id"), table_name="call")
    op.drop_table("call")
    op.drop_index(op.f("ix_adverse_event_infusion_id"), table_name="adverse_event")
    op.drop_table("adverse_event")
    op.drop_index(op.f("ix_visit_subject_id"), table_name="visit")
    op.drop_index(
        "ix_visit_open",
        table_name="visit",
        postgresql_where=sa.text("completed_at IS NULL AND voided_at IS NULL"),
        sqlite_where=sa.text("completed_at IS NULL AND voided_at IS NULL"),
    )
    op.drop_index(op.f("ix_visit_completed_at"), table_name="visit")
    op.drop_table("visit")
    op.drop_table("infusion")
    op.drop_table("identity")
    op.drop_table("course")
    op.drop_index(op.f("ix_contact_address_hash"), table_name="contact")
    op.drop_table("contact")
    op.drop_table("consent")
    op.drop_index(op.f("ix_subject_site_id"), table_name="subject")
    op.drop_table("subject")
    op.drop_table("account_site")
    op.drop_table("site")
    op.drop_table("heartbeat")
    op.drop_table("definition")
    op.drop_index("ix_audit_event_subject_id", table_name="audit_event")
    op.drop_table("audit_event")
    op.drop_table("aggregate")
    op.drop_table("account")

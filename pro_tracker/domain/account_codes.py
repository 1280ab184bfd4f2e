"""Codes of whoever acts: what an account may do, and who stands behind a row of the audit trail."""

from enum import StrEnum


class Role(StrEnum):
    """What an account may do; what exactly is written at each route."""

    COORDINATOR = "coordinator"
    CLINICIAN = "clinician"
    RESEARCHER = "researcher"
    ADMINISTRATOR = "administrator"


class ActorKind(StrEnum):
    """Who did what an audit row tells: a signed-in account, a patient, a service task, or a command of the operator."""

    ACCOUNT = "account"
    PATIENT = "patient"
    SERVICE = "service"
    COMMAND = "command"

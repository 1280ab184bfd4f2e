"""Codes of accounts and actors: the roles of accounts, and the kinds of actor in the audit trail."""

from enum import StrEnum


class Role(StrEnum):
    """The role of an account. Each route declares the roles that may use it."""

    COORDINATOR = "coordinator"
    CLINICIAN = "clinician"
    RESEARCHER = "researcher"
    ADMINISTRATOR = "administrator"


class ActorKind(StrEnum):
    """Kind of actor of a change in an audit row: an account, a patient, a service task or an operator's command."""

    ACCOUNT = "account"
    PATIENT = "patient"
    SERVICE = "service"
    COMMAND = "command"

"""Sites: the clinics of one installation."""

from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, Json


class Site(Base):
    """One clinic. Created and updated by `pro-tracker migrate` from config/sites.yaml, never deleted."""

    __tablename__ = "site"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)  # short, part of study codes and exports; never changes
    name: Mapped[str]
    time_zone: Mapped[str]  # IANA name; staff pages show local times in it
    phone: Mapped[str]  # shown to patients on pages that cannot help them further
    emergency_number: Mapped[str] = mapped_column(default="", server_default="")  # such as 911; "": not set
    # The crisis line: its "number", and by language the sentence that offers it; empty: not set.
    crisis_line: Mapped[dict[str, str]] = mapped_column(Json, default=dict, server_default="{}")
    # What the clinic adds to the pages about privacy and accessibility (clinic/patient_pages.py); empty: nothing.
    patient_pages: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, server_default="{}")
    # The protocol of new subjects where none is chosen; "": staff have to choose, unless there is only one.
    protocol_code: Mapped[str] = mapped_column(default="", server_default="")
    # Of record numbers (domain/record_numbers.py): a pattern of the normal form, a number that fits it, and how many
    # digits a number has with its leading zeros; "" and 0: none.
    number_pattern: Mapped[str] = mapped_column(default="", server_default="")
    number_example: Mapped[str] = mapped_column(default="", server_default="")
    number_width: Mapped[int] = mapped_column(default=0, server_default="0")
    last_subject_number: Mapped[int] = mapped_column(default=0)  # of study codes; its row lock serialises enrolment

"""Sites: the clinics of one installation."""

from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base


class Site(Base):
    """One clinic. Created and updated by `pro-tracker migrate` from config/sites.yaml, never deleted."""

    __tablename__ = "site"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)  # short, part of study codes and exports; never changes
    name: Mapped[str]
    time_zone: Mapped[str]  # IANA name; staff pages show local times in it
    phone: Mapped[str]  # shown to patients on pages that cannot help them further
    last_subject_number: Mapped[int] = mapped_column(default=0)  # of study codes; its row lock serialises enrolment

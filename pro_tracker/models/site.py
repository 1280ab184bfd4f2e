"""Sites: the clinics of one installation."""

from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base


class Site(Base):
    """One clinic. Created and updated by `pro-tracker migrate` from config/sites.yaml, never deleted."""

    __tablename__ = "site"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)  # short, in study ids and file columns; never changes
    name: Mapped[str]
    time_zone: Mapped[str]  # IANA name; where staff pages show local times
    phone: Mapped[str]  # shown to patients wherever a page cannot help them further
    last_subject_number: Mapped[int] = mapped_column(
        default=0
    )  # running number of study codes; one row update hands out the next

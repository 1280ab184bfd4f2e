"""Staff accounts. Patients have none."""

from datetime import datetime

from sqlalchemy import Column, ForeignKey, Table
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pro_tracker.db import Base, Code, UtcDateTime, one_of
from pro_tracker.domain.account_codes import Role
from pro_tracker.models.site import Site

account_site = Table(
    "account_site",
    Base.metadata,
    Column("account_id", ForeignKey("account.id"), primary_key=True),
    Column("site_id", ForeignKey("site.id"), primary_key=True),
)


class Account(Base):
    """One member of staff, with one role and the sites whose subjects the account may see."""

    __tablename__ = "account"
    __table_args__ = (one_of("role", Role),)

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)  # lower case
    display_name: Mapped[str]
    password: Mapped[str | None]  # argon2id hash
    role: Mapped[Role] = mapped_column(Code(Role))
    active: Mapped[bool] = mapped_column(default=True)
    fs_uniquifier: Mapped[str] = mapped_column(unique=True)  # changing it ends every session of the account
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sites: Mapped[list[Site]] = relationship(secondary=account_site, order_by=Site.code)

    @property
    def site_ids(self) -> list[int]:
        return [site.id for site in self.sites]

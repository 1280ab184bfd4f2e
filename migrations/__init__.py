"""Alembic migrations, numbered, one purpose each. Run by `pro-tracker migrate`."""

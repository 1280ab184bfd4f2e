"""Verbs: load rows, call the rules in domain/, change rows. They flush, never commit, and know no Flask or Celery."""

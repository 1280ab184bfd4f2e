"""Verbs: load rows, call the rules in domain/, change rows. They may flush, never commit; they know no Flask and no Celery."""

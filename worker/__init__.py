"""Background work: Celery's settings and tasks. The only package that imports Celery."""

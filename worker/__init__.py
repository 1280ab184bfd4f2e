"""The sending side: Celery's settings and its tasks. The only package that knows Celery."""

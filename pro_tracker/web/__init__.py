"""Routes, forms and pages: HTTP only. Rules and data access are in `services` and `domain`."""

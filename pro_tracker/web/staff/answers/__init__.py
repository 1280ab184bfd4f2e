"""Pages on the answers of a visit: all of them with their corrections; amend, mark as entered in error, move."""

from pro_tracker.web.staff.answers import amending, late, moving, pages, voiding

__all__ = ["amending", "late", "moving", "pages", "voiding"]

"""Pages with cohort results: figures for clinicians and researchers, and export files for researchers."""

from pro_tracker.web.research import downloads, pages
from pro_tracker.web.research.blueprint import blueprint

__all__ = ["blueprint", "downloads", "pages"]

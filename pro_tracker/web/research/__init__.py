"""The results of the cohort: figures for clinicians and researchers, files for researchers."""

from pro_tracker.web.research import downloads, pages
from pro_tracker.web.research.blueprint import blueprint

__all__ = ["blueprint", "downloads", "pages"]

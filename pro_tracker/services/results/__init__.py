"""Cohort figures and cohort files, without identity; changes no answers."""

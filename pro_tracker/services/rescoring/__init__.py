"""Scores stored answers again under a new scoring version; changes no answers and deletes no score."""

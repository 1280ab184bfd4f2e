"""Corrects stored answers: amends, voids or moves responses, never overwrites one; reads what was corrected."""

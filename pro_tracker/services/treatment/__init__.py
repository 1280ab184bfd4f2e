"""Treatment as staff record it: courses, infusions, staff-entered dates, pauses; touches no answers."""

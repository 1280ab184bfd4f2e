"""What staff record of a treatment: courses, infusions, staff-entered dates, pauses; touches no answers."""

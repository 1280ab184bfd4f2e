"""Forms of the staff pages: fields and validation. No database access."""

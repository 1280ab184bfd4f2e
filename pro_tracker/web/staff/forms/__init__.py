"""The forms of staff pages: fields, validation, no database."""

"""The visits and planned messages that follow from a course, and what a change would do to them; sends nothing."""

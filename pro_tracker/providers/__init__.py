"""One class per outside system that takes messages. base.py holds the contract; no provider reads or writes a table."""

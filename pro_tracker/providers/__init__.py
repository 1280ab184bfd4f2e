"""One class per outside system that messages leave by. base.py holds the contract; none of them knows a table."""

"""Files of people and infusions: checked whole, staged, and loaded in portions; decides nothing about treatment."""

"""A message's way from due to its provider, and what providers report about it; decides no plan."""

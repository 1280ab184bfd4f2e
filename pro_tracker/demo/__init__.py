"""`pro-tracker demo`: the whole service on one machine with synthetic patients. Not for production."""

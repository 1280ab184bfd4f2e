"""`pro-tracker demo`: the whole service on one machine with synthetic patients. Nothing here runs at a clinic."""

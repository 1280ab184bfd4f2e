"""The call list, call attempts, the worklist, and why visits stay unanswered; sends nothing."""

"""Links, what a visit asks, drafts, completed responses and snoozes; knows no provider and no call."""

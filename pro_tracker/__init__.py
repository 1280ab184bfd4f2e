"""PRO Tracker: asks, reminds, scores and shows what patients report."""

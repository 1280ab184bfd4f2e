"""One subject's pages: list, record, trend, ledger; only reads."""

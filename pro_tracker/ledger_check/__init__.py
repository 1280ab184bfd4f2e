"""An independent judge of what was sent: the ledger against the outside world's own record.

It shares no code with what it judges (an import contract says so): own SQL, own reading of the protocol, own rules.
"""

"""Independent verification of the ledger: compares the service's tables with a log of external events.

The package shares no code with the service that it verifies (an import contract enforces this). It has its own SQL, its
own protocol parser and its own implementation of the sending rules.
"""

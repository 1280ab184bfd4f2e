"""How a simulation tells the outside record what people did and what the service was told of it."""

from typing import Protocol


class Tell(Protocol):
    """`tell("zone", subject=..., zone=...)`, now: one line of docs/ledger-check.md."""

    def __call__(self, what: str, **facts: object) -> None: ...


def nobody(what: str, **facts: object) -> None:
    """For simulations whose ledger nobody checks."""

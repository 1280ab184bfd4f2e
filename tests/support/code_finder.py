"""Finds the sets of codes of the domain and the columns that hold them, for the guards of codes."""

import importlib
import pkgutil
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Column

import pro_tracker
import pro_tracker.models  # registers every table
from pro_tracker import domain
from pro_tracker.db import Base, Code

PROJECT = Path(__file__).parents[2]
PACKAGE = PROJECT / "pro_tracker"


def enums() -> list[type[StrEnum]]:
    """Returns every set of codes: the StrEnums of the domain."""
    modules = (
        importlib.import_module(f"{domain.__name__}.{each.name}") for each in pkgutil.iter_modules(domain.__path__)
    )
    return [value for module in modules for value in vars(module).values() if _is_defined_in(module, value)]


def _is_defined_in(module: ModuleType, value: object) -> bool:
    return isinstance(value, type) and issubclass(value, StrEnum) and value.__module__ == module.__name__


def modules() -> Iterator[ModuleType]:
    """Imports and yields every module of the package."""
    for each in pkgutil.walk_packages(pro_tracker.__path__, f"{pro_tracker.__name__}."):
        yield importlib.import_module(each.name)


def tables_of_codes() -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Yields each mapping keyed by codes of one set, with the name that it has in the first module that holds it."""
    for name, value in _constants():
        if isinstance(value, dict) and value and len(sets_of_keys(value)) == 1:
            yield name, value


def sets_of_keys(table: Mapping[Any, Any]) -> set[type]:
    """Returns the types of the keys; None is allowed next to codes."""
    types = {type(key) for key in table if key is not None}
    return types if all(issubclass(each, StrEnum) for each in types) else set()


def subsets_of_codes() -> Iterator[tuple[str, Collection[StrEnum]]]:
    """Yields each constant that is a tuple, list or set of codes, with its name in the first module that holds it."""
    for name, value in _constants():
        is_constant = name.rpartition(".")[2].isupper()
        codes = value if is_constant and isinstance(value, tuple | list | set | frozenset) else ()
        if codes and all(isinstance(each, StrEnum) for each in codes):
            yield name, codes


def _constants() -> Iterator[tuple[str, object]]:
    """Yields each object that a module holds under a name, once: "domain.channels.CHANNELS", the mapping."""
    seen: set[int] = set()
    for module in modules():
        for name, value in vars(module).items():
            if id(value) not in seen:
                seen.add(id(value))
                yield f"{module.__name__.removeprefix('pro_tracker.')}.{name}", value


def code_columns() -> Iterator[tuple[Column[object], tuple[type[StrEnum], ...]]]:
    """Yields every column of codes with its sets of codes."""
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, Code):
                yield column, column.type.codes


def codes_by_column_name(tables: Collection[str] = Base.metadata.tables) -> dict[str, set[str]]:
    """Returns column name -> the codes that columns of this name may hold."""
    found: dict[str, set[str]] = defaultdict(set)
    for column, sets in code_columns():
        if column.table.name in tables:
            found[column.name] |= {code.value for each in sets for code in each}
    return found

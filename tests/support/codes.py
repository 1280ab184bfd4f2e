"""Finds the sets of codes of the domain and the columns that hold them, for the guards of codes."""

import importlib
import pkgutil
from collections import defaultdict
from collections.abc import Collection, Iterator
from enum import StrEnum
from pathlib import Path
from types import ModuleType

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

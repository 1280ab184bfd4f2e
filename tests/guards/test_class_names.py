"""A public class name is used once in the package, so that it means one thing wherever it is read."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pro_tracker

PACKAGE = Path(pro_tracker.__file__).parent


def public_classes() -> Iterator[tuple[str, str]]:
    """Yields the name of each public class with the file that defines it."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield node.name, path.relative_to(PACKAGE).as_posix()


def test_public_class_names_are_unique() -> None:
    files_by_name = defaultdict(list)
    for name, file in public_classes():
        files_by_name[name].append(file)

    assert len(files_by_name) > 200
    assert {name: files for name, files in files_by_name.items() if len(files) > 1} == {}

"""docs/architecture.md names files that exist, and functions, classes and constants that its modules define.

A path is text in backticks with a slash or a file's ending, or the target of a link. It begins at the top of the
project or in `pro_tracker/`; a file name alone may also be in the folder of the path before it. <...> stands for any
text. A name is an identifier in backticks in a numbered step. `links.find` is defined in a module `links`; every other
name in one of the Python files or folders that its step names. Commands and expressions are not checked.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "architecture.md"
CODE = ("pro_tracker", "worker", "config")

PART = re.compile(r"\n(?=\n|\||- |\d+\. )")  # between paragraphs, table rows and list items
STEP = re.compile(r"\d+\. ")
LINK = re.compile(r"\]\(([^)#:]+)")
QUOTED = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"[\w.<>*-]*/[\w.<>*/-]*|[\w<>*-]+\.(?:py|md|yaml|yml|example)")
NAME = re.compile(r"[A-Za-z_]\w*(\.\w+)?")


def missing(text: str) -> list[str]:
    """Returns the paths and names in the text of a document of docs/ that do not exist, in their order."""
    return [each for part in PART.split(text) for each in _missing_in(part.strip())]


def _missing_in(part: str) -> Iterator[str]:
    """Yields what is missing of one step, table row or paragraph."""
    yield from (target for target in LINK.findall(part) if not (DOCUMENT.parent / target).exists())
    quoted, files = QUOTED.findall(part), list[Path]()
    for path in filter(PATH.fullmatch, quoted):
        found = _find(path, files)
        files += found
        if not found:
            yield path
    if STEP.match(part):
        names = (each for each in quoted if NAME.fullmatch(each) and not PATH.fullmatch(each))
        yield from (name for name in names if not _is_defined(name, files))


def _find(path: str, before: Sequence[Path]) -> list[Path]:
    """Returns the files or folders with this path; `before` are those that the same part has named so far."""
    pattern = re.sub("<[^>]+>", "*", path)
    folders = [ROOT, ROOT / "pro_tracker"]
    if before and "/" not in path:
        folders.append(before[-1] if before[-1].is_dir() else before[-1].parent)
    return [found for folder in folders for found in folder.glob(pattern)]


def _is_defined(name: str, files: Sequence[Path]) -> bool:
    """Returns whether module.name, or each part of any other name, is defined where it should be."""
    owner, _, last = name.partition(".")
    modules = [path for path in _modules() if path.stem == owner]
    if last and modules:
        return any(last in _definitions(module) for module in modules)
    known = set[str]().union(*map(_definitions, files))
    return known.issuperset(name.split("."))


@cache
def _modules() -> Sequence[Path]:
    return [path for folder in CODE for path in (ROOT / folder).rglob("*.py")]


@cache
def _definitions(path: Path) -> frozenset[str]:
    """Returns what a module, or each module directly in a folder, defines; not what it imports."""
    modules = path.glob("*.py") if path.is_dir() else [path] if path.suffix == ".py" else []
    trees = (ast.parse(module.read_text(encoding="utf-8")) for module in modules)
    return frozenset(name for tree in trees for name in _defined_in(tree))


def _defined_in(tree: ast.Module) -> Iterator[str]:
    """Yields functions, classes, attributes, and what is assigned to names outside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        if isinstance(node, ast.Module | ast.ClassDef):
            yield from _assigned_in(node.body)


def _assigned_in(body: Sequence[ast.stmt]) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            found = (node for target in targets for node in ast.walk(target))
            yield from (node.id for node in found if isinstance(node, ast.Name))


def test_every_path_and_name_in_the_architecture_document_exists() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    steps = [part for part in PART.split(text) if STEP.match(part.strip())]
    assert len(steps) > 50  # the search finds what it is meant to
    assert missing(text) == []


def test_a_wrong_path_or_name_is_found() -> None:
    text = """
Paths outside of steps are checked: `domain/scoring.py`, `docs/nowhere.md`, [glossary](glossary.md), [lost](lost.md).
Names outside of steps are not: `no_such_name`.

| `worker/` | `tasks.py`, `no_tasks.py` |

1. `domain/scoring.py`: `score`, `ScaleScore.raw_score`, `scores`, `ScaleScore.points`
   and, after a line break, `links.find` and `links.lose`.
2. `find` is in no file of this step, and `Instrument` is imported by `domain/scoring.py`, not defined.
3. `services/answering/`: `links.py`, `FRESH_LINKS_A_DAY` and `scoring.py`; `migrations/versions/<number>_<noun>.py`.
4. `make sure` and `Column(name)` are no names.
"""
    assert missing(text) == [
        *("lost.md", "docs/nowhere.md", "no_tasks.py"),
        *("scores", "ScaleScore.points", "links.lose", "find", "Instrument", "scoring.py"),
    ]

"""Documents wrap at 120 characters, so that a diff shows what changed and a terminal shows the whole line."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAX_LINE_LENGTH = 120

# Documents that are still to be wrapped again. A name is removed with the commit that wraps the document.
TO_BE_WRAPPED: frozenset[str] = frozenset()


def long_lines(text: str) -> Iterator[int]:
    """Numbers of the lines over the limit, without tables, code blocks and lines with a link or an address."""
    in_code = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif len(line) > MAX_LINE_LENGTH and not in_code and not _may_be_long(line):
            yield number


def _may_be_long(line: str) -> bool:
    is_table = line.lstrip("> -").startswith("|")
    is_code = line.startswith("    ")
    return is_table or is_code or "](" in line or "://" in line


def _documents() -> list[Path]:
    return [*sorted(ROOT.glob("*.md")), ROOT / "frontend/README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_documents_wrap_at_120_characters():
    documents = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in _documents()}
    found = {name: list(long_lines(text)) for name, text in documents.items()}

    assert {name: lines for name, lines in found.items() if lines and name not in TO_BE_WRAPPED} == {}
    assert {name for name in TO_BE_WRAPPED if not found.get(name)} == set(), "wrapped: remove it from TO_BE_WRAPPED"


def test_tables_code_and_addresses_may_be_longer():
    long = "x " * 61

    assert list(long_lines(f"{long}\nshort\n")) == [1]
    assert list(long_lines(f"| {long} |\n    {long}\n```\n{long}\n```\nhttps://clinic.example/{'x' * 120}\n")) == []
    assert list(long_lines(f"[page](page.md) {long}\n")) == []

"""Finds banned words in prose, identifiers, log events and templates: python -m tests.guards.vocabulary.

codespell reads whole words in any file; this adds what it cannot see: phrases of several words, and the parts of an
identifier. Both use banned_words.txt. Wording that people read (template text, message files, msgids) is not scanned.
"""

import ast
import io
import keyword
import re
import sys
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORDS = Path(__file__).with_name("banned_words.txt")
PHRASES = Path(__file__).with_name("banned_phrases.txt")
TOOLING = ("Makefile", ".ci/run", "Dockerfile", "docker-compose.yml", "pyproject.toml", "config/env.example")
SCRIPTS = ("frontend/**/*.md", "frontend/**/*.js", "frontend/**/*.scss", "requirements/*.sh")
CODE = ("pro_tracker", "worker", "config", "migrations", "benchmarks", "tests")
EXEMPT = {
    "docs/glossary.md",  # names the banned words
    "tests/guards/test_vocabulary.py",
}
RELEASED = "migrations/versions/"  # a released migration is never edited
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical"}

NAME_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")  # "InHand", "in_hand" and "IN_HAND" have the parts in, hand
BETWEEN_WORDS = r"(?=[\s-])[ \t#-]*\n?[ \t#-]*"  # a phrase may be broken over two lines, also of a comment
ATTRIBUTE = re.compile(r'\b(?:id|class|name|for)="([^"{}]*)"')
JINJA = re.compile(r"\{[{%](.*?)[%}]\}", re.DOTALL)
JINJA_STRING = re.compile(r""""[^"]*"|'[^']*'""")
IGNORED_LINE = "codespell:ignore"


@dataclass(frozen=True, slots=True)
class Term:
    """One banned word or phrase, in lower case, and what is written in its place."""

    words: tuple[str, ...]
    replacement: str

    @property
    def text(self) -> str:
        """The words with spaces between them."""
        return " ".join(self.words)


@dataclass(frozen=True, slots=True)
class Hit:
    """One place where a banned term is written. `path` is relative to the root, `line` counts from 1."""

    path: Path
    line: int
    term: Term

    def __str__(self) -> str:
        return f'{self.path}:{self.line}: "{self.term.text}": write {self.term.replacement}'


class Vocabulary:
    """The banned terms: `everywhere` in prose and in names, `in_names` in names only."""

    def __init__(self, everywhere: Iterable[Term], in_names: Iterable[Term], ignored: re.Pattern[str]) -> None:
        self._prose = {term.words: term for term in everywhere}
        self._names = {**self._prose, **{term.words: term for term in in_names}}
        self._longest = max(len(words) for words in self._names)
        self._pattern = _prose_pattern(self._prose.values())
        self._ignored = ignored

    def in_prose(self, text: str) -> Iterator[tuple[int, Term]]:
        """Each banned term in a text, with its position."""
        blanked = self._ignored.sub(lambda match: " " * len(match[0]), text)
        for match in self._pattern.finditer(blanked):
            yield match.start(), self._prose[tuple(re.findall(r"[a-z]+", match[0].lower()))]

    def in_name(self, name: str) -> Iterator[Term]:
        """Each banned term among the parts of an identifier, file name or event name."""
        parts = [part.lower() for part in NAME_PART.findall(name)]
        for start in range(len(parts)):
            for size in range(1, self._longest + 1):
                term = self._names.get(tuple(parts[start : start + size]))
                if term is not None and start + size <= len(parts):
                    yield term


def _prose_pattern(terms: Iterable[Term]) -> re.Pattern[str]:
    longest_first = sorted((term.words for term in terms), key=len, reverse=True)
    phrases = [BETWEEN_WORDS.join(words) for words in longest_first]
    return re.compile(rf"(?<![\w-])(?:{'|'.join(phrases)})(?![\w-])", re.IGNORECASE)


def load() -> Vocabulary:
    """The vocabulary of the two files next to this one, with codespell's exceptions from pyproject.toml."""
    sections = _sections(PHRASES.read_text(encoding="utf-8"))
    everywhere = [_term(line) for line in WORDS.read_text(encoding="utf-8").splitlines()] + sections["everywhere"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return Vocabulary(everywhere, sections["identifiers"], re.compile(project["tool"]["codespell"]["ignore-regex"]))


def _sections(text: str) -> dict[str, list[Term]]:
    sections: dict[str, list[Term]] = {}
    current: list[Term] = []
    for line in text.splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            current.append(_term(line))
    return sections


def _term(line: str) -> Term:
    """The term of a line `word->replacement`; a comma at the end says to codespell that there are several to choose."""
    banned, replacement = line.split("->")
    return Term(tuple(re.split(r"[ -]", banned)), replacement.strip().rstrip(","))


def hits(root: Path, vocabulary: Vocabulary) -> Iterator[Hit]:
    """Each banned term in the tree: Python, Markdown, templates, build files, scripts, and in their names."""
    for path in _files(root):
        text = path.read_text(encoding="utf-8")
        ignored = {number for number, line in enumerate(text.splitlines(), start=1) if IGNORED_LINE in line}
        for line, term in _found(path, text, vocabulary):
            if line not in ignored:
                yield Hit(path.relative_to(root), line, term)


def _files(root: Path) -> Iterator[Path]:
    code = [path for folder in CODE for path in sorted((root / folder).rglob("*.py"))]
    prose = [*sorted(root.glob("*.md")), *sorted((root / "docs").rglob("*.md"))]
    templates = sorted((root / "pro_tracker/web/templates").rglob("*.html"))
    tooling = [root / name for name in TOOLING if (root / name).exists()]
    scripts = [path for pattern in SCRIPTS for path in sorted(root.glob(pattern))]
    for path in [*code, *prose, *templates, *tooling, *scripts]:
        name = path.relative_to(root).as_posix()
        if name not in EXEMPT and not name.startswith(RELEASED):
            yield path


def _found(path: Path, text: str, vocabulary: Vocabulary) -> Iterator[tuple[int, Term]]:
    """Line and term of each hit in one file; those in its name are on line 1."""
    yield from ((1, term) for term in vocabulary.in_name(path.stem))
    if path.suffix == ".py":
        yield from _in_text(prose_of(text), vocabulary)
        yield from _in_names([*identifiers(text), *log_events(text)], vocabulary)
    elif path.suffix == ".html":
        yield from _in_names(template_names(text), vocabulary)
    else:
        yield from _in_text(text, vocabulary)


def _in_text(text: str, vocabulary: Vocabulary) -> Iterator[tuple[int, Term]]:
    for position, term in vocabulary.in_prose(text):
        yield text.count("\n", 0, position) + 1, term


def _in_names(names: Iterable[tuple[int, str]], vocabulary: Vocabulary) -> Iterator[tuple[int, Term]]:
    for line, name in names:
        yield from ((line, term) for term in vocabulary.in_name(name))


def prose_of(source: str) -> str:
    """Comments and docstrings of a Python file in their lines; every other line is empty."""
    lines = [""] * (source.count("\n") + 1)
    for token in _tokens(source):
        if token.type == tokenize.COMMENT:
            lines[token.start[0] - 1] = token.string
    source_lines = source.splitlines()
    for first, last in _docstrings(ast.parse(source)):
        lines[first - 1 : last] = source_lines[first - 1 : last]
    return "\n".join(lines)


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """First and last line of each docstring."""
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            yield docstring.lineno, docstring.end_lineno or docstring.lineno


def identifiers(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of each identifier of a Python file, at each of its uses."""
    for token in _tokens(source):
        if token.type == tokenize.NAME and not keyword.iskeyword(token.string):
            yield token.start[0], token.string


def _tokens(source: str) -> Iterator[tokenize.TokenInfo]:
    return tokenize.generate_tokens(io.StringIO(source).readline)


def log_events(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each constant event that is logged, such as "message.sent" in `log.info("message.sent")`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOG_METHODS:
            yield from _constant_texts(node.args[:1])


def _constant_texts(arguments: Iterable[ast.expr]) -> Iterator[tuple[int, str]]:
    for argument in arguments:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.lineno, argument.value


def template_names(text: str) -> Iterator[tuple[int, str]]:
    """Line and text of each id, class and form name of a template, and of each Jinja tag without its strings."""
    for match in ATTRIBUTE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match[1]
    for match in JINJA.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, JINJA_STRING.sub("", match[1])


def main(arguments: Sequence[str]) -> int:
    """Prints each hit, or with --count two tables: hits by term and by folder. Returns 1 when there is any hit."""
    found = list(hits(ROOT, load()))
    if "--count" in arguments:
        _print_counts(Counter(hit.term.text for hit in found))
        _print_counts(Counter(_folder(hit.path) for hit in found))
    else:
        print(*found, sep="\n", end="\n" if found else "")
    return int(bool(found))


def _folder(path: Path) -> str:
    """The package of a file: two levels below pro_tracker, else one."""
    depth = 2 if path.parts[0] == "pro_tracker" and len(path.parts) > 2 else 1
    return "/".join(path.parts[:depth])


def _print_counts(counts: Counter[str]) -> None:
    for name, count in counts.most_common():
        print(f"{count:6}  {name}")
    print(f"{counts.total():6}  in all\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

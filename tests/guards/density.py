"""Measures how dense the code is and fails over the ceilings in pyproject.toml: python -m tests.guards.density.

A node is what `ast.walk` yields, without the expression contexts Load, Store and Del, and without docstrings; those of
a function also without its decorators. A code line is a line with code on it: no comment, no docstring, no blank line.
"per line" is the mean, over all functions, of a function's nodes per code line; "all lines" is the mean over every code
line, imports and constants included. "comments" is comment lines for every 100 code lines.
"""

import argparse
import ast
import io
import statistics
import sys
import tokenize
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MAX_FUNCTION_LINES = 50  # from `def` to the last line, docstring included
MAX_PARAMETERS = 5  # without self and cls
MAX_LINE_LENGTH = 120

Function = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
NOT_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
}


@dataclass(frozen=True, slots=True)
class Place:
    """One finding: the measure, how much of it, and where (path, line, name of the function)."""

    measure: str
    value: float
    path: Path
    line: int
    name: str


@dataclass(slots=True)
class Measures:
    """Measurements of one package. `places` holds one entry for each function and each counted finding."""

    statement_nodes: list[int] = field(default_factory=list)
    function_nodes: list[int] = field(default_factory=list)
    function_densities: list[float] = field(default_factory=list)  # nodes per code line, one for each function
    nodes: int = 0
    code_lines: int = 0
    comment_lines: int = 0
    places: list[Place] = field(default_factory=list)

    def count(self, measure: str) -> int:
        """Number of findings of one measure."""
        return sum(place.measure == measure for place in self.places)

    def figures(self) -> dict[str, float]:
        """All figures by name, in the order of the table; medians and 90th percentiles are 0 without any data."""
        return {
            "statement_p50": statistics.median(self.statement_nodes or [0]),
            "statement_p90": percentile(self.statement_nodes, 90),
            "function_p50": statistics.median(self.function_nodes or [0]),
            "function_p90": percentile(self.function_nodes, 90),
            "line": round(statistics.fmean(self.function_densities), 1) if self.function_densities else 0.0,
            "package_line": round(self.nodes / self.code_lines, 1) if self.code_lines else 0.0,
            "comments": round(100 * self.comment_lines / self.code_lines, 1) if self.code_lines else 0.0,
            **{measure: self.count(measure) for measure in COUNTED},
        }


COUNTED = ("long_functions", "many_parameters", "comprehensions", "filter_assignments", "long_lines")
HEADINGS = {
    "statement_p50": "stmt p50",
    "statement_p90": "p90",
    "function_p50": "func p50",
    "function_p90": "p90",
    "line": "per line",
    "package_line": "all lines",
    "comments": "comments",
    "long_functions": "long",
    "many_parameters": "params",
    "comprehensions": "compr",
    "filter_assignments": "walrus",
    "long_lines": "wide",
}


def percentile(values: Sequence[int], percent: int) -> int:
    """The smallest value that at least `percent` % of all values do not exceed (nearest rank); 0 without values."""
    if not values:
        return 0
    rank = -(-len(values) * percent // 100)
    return sorted(values)[rank - 1]


def measure_package(paths: Iterable[Path]) -> Measures:
    """The measures of some Python files, taken together."""
    measures = Measures()
    for path in paths:
        _measure_file(measures, path)
    return measures


def _measure_file(measures: Measures, path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    tree = _without_docstrings(ast.parse(source))
    code_lines = _code_lines(source, ast.parse(source))
    measures.nodes += count_nodes(tree)
    measures.code_lines += len(code_lines)
    measures.comment_lines += _comment_lines(source)
    measures.places += _long_lines(source, path)
    for node in ast.walk(tree):
        _measure_node(measures, node, path, code_lines)


def _measure_node(measures: Measures, node: ast.AST, path: Path, code_lines: set[int]) -> None:
    if isinstance(node, Function):
        _measure_function(measures, node, path, code_lines)
    elif isinstance(node, ast.stmt) and not hasattr(node, "body"):
        measures.statement_nodes.append(count_nodes(node))
    elif isinstance(node, Comprehension):
        measures.places += _comprehension_findings(node, path)


def count_nodes(tree: ast.AST) -> int:
    """Number of syntax nodes in a tree whose docstrings were removed."""
    return sum(not isinstance(node, ast.expr_context) for node in ast.walk(tree))


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and _docstring(node) is not None:
            del node.body[0]
    return tree


def _docstring(node: ast.Module | ast.ClassDef | Function) -> ast.stmt | None:
    """The statement that is the docstring of a module, class or function."""
    return None if ast.get_docstring(node, clean=False) is None else node.body[0]


def _code_lines(source: str, tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    for token in _tokens(source):
        if token.type not in NOT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines - _docstring_lines(tree)


def _docstring_lines(tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        docstring = _docstring(node) if isinstance(node, DOCUMENTED) else None
        if docstring is not None:
            lines.update(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1))
    return lines


def _comment_lines(source: str) -> int:
    """Number of lines with a comment, also behind code; docstrings are not comments."""
    return len({token.start[0] for token in _tokens(source) if token.type == tokenize.COMMENT})


def _tokens(source: str) -> Iterator[tokenize.TokenInfo]:
    return tokenize.generate_tokens(io.StringIO(source).readline)


def _long_lines(source: str, path: Path) -> Iterator[Place]:
    for number, line in enumerate(source.splitlines(), start=1):
        if len(line) > MAX_LINE_LENGTH:
            yield Place("long_lines", len(line), path, number, "")


def _measure_function(measures: Measures, function: Function, path: Path, code_lines: set[int]) -> None:
    last_line = function.end_lineno or function.lineno
    own_lines = sum(function.lineno <= line <= last_line for line in code_lines)
    nodes = count_nodes(function) - sum(count_nodes(decorator) for decorator in function.decorator_list)
    measures.function_nodes.append(nodes)
    measures.function_densities.append(nodes / own_lines)
    sizes = {"function": nodes, "line": round(nodes / own_lines, 1)}
    sizes |= _over_limit("long_functions", last_line - function.lineno + 1, MAX_FUNCTION_LINES)
    sizes |= _over_limit("many_parameters", _parameters(function), MAX_PARAMETERS)
    for measure, value in sizes.items():
        measures.places.append(Place(measure, value, path, function.lineno, function.name))


def _over_limit(measure: str, value: int, limit: int) -> dict[str, float]:
    return {measure: value} if value > limit else {}


def _parameters(function: Function) -> int:
    """Number of named parameters, without self and cls; *args and **kwargs are not counted."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return sum(argument.arg not in ("self", "cls") for argument in named)


def _comprehension_findings(node: Comprehension, path: Path) -> Iterator[Place]:
    """More than one `for` or more than one `if`; and each assignment expression (:=) inside an `if`."""
    conditions = [condition for generator in node.generators for condition in generator.ifs]
    if max(len(node.generators), len(conditions)) > 1:
        yield Place("comprehensions", len(node.generators) + len(conditions), path, node.lineno, "")
    for condition in conditions:
        if any(isinstance(part, ast.NamedExpr) for part in ast.walk(condition)):
            yield Place("filter_assignments", 1, path, node.lineno, "")


def excesses(package: str, figures: Mapping[str, float], ceilings: Mapping[str, float]) -> Iterator[str]:
    """One line of text for each figure of a package over its ceiling; a figure without a ceiling is not judged."""
    for name, ceiling in ceilings.items():
        if figures[name] > ceiling:
            yield f"{package}: {name} is {figures[name]:g}, at most {ceiling:g} is allowed"


def ceilings_for(package: str, settings: Mapping[str, Any]) -> dict[str, float]:
    """The ceilings of one package: those for all packages, replaced by its own."""
    sizes, findings = settings["sizes"].get(package, {}), settings["findings"].get(package, {})
    return {**settings["all"], **sizes, **findings}


def worst(measures: Measures, number: int) -> Iterator[Place]:
    """The `number` findings with the highest value of each measure, highest first."""
    by_value = sorted(measures.places, key=lambda place: (-place.value, str(place.path), place.line))
    for name in ("function", "line", *COUNTED):
        yield from [place for place in by_value if place.measure == name][:number]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; with --worst also the worst places. Returns 1 when a package is over a ceiling."""
    options = _parse(arguments)
    settings = read_settings()
    packages = options.packages or default_packages()
    measured = {package: measure_package(files_of(package)) for package in packages}
    _print_table(measured)
    if options.worst:
        _print_worst(measured, options.worst)
    problems = [line for package, each in measured.items() for line in _problems(package, each, settings)]
    print(*problems, sep="\n", end="\n" if problems else "")
    return int(bool(problems))


def _problems(package: str, measures: Measures, settings: Mapping[str, Any]) -> Iterator[str]:
    return excesses(package, measures.figures(), ceilings_for(package, settings))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.guards.density", description=__doc__)
    parser.add_argument("packages", nargs="*", help="folders to measure, such as pro_tracker/services; default: all")
    parser.add_argument("--worst", type=int, default=0, metavar="N", help="print the N worst places of each measure")
    return parser.parse_args(arguments)


def read_settings() -> dict[str, Any]:
    """The table [tool.pro-tracker.density] of pyproject.toml: `all`, `sizes` and `findings`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    settings: dict[str, Any] = project["tool"]["pro-tracker"]["density"]
    return settings


def default_packages() -> list[str]:
    """Each package below pro_tracker, the modules directly in it, the worker and the configuration."""
    below = sorted(folder.parent for folder in (ROOT / "pro_tracker").glob("*/__init__.py"))
    return ["pro_tracker", *(str(folder.relative_to(ROOT)) for folder in below), "worker", "config"]


def files_of(package: str) -> list[Path]:
    """The Python files of a package and its subpackages; of pro_tracker itself only the modules directly in it."""
    folder = ROOT / package
    return sorted(folder.glob("*.py") if package == "pro_tracker" else folder.rglob("*.py"))


def _print_table(measured: Mapping[str, Measures]) -> None:
    print(f"{'package':26}" + "".join(f"{heading:>10}" for heading in HEADINGS.values()))
    for package, measures in measured.items():
        print(f"{package:26}" + "".join(f"{value:10g}" for value in measures.figures().values()))


def _print_worst(measured: Mapping[str, Measures], number: int) -> None:
    everything = Measures(places=[place for measures in measured.values() for place in measures.places])
    for place in worst(everything, number):
        print(f"{place.path.relative_to(ROOT)}:{place.line}: {place.measure} {place.value:g} {place.name}".rstrip())


if __name__ == "__main__":
    sys.exit(main())

"""The density check counts nodes, lines and findings as its docstring says. `make lint` runs it over the code."""

import ast
import textwrap

import pytest

from tests.guards import density
from tests.guards.density import count_nodes, excesses, measure_package, percentile


@pytest.fixture
def measures(tmp_path):
    """Function: the measures of one module with this source."""

    def measure(source):
        path = tmp_path / "module.py"
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        return measure_package([path])

    return measure


def test_nodes_are_counted_without_contexts_docstrings_and_decorators(measures):
    found = measures('''
        @decorated
        def double(number):
            """Twice the number."""
            return number * 2
    ''')

    # FunctionDef, arguments, arg, Return, BinOp, Name, Mult, Constant
    assert found.function_nodes == [8]
    assert found.statement_nodes == [5]


def test_code_lines_leave_out_comments_docstrings_and_blank_lines(measures):
    found = measures('''
        """A module."""

        # Why this number: it has two digits.
        LIMIT = 10


        def doubled():
            """Twice the limit."""

            return (
                LIMIT * 2  # on a line of its own
            )
    ''')

    assert found.code_lines == 5
    assert found.comment_lines == 2
    assert found.function_densities == [pytest.approx(7 / 4)]


def test_a_string_over_several_lines_is_code_unless_it_is_a_docstring(measures):
    found = measures('TEXT = """one\ntwo\nthree"""\n')

    assert found.code_lines == 3


def test_functions_over_50_lines_are_counted(measures):
    body = "\n".join("    print()" for _ in range(50))

    assert measures(f"def short():\n{body[: -len('    print()') - 1]}\n").count("long_functions") == 0
    assert measures(f"def long():\n{body}\n").count("long_functions") == 1


def test_more_than_five_parameters_are_counted_without_self(measures):
    assert measures("def few(self, a, b, c, *rest, d, e, **others): ...").count("many_parameters") == 0
    assert measures("def many(a, b, c, *, d, e, f): ...").count("many_parameters") == 1


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("[x for x in rows if x and x.y]", 0),
        ("[y for x in rows for y in x]", 1),
        ("{x: 1 for x in rows if x if x.y}", 1),
        ("any(x for x in rows)", 0),
    ],
)
def test_a_comprehension_has_one_loop_and_one_condition(measures, source, count):
    assert measures(source).count("comprehensions") == count


def test_an_assignment_in_the_condition_of_a_comprehension_is_counted_and_none_elsewhere(measures):
    assert measures("[y for x in rows if (y := x.y)]").count("filter_assignments") == 1
    assert measures("[(y := x.y) for x in rows]").count("filter_assignments") == 0
    assert measures("while (line := read()):\n    print(line)").count("filter_assignments") == 0


def test_lines_over_120_characters_are_counted(measures):
    assert measures(f"# {'x' * 118}\n").count("long_lines") == 0
    assert measures(f"# {'x' * 119}\n").count("long_lines") == 1


def test_an_empty_package_has_figures(tmp_path):
    assert set(measure_package([]).figures().values()) == {0}


def test_the_percentile_is_a_value_that_was_measured():
    assert percentile([], 90) == 0
    assert percentile([7], 90) == 7
    assert percentile([*range(1, 11)], 90) == 9


def test_a_figure_over_its_ceiling_is_named(measures):
    figures = measures("[y for x in rows for y in x]").figures()

    assert list(excesses("pro_tracker/web", figures, {"comprehensions": 1, "line": 99})) == []
    assert list(excesses("pro_tracker/web", figures, {"comprehensions": 0})) == [
        "pro_tracker/web: comprehensions is 1, at most 0 is allowed"
    ]


def test_the_worst_places_come_highest_first(measures):
    found = measures("def small(): ...\n\n\ndef large():\n    return [1, 2, 3]\n")

    functions = [place for place in density.worst(found, 5) if place.measure == "function"]

    assert [(place.name, place.line) for place in functions] == [("large", 4), ("small", 1)]


def test_every_package_has_ceilings():
    settings = density.read_settings()

    assert set(density.default_packages()) == set(settings["sizes"])


def test_operators_count_as_nodes():
    assert count_nodes(ast.parse("a + b", mode="eval").body) == 4

"""Docstrings begin with a noun or a verb in the third person ("Returns the score", "Score of one scale").

A command of Click is exempt: its docstring is the help text, which tells the operator what to do.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("pro_tracker", "worker", "config", "tests", "benchmarks")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

QUESTIONS = re.compile(r"false|how|if|in|true|until|what|when|where|whether|which|who|whose|why")
VERBS = re.compile(
    r"accept|acknowledge|add|advance|append|apply|ask|attach|begin|bind|bring|build|carry|choose|collect|"
    r"compare|complete|compose|compute|configure|connect|convert|correct|create|decide|declare|delete|deliver|"
    r"describe|do|encrypt|enforce|enrol|execute|find|get|give|handle|import|insert|judge|keep|let|make|"
    r"merge|parse|prepare|raise|re-score|read|recompute|recover|refuse|reject|remove|replace|"
    r"require|rescore|reset|return|revert|revive|revoke|save|say|send|serve|show|simulate|"
    r"suppress|take|tell|validate|verify|void|withdraw|wrap|write|yield"
)
NOUNS_TOO = re.compile(
    r"answer|audit|call|change|check|claim|close|commit|count|draw|end|estimate|export|hold|limit|link|list|"
    r"lock|log|mail|mark|name|note|open|page|plan|post|print|queue|record|redirect|release|report|request|"
    r"load|map|move|register|run|set|split|try|turn|use|"
    r"schedule|score|search|snooze|start|stop|store|submit|update|visit|wait"
)
OBJECTS = re.compile(r"a|all|an|any|each|every|it|its|one|the|their|them|these|this|those")


def openings(source: str) -> Iterator[tuple[int, str]]:
    """Line and first line of each docstring that does not begin as it should."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and not _is_command(node):
            text = ast.get_docstring(node)
            if text and _begins_wrongly(text):
                yield node.body[0].lineno, text.splitlines()[0]


def _is_command(node: ast.AST) -> bool:
    decorators = [ast.unparse(decorator) for decorator in getattr(node, "decorator_list", [])]
    return any(".command" in decorator or ".group" in decorator for decorator in decorators)


def _begins_wrongly(text: str) -> bool:
    """Returns whether a text opens with an imperative or a question word; a word like "Score" only before an object."""
    first, second = [word.strip(".,:;").lower() for word in [*text.split(maxsplit=2), "", ""][:2]]
    is_verb = VERBS.fullmatch(first) or (NOUNS_TOO.fullmatch(first) and OBJECTS.fullmatch(second))
    return bool(is_verb or QUESTIONS.fullmatch(first))


def test_docstrings_begin_with_a_noun_or_a_verb_in_the_third_person():
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in files
        for line, text in openings(path.read_text(encoding="utf-8"))
    ]

    assert len(files) > 200
    assert found == []


@pytest.mark.parametrize(
    "text", ["Return the score.", "Score every scale.", "Whether it is due.", "What staff record.", "Add up."]
)
def test_an_imperative_or_a_question_word_is_found(text):
    assert list(openings(f'def score():\n    """{text}"""\n')) == [(2, text)]


@pytest.mark.parametrize(
    "text", ["Returns whether it is due.", "Score of one scale.", "Message id -> its links.", "T points."]
)
def test_nouns_and_verbs_in_the_third_person_are_right(text):
    assert list(openings(f'def score():\n    """{text}"""\n')) == []


def test_the_help_of_a_command_may_be_imperative():
    assert list(openings('@click.command("run")\ndef run():\n    """Run the service."""\n')) == []

"""The scanner for banned words finds them where they are written, and the tree has none once renaming is complete."""

import re
import textwrap

import pytest

from tests.guards import vocabulary
from tests.guards.vocabulary import ROOT, Term, Vocabulary, hits, load

TERMS = (Term(("sheet",), "context"), Term(("put", "back"), "release"), Term(("made", "up"), "synthetic"))
NAMES = (Term(("told",), "recorded"), Term(("in", "hand"), "open"))


@pytest.fixture
def found(tmp_path):
    """Function: the hits in one file of a tree, as "path:line term"."""

    def scan(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        rules = Vocabulary(TERMS, NAMES, re.compile("style sheet"))
        return [f"{hit.path}:{hit.line} {hit.term.text}" for hit in hits(tmp_path, rules)]

    return scan


def test_comments_and_docstrings_are_prose(found):
    source = '''
        """A sheet."""

        LIMIT = 3  # as it was told, put back
    '''

    assert found("worker/a.py", source) == ["worker/a.py:2 sheet", "worker/a.py:4 put back"]


@pytest.mark.parametrize("text", ["It is put\nback.\n", "It is put-back.\n", "It is Put  back.\n"])
def test_a_phrase_may_be_broken_over_two_lines_or_hyphenated(found, text):
    assert found("docs/a.md", text) == ["docs/a.md:1 put back"]


def test_a_phrase_may_be_broken_over_two_comments(found):
    assert found("worker/a.py", "# They are put\n# back.\n") == ["worker/a.py:1 put back"]


def test_a_word_within_another_word_is_none(found):
    assert found("README.md", "A spreadsheet, a style sheet and an input backlog.\n") == []


@pytest.mark.parametrize(
    "name", ["put_back", "_put_back", "PutBack", "PUT_BACK", "putBackAt", "in_hand", "InHand", "told"]
)
def test_names_are_split_into_their_parts(found, name):
    assert len(found("worker/a.py", f"{name} = 1\n")) == 1


@pytest.mark.parametrize("name", ["input_backlog", "put_it_back", "untold", "inhand", "stylesheet"])
def test_other_names_are_no_hits(found, name):
    assert found("worker/a.py", f"{name} = 1\n") == []


def test_text_in_strings_is_not_scanned_but_events_in_the_log_are(found):
    source = """
        log.info("message.put-back")
        page = _("This sheet was made up.")
    """

    assert found("worker/a.py", source) == ["worker/a.py:2 put back"]


def test_names_in_templates_are_scanned_and_their_text_is_not(found):
    template = """
        <p id="sheet-1">{{ told.name }} {{ _("A sheet") }}</p>
        <p>A sheet that was put back</p>
    """

    assert found("pro_tracker/web/templates/a.html", template) == [
        "pro_tracker/web/templates/a.html:2 sheet",
        "pro_tracker/web/templates/a.html:2 told",
    ]


def test_file_names_are_scanned(found):
    assert found("pro_tracker/visit_sheet.py", "") == ["pro_tracker/visit_sheet.py:1 sheet"]


def test_the_changelog_is_scanned(found):
    assert found("CHANGELOG.md", "A sheet.\n") == ["CHANGELOG.md:1 sheet"]


@pytest.mark.parametrize("path", ["Makefile", ".ci/run", "frontend/README.md", "frontend/js/a.js", "requirements/a.sh"])
def test_build_files_styles_and_scripts_are_scanned(found, path):
    assert found(path, "# It is put back.\n") == [f"{path}:1 put back"]


def test_released_migrations_are_exempt(found):
    assert found("migrations/versions/0001_sheet.py", "sheet = 1\n") == []


def test_a_marked_line_is_passed_over(found):
    assert found("worker/a.py", "file.told()  # codespell:ignore told\n") == []


def test_a_hit_says_what_to_write(tmp_path):
    (tmp_path / "README.md").write_text("A sheet.\n", encoding="utf-8")

    only = next(hits(tmp_path, Vocabulary(TERMS, NAMES, re.compile("style sheet"))))

    assert str(only) == 'README.md:1: "sheet": write context'


def test_every_banned_term_is_listed_once_and_has_a_replacement():
    lines = [*vocabulary.WORDS.read_text().splitlines(), *vocabulary.PHRASES.read_text().splitlines()]
    terms = [line.split("->") for line in lines if line and not line.startswith(("#", "["))]
    banned = [term for term, _replacement in terms]

    assert sorted(banned) == sorted(set(banned))
    assert [term for term, replacement in terms if not replacement.strip(" ,")] == []


def test_no_banned_word_is_written():
    assert [str(hit) for hit in hits(ROOT, load())] == []

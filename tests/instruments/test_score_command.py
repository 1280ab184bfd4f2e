"""`pro-tracker score` scores JSON Lines in any environment, and one invalid line affects no other."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

COMMAND = [sys.executable, "-c", "from pro_tracker.cli import main; main()", "score"]
NRS_6 = '{"instrument": "pain-intensity-nrs", "answers": {"NRS": 6}}'
NRS_6_SCORED = {
    "instrument": "pain-intensity-nrs",
    "scores": [
        {
            "scale": "total",
            "raw_score": 6,
            "t_score": None,
            "standard_error": None,
            "n_answered": 1,
            "status": "scored",
            "reason": None,
        }
    ],
}


def run(given: str | bytes) -> tuple[int, list[dict[str, Any]]]:
    """Runs the command with search paths as its only environment. Returns its exit status and output lines."""
    content = given if isinstance(given, bytes) else given.encode()
    done = subprocess.run(
        COMMAND, input=content, capture_output=True, timeout=60, env={"PATH": os.defpath}, check=False
    )
    assert done.stderr == b""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_complete_form_gets_raw_score_t_score_and_standard_error() -> None:
    items = ["PAININ9", "PAININ22", "PAININ31", "PAININ34", "PAININ12", "PAININ36", "PAININ3", "PAININ13"]
    response = {"instrument": "promis-pain-interference-8a", "answers": dict.fromkeys(items, 3)}
    status, lines = run(json.dumps(response))
    assert status == 0
    assert lines == [
        {
            "instrument": "promis-pain-interference-8a",
            "scores": [
                {
                    "scale": "total",
                    "raw_score": 24,
                    "t_score": 61.5,
                    "standard_error": 1.3,
                    "n_answered": 8,
                    "status": "scored",
                    "reason": None,
                }
            ],
        }
    ]


def test_an_incomplete_form_is_not_scored_without_an_error() -> None:
    status, lines = run('{"instrument": "pcs", "answers": {"PCS8": 1, "PCS9": 2, "PCS10": 0, "PCS11": 4}}')
    assert status == 0
    total, rumination, *_ = lines[0]["scores"]
    assert (total["raw_score"], total["status"], total["n_answered"]) == (None, "not-scored", 4)
    assert total["reason"] == "4 of 13 items answered, all 13 are needed"
    assert (rumination["scale"], rumination["raw_score"], rumination["status"]) == ("rumination", 7, "scored")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('{"instrument": "nope", "answers": {}}', "There is no instrument 'nope'"),
        ('{"instrument": "../pcs", "answers": {}}', "There is no instrument '../pcs'"),
        ('{"instrument": "pgic", "answers": {"PCS1": 1}}', "pgic has no item 'PCS1'"),
        ('{"instrument": "pgic", "answers": {"PGIC": 8}}', "The answer to PGIC must be a whole number from 1 to 7."),
        ('{"instrument": "pgic", "answers": {"PGIC": 2.0}}', "must be a whole number"),
        ('{"instrument": "pgic", "answers": {"PGIC": true}}', "must be a whole number"),
        ('{"instrument": "pgic", "answers": {"PGIC": "2"}}', "must be a whole number"),
        ('{"instrument": "pgic", "answers": {"PGIC": null}}', "must be a whole number"),
        ('{"instrument": "pgic", "answers": {"PGIC": NaN}}', "must be a whole number"),
        ('{"instrument": "pgic", "answers": {"PGIC": 1, "PGIC": 2}}', "'PGIC' is given twice"),
        ('{"instrument": "pgic"}', '"answers" must be an object'),
        ('{"instrument": "pgic", "answers": [1]}', '"answers" must be an object'),
        ('{"instrument": 5, "answers": {}}', '"instrument" must be the id'),
        ('{"answers": {}}', '"instrument" must be the id'),
        ("[]", "not an object"),
        ("not json", "not valid JSON"),
        ("[" * 50_000, "not valid JSON"),
        ('{"instrument": "pgic", "answers": {"PGIC": ' + "9" * 5000 + "}}", "not valid JSON"),
        ("x" * 200_000, "longer than 64 KB"),
    ],
)
def test_an_unusable_line_gives_an_error_and_the_others_are_scored(line: str, error: str) -> None:
    status, lines = run(f"{NRS_6}\n{line}\n{NRS_6}\n")
    assert status == 1
    assert [lines[0], lines[2]] == [NRS_6_SCORED, NRS_6_SCORED]
    assert list(lines[1]) == ["error"]
    assert lines[1]["error"].startswith("line 2: ")
    assert error in lines[1]["error"]


def test_text_that_is_not_utf_8_gives_an_error() -> None:
    status, lines = run(b'\xff{"instrument": "pgic"}\n' + NRS_6.encode())
    assert (status, lines) == (1, [{"error": "line 1: not valid JSON."}, NRS_6_SCORED])


def test_byte_order_mark_crlf_empty_lines_and_missing_last_line_end_are_accepted() -> None:
    assert run(b"\xef\xbb\xbf" + f"{NRS_6}\r\n\r\n{NRS_6}".encode()) == (0, [NRS_6_SCORED, NRS_6_SCORED])


def test_empty_input_gives_empty_output() -> None:
    assert run("") == (0, [])


def test_each_line_is_answered_before_the_next_one_is_sent() -> None:
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PATH": os.defpath}) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(2):
            process.stdin.write(f"{NRS_6}\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) == NRS_6_SCORED
        process.stdin.close()
        assert process.wait(timeout=60) == 0


def test_scoring_loads_neither_the_database_nor_the_web() -> None:
    probe = "import sys, pro_tracker.cli.score; print({'sqlalchemy', 'flask', 'celery'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"

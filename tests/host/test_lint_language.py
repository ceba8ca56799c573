# SPDX-License-Identifier: MIT
"""tests/lint_language.py reports the docstrings and the commit subjects that violate the rules."""

import subprocess
from pathlib import Path

import lint_language
import pytest

SOURCE = '''\
"""How a module works."""

class Reader:
    """Read a file."""

    def size(self):
        """The same
        as len()."""

def whole():
    """Whole files are read."""

async def nothing():
    """Nothing is returned."""
'''


def repository(path: Path, *subjects: str) -> str:
    """Make a git repository with an exempt commit and commits with these subjects.

    Returns the hash of the exempt commit.
    """

    def git(*words: str) -> str:
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        line = ["git", "-C", str(path), *identity, *words]
        return subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "An exempt subject; it ends with a period.")
    exempt = git("rev-parse", "HEAD")
    git("checkout", "-q", "-b", "side")
    for subject in subjects:
        git("commit", "-q", "--allow-empty", "-m", subject)
    git("checkout", "-q", exempt)
    git("merge", "-q", "--no-ff", "-m", "Merge the branch side", "side")
    return exempt


def test_docstrings_that_start_with_a_forbidden_word() -> None:
    assert list(lint_language.docstring_findings(SOURCE, "a.py")) == [
        "a.py:1: docstring starts with 'How': How a module works.",
        "a.py:14: docstring starts with 'Nothing': Nothing is returned.",
        "a.py:7: docstring starts with 'The same': The same",
    ]


@pytest.mark.parametrize(
    ("subject", "reasons"),
    [
        ("tests: check subjects", []),
        ("bench, micropython: fix a comment", []),
        ("tests: " + "x" * 65, []),
        ("tests: " + "x" * 66, ["over 72 characters"]),
        ("tests: check subjects; docs: say so", ["semicolon"]),
        ("Check subjects", ["no `area: ` prefix"]),
        ("tests:check subjects", ["no `area: ` prefix"]),
    ],
)
def test_subjects(subject: str, reasons: "list[str]") -> None:
    assert list(lint_language.subject_findings(subject)) == reasons


def test_only_commits_after_the_exempt_one_are_checked(tmp_path: Path) -> None:
    exempt = repository(tmp_path, "docs: explain", "Explain; better")
    found = list(lint_language.commit_findings(tmp_path, exempt))
    assert [line.partition(": ")[2] for line in found] == [
        "subject: semicolon: Explain; better",
        "subject: no `area: ` prefix: Explain; better",
    ]


def test_a_history_without_the_exempt_commit_is_not_checked(tmp_path: Path) -> None:
    assert list(lint_language.commit_findings(tmp_path)) == []
    repository(tmp_path, "Explain; better")
    assert list(lint_language.commit_findings(tmp_path)) == []


def test_the_program_fails_with_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "harness/inside/sample.py"
    path.parent.mkdir(parents=True)
    path.write_text('"""Sample memory."""\n')
    monkeypatch.setattr(lint_language, "ROOT", tmp_path)
    assert (lint_language.main(), capsys.readouterr().out) == (0, "")
    path.write_text('"""What uses memory."""\n')
    expected = "harness/inside/sample.py:1: docstring starts with 'What': What uses memory.\n"
    assert (lint_language.main(), capsys.readouterr().out) == (1, expected)

# SPDX-License-Identifier: MIT
"""Check the language of docstrings and commit subjects: `python tests/lint_language.py`.

A docstring starts with what the function does, and a commit subject is `area: imperative sentence`.
Prints a line for each violation, and exits with status 1 if there is one.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIRECTORIES = (
    "storage_init",
    "initoverlayfs",
    "harness",
    "benchmarks",
    "docs",
    "dracut",
    "qemu-tests",
    "tests",
)

# The last commit whose subject need not follow the rules.
LAST_EXEMPT = "4f12b8f7983270b8df321e6b77e3fdd20e4eecf9"
MAX_SUBJECT = 72

# Words that start a clause without a verb, such as "What the kernel needs".
_HEADLESS = re.compile(r"(What|Where|Who|Whether|How|One|All|The same|Nothing|Those|That)\b")
_AREA = re.compile(r"[a-z][a-z0-9_.,/ -]*: \S")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstring_findings(source: str, path: str) -> Iterator[str]:
    """Yield a line for each docstring that starts with a forbidden word."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, _DOCUMENTED):
            continue
        text = ast.get_docstring(node) or ""
        if match := _HEADLESS.match(text):
            line = text.splitlines()[0]
            yield f"{path}:{node.body[0].lineno}: docstring starts with {match[1]!r}: {line}"


def subject_findings(subject: str) -> Iterator[str]:
    """Yield a reason for each rule that a commit subject violates."""
    if len(subject) > MAX_SUBJECT:
        yield f"over {MAX_SUBJECT} characters"
    if ";" in subject:
        yield "semicolon"
    if not _AREA.match(subject):
        yield "no `area: ` prefix"


def commit_findings(repository: Path, last_exempt: str = LAST_EXEMPT) -> Iterator[str]:
    """Yield a line for each violation by a commit after `last_exempt`, except merges.

    Yields nothing if that commit is not in the history, as in a shallow clone or a source archive.
    """

    def git(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(["git", "-C", repository, *words], capture_output=True, text=True)

    if git("merge-base", "--is-ancestor", last_exempt, "HEAD").returncode != 0:
        return
    log = git("log", "--no-merges", "--format=%h %s", last_exempt + "..HEAD")
    log.check_returncode()
    for line in log.stdout.splitlines():
        commit, _, subject = line.partition(" ")
        for reason in subject_findings(subject):
            yield f"commit {commit}: subject: {reason}: {subject}"


def findings(root: Path) -> Iterator[str]:
    """Yield a line for each violation in a source tree and its history."""
    for directory in DIRECTORIES:
        for path in sorted((root / directory).rglob("*.py")):
            yield from docstring_findings(path.read_text(), str(path.relative_to(root)))
    yield from commit_findings(root)


def main() -> int:
    """Print all violations; return the exit status."""
    found = list(findings(ROOT))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: MIT
"""Change each constant of storage_init's formats by one: a unit test must fail.

Constants are numbers, magics and codes of struct in assignments outside functions, which mutation
tools such as mutmut do not change.
"""

import ast
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

UNIT = Path(__file__).resolve().parent.parent / "unit"
# Module -> its unit tests.
TESTED = {
    "storage_init.formats": ("test_superblock", "test_partitions"),
    "storage_init.formats.binding": ("test_binding",),
    "storage_init.formats.btrfs": ("test_btrfs",),
    "storage_init.formats.elf": ("test_elf",),
    "storage_init.formats.ext4": ("test_ext4", "test_superblock"),
    "storage_init.formats.fat": ("test_fat",),
    "storage_init.formats.module_tables": ("test_module_tables",),
    "storage_init.formats.partitions": ("test_partitions",),
    "storage_init.formats.raid": ("test_raid",),
    "storage_init.formats.superblock": ("test_superblock",),
    "storage_init.kernel.devmapper": ("test_devmapper",),
}
# Modules that are imported again for each change.
PARTS = ("storage_init.formats", "storage_init.kernel.devmapper")
# Sizes of reads: any size that is large enough is correct.
FREE = {"HEAD_SIZE", "_BTRFS_SIZE", "_CHUNK", "_MD_1_SIZE", "_SUPERBLOCK_SIZE"}
# Changes of fields without an effect: the code compares the field only with 0, or masks its low
# bits. The others are of btrfs: unused fields of a key, fields of a header that are ignored and
# followed by padding then, and the flags of a chunk, of which the code compares the lower ones.
EQUIVALENT = {
    ("starthi", ">H"),
    ("start", ">H"),
    ("s_state", "<I"),
    ("s_feature_compat", "<Q"),
    ("_KEY", "@7Q4I4I"),
    ("_HEADER", "@IQQII"),
    ("_HEADER", "@QIQII"),
    ("type", "<I"),
}
# A format of struct: each letter is changed to that of another size. A string of bytes is changed
# by two: one may be half a unit of UTF-16.
CODE = re.compile(r"[@<>]?(?:\d*[xsBHIQi])+")
OTHER = {"B": "H", "H": "I", "I": "Q", "Q": "I", "i": "q", "<": ">", ">": "<"}


def changed(value: object) -> "Iterator[object]":
    """Yield the values that differ from a constant by one."""
    if isinstance(value, bool):
        return
    if isinstance(value, int):
        yield value + 1
        if value:
            yield value - 1
    if isinstance(value, bytes):
        yield bytes([value[0] + 1 & 0xFF]) + value[1:]
        yield value[:-1] + bytes([value[-1] + 1 & 0xFF])
    if isinstance(value, str) and CODE.fullmatch(value):
        for found in re.finditer(r"\d+|[BHIQi<>]", value):
            word = found[0]
            new = str(int(word) + 2) if word.isdigit() else OTHER[word]
            yield value[: found.start()] + new + value[found.end() :]


def tables(tree: ast.Module) -> "list[ast.Assign]":
    """Return the assignments of constants outside functions."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.Assign):
            name, value = ast.unparse(node.targets[0]), ast.unparse(node.value)
            if name not in FREE and not value.startswith("namedtuple"):
                found.append(node)
    return found


def constants(table: ast.Assign) -> "Iterator[tuple[str, ast.Constant]]":
    """Yield (name of the field or table, constant) of each constant in a table."""
    names: dict[ast.expr, object] = {}
    for part in ast.walk(table.value):
        if isinstance(part, ast.Tuple) and part.elts and isinstance(part.elts[0], ast.Constant):
            names.update(dict.fromkeys(part.elts, part.elts[0].value))
        if isinstance(part, ast.Constant):
            yield str(names.get(part, ast.unparse(table.targets[0]))), part


class Suite:
    """The unit tests of a module, run against it with other tables."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._first = ""  # the test that failed last: it finds the next change more often
        # Not imported: pytest would rewrite their assertions each time.
        paths = [UNIT / (test + ".py") for test in TESTED[name]]
        self._codes = [compile(path.read_text(), path, "exec") for path in paths]

    def fails(self, changes: "list[ast.stmt]") -> bool:
        """Tell whether a test fails after these assignments in the module."""
        saved = dict(sys.modules)
        for module in saved:
            if module.startswith(PARTS):
                del sys.modules[module]
        try:
            changed = importlib.import_module(self._name)
            exec(compile(ast.Module(changes, []), self._name, "exec"), vars(changed))
            return self._run()
        finally:
            sys.modules.update(saved)
            for name, loaded in saved.items():
                if name.startswith(PARTS):
                    package, _, child = name.rpartition(".")
                    setattr(saved[package], child, loaded)

    def _run(self) -> bool:
        tests = []
        for code in self._codes:
            module: dict[str, Callable[[], None]] = {}
            exec(code, module)
            tests += [(name, test) for name, test in module.items() if name.startswith("test_")]
        tests.sort(key=lambda test: test[0] != self._first)
        for self._first, test in tests:
            try:
                test()
            except Exception:
                return True
        return False


@pytest.mark.parametrize("name", TESTED)
def test_a_constant_changed_by_one_fails_a_test(name: str) -> None:
    importlib.import_module(name)
    suite = Suite(name)
    spec = importlib.util.find_spec(name)
    assert spec and spec.origin
    assignments = tables(ast.parse(Path(spec.origin).read_text()))
    assert assignments and not suite.fails(list(assignments))
    survivors = []
    for table in assignments:
        for field, constant in constants(table):
            old = constant.value
            for new in changed(old):
                if (field, new) in EQUIVALENT:
                    continue
                constant.value = new  # type: ignore[assignment]
                if not suite.fails(list(assignments)):
                    place = f"{spec.origin}:{constant.lineno}"
                    survivors.append(f"{place}: {field}: {old!r} -> {new!r}")
            constant.value = old
    if survivors:
        pytest.fail("no test fails for:\n" + "\n".join(survivors), pytrace=False)

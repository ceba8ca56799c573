# SPDX-License-Identifier: MIT
from storage_init.kernel import log


def test_lines_before_there_is_a_sink_are_kept_in_order():
    lines = []
    logger = log.Log()
    logger.info("one")
    logger.error("two")
    logger.open(lambda level, line: lines.append((level, line)))
    logger.warning("three")
    assert lines == [
        (6, "initoverlayfs: one"),
        (3, "initoverlayfs: two"),
        (4, "initoverlayfs: three"),
    ]


def test_debug_only_when_verbose():
    lines = []
    logger = log.Log(lambda level, line: lines.append(line))
    logger.debug("a")
    logger.set_verbose(True)
    logger.debug("b")
    assert lines == ["initoverlayfs: b"]


def test_a_sink_that_fails_does_no_harm():
    def sink(level, line):
        raise OSError(28, "no space")

    log.Log(sink).error("x")


def test_a_line_cannot_be_forged_and_has_an_end():
    assert log.printable("a\nb\x1b[0m\x7f") == "a?b?[0m?"
    lines = []
    log.Log(lambda level, line: lines.append(line)).info("x" * 5000)
    assert len(lines[0]) < 1000


def test_reason():
    assert log.reason(OSError(2, "open x: no")) == "open x: no"
    assert log.reason(ValueError("v")) == "ValueError: v"
    assert log.reason(MemoryError()) == "MemoryError"

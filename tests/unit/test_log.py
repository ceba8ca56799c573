# SPDX-License-Identifier: MIT
from storage_init.kernel import log


def test_lines_are_queued_until_a_sink_is_open():
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


def test_debug_lines_require_verbose():
    lines = []
    logger = log.Log(lambda level, line: lines.append(line))
    logger.debug("a")
    logger.set_verbose(True)
    logger.debug("b")
    assert lines == ["initoverlayfs: b"]


def test_a_failing_sink_raises_nothing():
    def sink(level, line):
        raise OSError(28, "no space")

    log.Log(sink).error("x")


def test_control_characters_and_long_lines():
    assert log.printable("a\nb\x1b[0m\x7f") == "a?b?[0m?"
    lines = []
    log.Log(lambda level, line: lines.append(line)).info("x" * 5000)
    assert len(lines[0]) < 1000


def test_reason():
    assert log.reason(OSError(2, "open x: no")) == "open x: no"
    assert log.reason(ValueError("v")) == "ValueError: v"
    assert log.reason(MemoryError()) == "MemoryError"

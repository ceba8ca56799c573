# SPDX-License-Identifier: MIT
from support import raises

from storage_init.boot import prompt
from storage_init.boot.state import AttemptState
from storage_init.boot.step import Attempt
from storage_init.boot.steps.stop import OpenPrompt, Refuse
from storage_init.kernel.failure import BootFailure


class Machine:
    kernel = log = children = None


def answered(step, answer):
    """Run a step at a prompt that answers so; return what it was told, and the failure or None."""
    told = []

    def ask(kernel, log, children, why, lines, last):
        told.extend((why, lines, last))
        return answer

    kept = prompt.ask
    prompt.ask = ask
    try:
        step.run(Machine(), AttemptState([Attempt("rescue", [step])], "rescue", "init"))
        return told, None
    except BootFailure as error:
        return told, error.args[0]
    finally:
        prompt.ask = kept


def test_an_attempt_that_is_not_possible():
    step = Refuse("there is no root=")
    assert step.describe() == "not possible: there is no root="
    assert raises(BootFailure, step.run, Machine(), None).args == ("there is no root=",)


def test_a_break_point():
    step = OpenPrompt(Refuse("x"))
    text = "before: not possible: x"
    assert step.describe() == "open the rescue prompt, " + text
    plan = ["attempt rescue:", "> open the rescue prompt, " + text]
    for answer in (True, False):
        assert answered(step, answer) == ([text, plan, False], None)


def test_the_last_prompt():
    told, error = answered(OpenPrompt(), True)
    assert told[0] == "no way to boot is left" and told[2] and error is None
    assert answered(OpenPrompt(), False)[1] == "the prompt was left"

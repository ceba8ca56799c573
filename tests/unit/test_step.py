# SPDX-License-Identifier: MIT
from storage_init.boot import step
from storage_init.boot.step import Attempt, Step, describe


class Wait(Step):
    def describe(self):
        return "wait"


def test_every_directory_that_is_mounted_on_is_detached_after_a_failure():
    for place in (step.NEW_ROOT, step.OVERLAY, step.IMAGE, step.BOOT):
        assert place in step.MOUNTS


def test_the_description_of_a_plan():
    attempts = [Attempt("a", [Wait(), Wait()]), Attempt("b", [Wait()])]
    assert describe(attempts) == ["attempt a:", "  wait", "  wait", "attempt b:", "  wait"]
    assert describe(attempts, ("a", 1))[1:3] == ["  wait", "> wait"]


def test_what_a_step_need_not_say():
    assert Wait().waits() == [] and Wait().break_point == ""

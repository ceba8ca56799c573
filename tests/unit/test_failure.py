# SPDX-License-Identifier: MIT
from storage_init.kernel.failure import BootFailure
from storage_init.kernel.log import reason


def test_its_sentence_is_logged_as_it_is():
    assert reason(BootFailure("no image")) == "no image"

# SPDX-License-Identifier: MIT
"""Entry of `python -m storage_init`, and of the frozen program."""

import sys

from storage_init.main import main

main(sys.argv[1:])

# SPDX-License-Identifier: MIT
"""Run the unit tests without pytest: `INTERPRETER tests/unit/run.py`, on either interpreter.

Runs the functions whose names start with test_, in the files given, or in all files of this
directory whose names start with test_. Prints `ok NAME`, or `FAIL NAME` and a traceback, for each
test, then `modules NAME...` with the modules of storage_init that were imported. Exits with status
1 if a test failed.
"""

import gc
import os
import sys


def show(error):
    """Print the traceback of an exception on standard output."""
    if hasattr(sys, "print_exception"):
        sys.print_exception(error, sys.stdout)
    else:
        sys.excepthook(type(error), error, error.__traceback__)


def main(files):
    """Run the tests, and exit."""
    here = sys.path[0] or "."
    failed = 0
    names = files or sorted([name for name in os.listdir(here) if name.startswith("test_")])
    for name in names:
        module = __import__(name.split(".")[0])
        for function in sorted(dir(module)):
            if not function.startswith("test_"):
                continue
            label = module.__name__ + "." + function
            gc.collect()  # MicroPython moves nothing, so that garbage divides its heap
            try:
                getattr(module, function)()
                print("ok", label)
            except Exception as error:
                failed += 1
                print("FAIL", label)
                show(error)
    print("modules", " ".join(sorted([m for m in sys.modules if m.startswith("storage_init.")])))
    sys.exit(1 if failed else 0)


main(sys.argv[1:])

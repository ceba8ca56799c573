# SPDX-License-Identifier: MIT
"""Fuzz the parsers of storage-init: `INTERPRETER tests/fuzz.py SEED COUNT [TARGET...]`.

Each target gets COUNT inputs, made from the seeds SEED, SEED + 1 and so on; without TARGET, every
target does. Prints for each target a line `TARGET COUNT DIGEST`, with a digest of all results.
Inputs and digests must be equal on CPython and MicroPython. Exits with status 1 at the first input
that raises an undocumented exception, reads without bounds or takes too long. The seed of that
input is printed, and `tests/fuzz.py SEED 1 TARGET` repeats it.
"""

import hashlib
import sys
import time
from binascii import hexlify

HERE = __file__[: __file__.rfind("/") + 1] or "./"
sys.path += [HERE + "unit", HERE + ".."]  # at the end: a frozen storage_init wins

import fuzz_targets  # noqa: E402
from fuzz_input import Random  # noqa: E402

# Seconds that an input may take, generous enough for a slow and busy machine.
LIMIT = 20


class Hung(Exception):
    """An input took longer than LIMIT."""


def alarm(seconds):
    """Raise Hung after `seconds`; 0 cancels that. Does nothing on MicroPython, without signals."""
    try:
        import signal
    except ImportError:
        return  # the run on CPython has the same inputs

    def ring(number, frame):
        raise Hung()

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)


def flat(value):
    """Serialize a value to bytes that are equal on both interpreters."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict):
        return flat(sorted(value.items()))
    if isinstance(value, (list, tuple)):
        return b"[" + b",".join([flat(one) for one in value]) + b"]"
    return str(value).encode()


def run(name, target, seed, count):
    """Feed `count` inputs to a target, and print its line.

    An exception of the target is raised again, after printing the target, the seed and the input.
    """
    make, check = target
    digest = hashlib.sha256()
    for number in range(seed, seed + count):
        data = make(Random(number))
        started = time.time()
        try:
            alarm(LIMIT)
            digest.update(flat(check(data)))
            alarm(0)
            if time.time() - started > LIMIT:
                raise Hung()
        except BaseException as error:
            print("FAIL", name, "seed", number, "input", hexlify(data).decode())
            print(type(error).__name__ + ":", error)
            raise
    print(name, count, hexlify(digest.digest()).decode()[:16])


def main(arguments):
    """Feed all named targets. Exits with status 2 if arguments are missing."""
    if len(arguments) < 2:
        print("usage: INTERPRETER tests/fuzz.py SEED COUNT [TARGET...]")
        sys.exit(2)
    targets = fuzz_targets.TARGETS
    for name in arguments[2:] or sorted(targets):
        run(name, targets[name], int(arguments[0]), int(arguments[1]))


if __name__ == "__main__":
    main(sys.argv[1:])

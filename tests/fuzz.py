# SPDX-License-Identifier: MIT
"""What is read at boot, by the thousand: `INTERPRETER tests/fuzz.py SEED COUNT [TARGET...]`.

Runs on either interpreter, and does the same on both for the same numbers. Each target is fed COUNT
inputs, made from the seeds SEED, SEED + 1 and so on. Prints for each target `TARGET COUNT DIGEST`,
the digest of all that its inputs led to: the interpreters have to agree on it. An input that raises
what is not documented, reads without bounds or takes too long ends the run with exit status 1; it
is printed with its seed, which makes it again: `tests/fuzz.py ITS-SEED 1 TARGET`.
"""

import hashlib
import sys
import time
from binascii import hexlify

HERE = __file__[: __file__.rfind("/") + 1] or "./"
sys.path += [HERE + "unit", HERE + ".."]  # at the end: a frozen storage_init wins

import fuzz_targets  # noqa: E402
from fuzz_input import Random  # noqa: E402

# Seconds that no input may take, on a slow machine that does other things as well.
LIMIT = 20


class Hung(Exception):
    """An input that took longer than LIMIT."""


def alarm(seconds):
    """Have Hung raised after so many seconds, where there are signals; 0: no more."""
    try:
        import signal
    except ImportError:  # CPython is given the same inputs
        return

    def ring(number, frame):
        raise Hung()

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)


def flat(value):
    """The value as bytes, in the same way on both interpreters."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict):
        return flat(sorted(value.items()))
    if isinstance(value, (list, tuple)):
        return b"[" + b",".join([flat(one) for one in value]) + b"]"
    return str(value).encode()


def run(name, target, seed, count):
    """Feed a target. Raises what it raises, after a line that says how to do that again."""
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
    if len(arguments) < 2:
        print("usage: INTERPRETER tests/fuzz.py SEED COUNT [TARGET...]")
        sys.exit(2)
    targets = fuzz_targets.TARGETS
    for name in arguments[2:] or sorted(targets):
        run(name, targets[name], int(arguments[0]), int(arguments[1]))


if __name__ == "__main__":
    main(sys.argv[1:])

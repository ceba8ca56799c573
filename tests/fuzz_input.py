# SPDX-License-Identifier: MIT
"""Make inputs for tests/fuzz.py from a seed: mutations of valid input, and almost valid text."""

import struct

from support import noise

NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x200, 0x7FFF, 0xFFFF, 1 << 20, (1 << 31) - 1, 0xFFFFFFFF)


class Random:
    """A pseudorandom number generator (xorshift32) with equal numbers on every interpreter."""

    def __init__(self, seed):
        self._state = (seed * 2654435761 + 0x9E3779B9) & 0xFFFFFFFF or 1
        for _ in range(4):
            self._next()

    def _next(self):
        state = self._state
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        self._state = state
        return state

    def below(self, limit):
        return self._next() % limit

    def choose(self, things):
        return things[self.below(len(things))]

    def noise(self, size):
        return noise(self.below(1 << 30), size)


def mutated(random, samples):
    """Change one of the samples up to five times, mostly near its start, where headers are."""
    data = random.choose(samples)
    for _ in range(random.below(6)):
        data = _changed(random, bytes(data), samples)
    return bytes(data)


def _changed(random, data, samples):
    at = random.below(1 + len(data))
    if random.below(2):
        at = min(at, random.below(1 << 1 + random.below(12)))
    kind = random.below(9)
    length = random.below(1 << random.below(9))
    if kind == 0:  # flip a bit
        return (
            data[:at]
            + bytes([b ^ 1 << random.below(8) for b in data[at : at + 1]])
            + data[at + 1 :]
        )
    if kind < 4:  # write a number at an aligned offset
        size, form = random.choose(((1, "<B"), (2, "<H"), (4, "<I"), (8, "<Q")))
        number = random.choose(NUMBERS) & (1 << 8 * size) - 1
        at -= at % size
        return data[:at] + struct.pack(form, number) + data[at + size :]
    if kind == 4:
        return data[:at] + random.noise(length) + data[at + length :]
    if kind == 5:
        return data[:at] + data[at + length :]
    if kind == 6:
        return data[: at + length] + data[at:]
    if kind == 7:
        return data[:at]
    other = random.choose(samples)
    return data[:at] + bytes(other[at : at + length]) + data[at + length :]


def text(random, pieces, most=30):
    """Join fewer than `most` random pieces, with noise between them."""
    parts = []
    for _ in range(random.below(most)):
        parts.append(random.choose(pieces) if random.below(5) else random.noise(random.below(6)))
    return b"".join(parts)

# SPDX-License-Identifier: MIT
"""Steps that load modules before anything needs them."""

from storage_init.boot.step import Step
from storage_init.devices import hashes, modprobe
from storage_init.devices.workers import CHILD_LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

    from storage_init.boot.machine import Machine
    from storage_init.boot.state import AttemptState


class LoadHashes(Step):
    """Load the module that computes hashes with this CPU's own instructions.

    verified: whether the image is verified by SHA-256; a generic module will do for that.
    """

    def __init__(self, verified: bool) -> None:
        self.verified = verified

    def describe(self) -> str:
        return "load the module that computes hashes with this CPU's own instructions, if any"

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        found = hashes.fast(machine.kernel)
        names = [name for name in found.values() if machine.loader.has(name)]
        names = [name for name in names if machine.loader.allowed(name)]
        if self.verified and found.get("sha256") not in names:
            names += hashes.GENERIC
        attempt.take_hash_modules(names)
        machine.workers.load_first(names)


class LoadAhead(Step):
    """Start loading the modules that later steps need, side by side with what follows.

    chains: names of filesystems or modules; those of one chain are loaded one after the other.
    """

    def __init__(self, chains: "List[List[str]]") -> None:
        self.chains = chains

    def describe(self) -> str:
        chains = ", ".join([" ".join(chain) for chain in self.chains])
        return "start to load modules in parallel: " + chains

    def waits(self) -> "List[Tuple[str, int]]":
        return [("modules", CHILD_LIMIT)]

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        chains = []
        for chain in self.chains:
            chains.append([modprobe.of_filesystem(name) for name in chain])
        machine.workers.load_ahead(chains)

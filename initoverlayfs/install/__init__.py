# SPDX-License-Identifier: MIT
"""Publishing pairs on the boot filesystem, going back to one, removing them."""

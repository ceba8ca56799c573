# SPDX-License-Identifier: MIT
"""A boot: the plan, its steps, and the two programs that execute it."""

# SPDX-License-Identifier: MIT
"""Programs that run inside the machines of the harness."""

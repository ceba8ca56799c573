# SPDX-License-Identifier: MIT
"""What proves how fast this is: whole boots side by side, and what is made of them."""

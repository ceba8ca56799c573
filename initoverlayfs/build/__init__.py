# SPDX-License-Identifier: MIT
"""Building the mini-initramfs, the image, and the binding between them."""

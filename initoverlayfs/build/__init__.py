# SPDX-License-Identifier: MIT
"""Build the mini-initramfs, the image, and the binding between them."""

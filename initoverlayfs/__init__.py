# SPDX-License-Identifier: MIT
"""The installer: build the mini-initramfs and the image, and publish both on /boot."""

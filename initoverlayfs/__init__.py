# SPDX-License-Identifier: MIT
"""The host's side of initoverlayfs: building both images and publishing them."""

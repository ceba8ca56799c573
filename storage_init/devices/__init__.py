# SPDX-License-Identifier: MIT
"""Devices and their drivers: uevents, sysfs, finding a device, loading modules."""

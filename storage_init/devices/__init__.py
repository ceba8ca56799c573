# SPDX-License-Identifier: MIT
"""Block devices and their drivers: uevents, sysfs, the search for a device, loading modules."""

# SPDX-License-Identifier: MIT
# opt=0 keeps assertions and line numbers.
package("storage_init", opt=0)  # noqa: F821

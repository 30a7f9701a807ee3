# SPDX-License-Identifier: GPL-3.0-or-later
"""What benchmarks share: a sandbox with hosts in it, the Engine API, figures and their medians."""

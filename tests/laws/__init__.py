# SPDX-License-Identifier: Apache-2.0
"""The law kit: what every decider has to obey, and a small world in which it is watched doing so."""

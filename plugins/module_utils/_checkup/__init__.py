# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# Apache License 2.0 (see LICENSES/Apache-2.0.txt or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Whether a host is fit for a swarm: what is wrong, and what to do about it.

Shared by the module that looks at hosts before they have a runtime and by ``queenright doctor``. Stdlib and its own
files only, Python 3.8 syntax.
"""

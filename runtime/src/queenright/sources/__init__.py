# SPDX-License-Identifier: Apache-2.0
"""What describes an application: Compose files and Docker's bundles, read into drafts of stacks and written out again.

May use ``model``, ``spec`` and ``lib``. May not read files, the network, the environment or a clock: documents are
given, parsed already.
"""

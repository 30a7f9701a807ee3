# SPDX-License-Identifier: Apache-2.0
"""A lab of real Debian hosts (systemd, sshd, Docker Engine) on one machine, made of namespaces.

Standard library only: it runs under the system's ``/usr/bin/python3`` (3.11 or newer) as root. Rooms:

``paths``      where state and caches lie            ``rootfs``    the Debian trees all hosts share
``cgroups``    one cgroup per host, v1 and v2        ``network``   the bridge, its ports, cuts and losses
``machine``    one host: power on, off, reboot       ``holder``    the process that keeps a lab alive
``client``     how commands reach the holder         ``cli``       the ``lab`` command
``images``     tiny container images, no engine      ``wheels``    the wheelhouse for hosts without a route out
``fresh``      a newcomer's machine for one command  ``inventory`` the Ansible inventory
"""

# SPDX-License-Identifier: Apache-2.0
"""IPVS over netlink: what the kernel has, and changes to it sent in bundles. For the thread whose namespace it is.

pyroute2 speaks the protocol; its own calls wait for each answer, so that a thousand backends would take seconds.
"""

from __future__ import annotations

import dataclasses
import errno
import socket
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pyroute2 import IPVS
from pyroute2.ipvs import AsyncIPVS
from pyroute2.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.generic import ipvs as protocol
from pyroute2.netlink.nlsocket import NetlinkRequest

from queenright.edge.kernel.errors import KernelError

BUNDLE = 200  # messages sent before answers are read: the kernel drops answers that fill the socket's buffer
MASQUERADE = 0  # forwarding by address translation
SH_FALLBACK = 0x0008  # source hashing takes another backend where the chosen one takes no new connections
GONE = frozenset({errno.ENOENT, errno.ESRCH})
SCHEDULERS = {False: "rr", True: "sh"}


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Virtual:
    """A virtual service: packets of a family (4 or 6) that carry a firewall mark."""

    family: int
    mark: int


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Real:
    """A backend. Port 0 is the one that the client asked for."""

    address: str
    port: int


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """How a virtual service balances: its scheduler, and each backend's weight (0: no new connections)."""

    scheduler: str
    reals: Mapping[Real, int]


Table = dict[Virtual, Service]


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One message. ``tolerated``: answers (errno) that are as good as success."""

    command: int
    virtual: Virtual
    scheduler: str = ""
    real: Real | None = None
    weight: int = 0
    tolerated: frozenset[int] = frozenset()

    def __str__(self) -> str:
        names = {
            protocol.IPVS_CMD_NEW_SERVICE: "add the service",
            protocol.IPVS_CMD_SET_SERVICE: "change the service",
            protocol.IPVS_CMD_DEL_SERVICE: "remove the service",
            protocol.IPVS_CMD_NEW_DEST: "add the backend",
            protocol.IPVS_CMD_SET_DEST: "weigh the backend",
            protocol.IPVS_CMD_DEL_DEST: "remove the backend",
        }
        backend = f" {self.real.address} port {self.real.port}" if self.real else ""
        return f"{names[self.command]}{backend} of mark {self.virtual.mark:#x} (IPv{self.virtual.family})"


class _Async(AsyncIPVS):  # type: ignore[misc]
    module_err_level = "debug"  # that the kernel has no IPVS is said by KernelError

    async def bundle(self, messages: list[Any]) -> list[int]:
        """Send messages at once; the error number of each answer, 0 for success."""
        requests = [
            NetlinkRequest(self, message, msg_type=self.prid, msg_flags=NLM_F_REQUEST | NLM_F_ACK)
            for message in messages
        ]
        for request in requests:
            await request.prepare()
        self.send(b"".join(request.msg.data for request in requests))
        return [await _answer(request) for request in requests]

    async def listed(self, message: Any) -> list[Any]:
        """The answers to a request for a list."""
        answers: list[Any] = await self._do_request(message, msg_flags=NLM_F_REQUEST | NLM_F_DUMP)
        return answers


class _Socket(IPVS):  # type: ignore[misc]
    async_class = _Async

    def bundle(self, messages: list[Any]) -> list[int]:
        codes: list[int] = self._run_with_cleanup(self.asyncore.bundle, messages)
        return codes

    def listed(self, message: Any) -> list[Any]:
        answers: list[Any] = self._run_with_cleanup(self.asyncore.listed, message)
        return answers


async def _answer(request: Any) -> int:
    try:
        async for _ in request.response():
            pass
    except NetlinkError as error:
        return int(error.code)
    return 0


class Link:
    """A socket in the namespace of the calling thread. Raises KernelError where the kernel has no IPVS."""

    def __init__(self) -> None:
        try:
            self._socket = _open()
        except (NetlinkError, OSError) as error:
            raise KernelError(
                f"the kernel has no IPVS ({_words(error)}): load its module ip_vs (CONFIG_IP_VS), "
                "or balance with nftables"
            ) from error

    def close(self) -> None:
        self._socket.close()

    def read(self) -> Table:
        """All virtual services by mark, with their backends."""
        try:
            return {virtual: Service(scheduler, self._reals(virtual)) for virtual, scheduler in self._virtuals()}
        except (NetlinkError, OSError) as error:
            raise KernelError(f"IPVS cannot be read: {_words(error)}") from error

    def _virtuals(self) -> list[tuple[Virtual, str]]:
        found = []
        for answer in self._socket.listed(_message(protocol.IPVS_CMD_GET_SERVICE)):
            service = answer.get_attr("IPVS_CMD_ATTR_SERVICE")
            mark = service.get_attr("IPVS_SVC_ATTR_FWMARK")
            if mark:
                family = 6 if int(service.get_attr("IPVS_SVC_ATTR_AF")) == socket.AF_INET6 else 4
                found.append((Virtual(family, int(mark)), str(service.get_attr("IPVS_SVC_ATTR_SCHED_NAME"))))
        return found

    def _reals(self, virtual: Virtual) -> dict[Real, int]:
        found = {}
        for answer in self._socket.listed(_message(protocol.IPVS_CMD_GET_DEST, _key(virtual))):
            real = answer.get_attr("IPVS_CMD_ATTR_DEST")
            key = Real(str(real.get_attr("IPVS_DEST_ATTR_ADDR")), int(real.get_attr("IPVS_DEST_ATTR_PORT")))
            found[key] = int(real.get_attr("IPVS_DEST_ATTR_WEIGHT"))
        return found

    def do(self, steps: Iterable[Step]) -> None:
        """Take the steps in their order. Raises KernelError that names the first that failed; the others are taken."""
        failed: list[str] = []
        for bundle in _bundles(steps):
            try:
                codes = self._socket.bundle([_step_message(step) for step in bundle])
            except OSError as error:
                raise KernelError(f"IPVS cannot be changed: {_words(error)}") from error
            for step, code in zip(bundle, codes, strict=True):
                if code and code not in step.tolerated:
                    failed.append(f"IPVS refused to {step}: {errno.errorcode.get(code, code)}{_hint(step, code)}")
        if failed:
            raise KernelError(failed[0] + (f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""))

    def set_timeouts(self, tcp: int, tcp_fin: int, udp: int) -> None:
        """Seconds after which silent connections are forgotten."""
        try:
            [code] = self._socket.bundle([_timeouts(tcp, tcp_fin, udp)])
        except OSError as error:
            raise KernelError(f"IPVS cannot be changed: {_words(error)}") from error
        if code:
            raise KernelError(f"IPVS refused its timeouts: {errno.errorcode.get(code, code)}")


def _open() -> _Socket:
    try:
        return _Socket()
    except (NetlinkError, OSError):
        load_module("ip_vs")
        return _Socket()


def load_module(name: str) -> None:
    """Ask for a kernel module. Where there is no modprobe, or no such module, the next use of it says so."""
    try:
        subprocess.run(["modprobe", "-q", name], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return


def _bundles(steps: Iterable[Step]) -> Iterator[list[Step]]:
    bundle: list[Step] = []
    for step in steps:
        bundle.append(step)
        if len(bundle) == BUNDLE:
            yield bundle
            bundle = []
    if bundle:
        yield bundle


def _message(command: int, service: dict[str, Any] | None = None, real: dict[str, Any] | None = None) -> Any:
    message = protocol.ipvsmsg()
    message["cmd"], message["version"] = command, protocol.GENL_VERSION
    message["attrs"] = [("IPVS_CMD_ATTR_SERVICE", service)] if service else []
    if real:
        message["attrs"].append(("IPVS_CMD_ATTR_DEST", real))
    return message


def _timeouts(tcp: int, tcp_fin: int, udp: int) -> Any:
    """pyroute2 knows these attributes by name alone, and takes their bytes. A class of our own that knows more would
    get its parent's table as soon as a message of the parent's had been sent.
    """
    message = _message(protocol.IPVS_CMD_SET_CONFIG)
    values = {"TCP": tcp, "TCP_FIN": tcp_fin, "UDP": udp}
    message["attrs"] = [
        (f"IPVS_CMD_ATTR_TIMEOUT_{name}", seconds.to_bytes(4, sys.byteorder)) for name, seconds in values.items()
    ]
    return message


def _step_message(step: Step) -> Any:
    service = _key(step.virtual)
    if step.real is None:
        if step.command != protocol.IPVS_CMD_DEL_SERVICE:
            service["attrs"] += _whole(step.virtual, step.scheduler)
        return _message(step.command, service)
    family = _family(step.real.address)
    attrs: list[tuple[str, Any]] = [
        ("IPVS_DEST_ATTR_ADDR_FAMILY", family),
        ("IPVS_DEST_ATTR_ADDR", step.real.address),
        ("IPVS_DEST_ATTR_PORT", step.real.port),
    ]
    if step.command != protocol.IPVS_CMD_DEL_DEST:
        attrs += [
            ("IPVS_DEST_ATTR_FWD_METHOD", MASQUERADE),
            ("IPVS_DEST_ATTR_WEIGHT", step.weight),
            ("IPVS_DEST_ATTR_U_THRESH", 0),
            ("IPVS_DEST_ATTR_L_THRESH", 0),
        ]
    return _message(step.command, service, {"attrs": attrs})


def _key(virtual: Virtual) -> dict[str, Any]:
    family = socket.AF_INET6 if virtual.family == 6 else socket.AF_INET
    return {"attrs": [("IPVS_SVC_ATTR_AF", int(family)), ("IPVS_SVC_ATTR_FWMARK", virtual.mark)]}


def _whole(virtual: Virtual, scheduler: str) -> list[tuple[str, Any]]:
    """Everything else that a service has. The mask of IPv6 is a length, in the place of an IPv4 address."""
    mask = "255.255.255.255" if virtual.family == 4 else socket.inet_ntoa(struct.pack("=I", 128))
    flags = SH_FALLBACK if scheduler == SCHEDULERS[True] else 0
    return [
        ("IPVS_SVC_ATTR_SCHED_NAME", scheduler),
        ("IPVS_SVC_ATTR_FLAGS", {"flags": flags, "mask": 0xFFFFFFFF}),
        ("IPVS_SVC_ATTR_TIMEOUT", 0),
        ("IPVS_SVC_ATTR_NETMASK", mask),
    ]


def _family(address: str) -> int:
    return int(socket.AF_INET6 if ":" in address else socket.AF_INET)


def _words(error: Exception) -> str:
    code = getattr(error, "code", None) or getattr(error, "errno", None)
    return errno.errorcode.get(code, str(code)) if code else str(error)


def _hint(step: Step, code: int) -> str:
    if code == errno.ENOENT and step.real is None:
        return f": the kernel has no scheduler {step.scheduler} (module ip_vs_{step.scheduler})"
    if code in (errno.EPERM, errno.EACCES):
        return ": the agent needs CAP_NET_ADMIN"
    return ""

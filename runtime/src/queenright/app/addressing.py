# SPDX-License-Identifier: Apache-2.0
"""From the address options of init and join to what is listened on and what others are told."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from queenright.app.settings import Settings
from queenright.app.state import MemberState
from queenright.lib import addresses
from queenright.lib.addresses import Address, AddressError
from queenright.lib.interfaces import host_interfaces
from queenright.manager.ports import InitOptions, JoinOptions
from queenright.model.errors import FailedPrecondition, InvalidArgument

Options = TypeVar("Options", InitOptions, JoinOptions)

CONTROL_PORT = 2377
CLIENTS_LISTEN = ("", "0.0.0.0", "0.0.0.0:2377")


@dataclasses.dataclass(frozen=True, slots=True)
class Addresses:
    """``listen`` is bound here; ``advertise`` is what others use ("" on a joiner: the address the manager sees)."""

    listen: Address
    advertise: str
    data_path: str

    @property
    def local(self) -> str:
        """Where this host reaches its own control port."""
        host = self.listen.host
        if self.listen.is_unspecified:
            host = "::1" if ":" in host else "127.0.0.1"
        return str(dataclasses.replace(self.listen, host=host))


def host_of(addr: str) -> str:
    """The host of ``host:port``; "" of nothing."""
    return addresses.parse(addr, CONTROL_PORT).host if addr else ""


def for_init(options: InitOptions) -> Addresses:
    """A manager's addresses. Raises InvalidArgument."""
    try:
        listen = _listen(options.listen_addr)
        advertise = _advertise(options.advertise_addr, listen)
        if not advertise:
            host = addresses.default_advertise(host_interfaces()) if listen.is_unspecified else listen.host
            advertise = str(addresses.parse(f"[{host}]" if ":" in host else host, listen.port))
        return Addresses(listen, advertise, _data_path(options.data_path_addr))
    except AddressError as error:
        raise InvalidArgument(str(error), plain=True) from error


def for_join(options: JoinOptions) -> Addresses:
    """A joiner's addresses; an advertise address that nobody gave stays empty. Raises InvalidArgument."""
    try:
        listen = _listen(options.listen_addr)
        return Addresses(listen, _advertise(options.advertise_addr, listen), _data_path(options.data_path_addr))
    except AddressError as error:
        raise InvalidArgument(str(error), plain=True) from error


def for_force(options: InitOptions, held: Addresses) -> Addresses:
    """A manager's addresses from now on: those it has, but for what is named. Raises InvalidArgument."""
    return for_init(
        dataclasses.replace(
            options,
            listen_addr=_named(options.listen_addr) or str(held.listen),
            advertise_addr=options.advertise_addr or held.advertise,
            data_path_addr=options.data_path_addr or held.data_path,
        )
    )


def held_by(state: MemberState) -> Addresses:
    """The addresses of a membership."""
    return Addresses(addresses.parse(state.listen_addr, CONTROL_PORT), state.advertise_addr, state.data_path_addr)


def for_resume(settings: Settings, state: MemberState) -> Addresses:
    """A member's addresses: those it has, but for what the settings name. Raises FailedPrecondition."""
    held = held_by(state)
    try:
        listen = _listen(settings.listen_addr) if settings.listen_addr else held.listen
        return Addresses(listen, _advertise(settings.advertise_addr, listen) or held.advertise, held.data_path)
    except AddressError as error:
        raise FailedPrecondition(f"{error} (listen_addr and advertise_addr in the settings)", plain=True) from error


def with_settings(options: Options, settings: Settings) -> Options:
    """The options of init or join; what they do not name is as the settings say."""
    return dataclasses.replace(
        options,
        listen_addr=_named(options.listen_addr) or settings.listen_addr or options.listen_addr,
        advertise_addr=options.advertise_addr or settings.advertise_addr,
    )


def _named(listen_addr: str) -> str:
    """What was asked for; the default that clients send asks for nothing."""
    return "" if listen_addr in CLIENTS_LISTEN else listen_addr


def _listen(text: str) -> Address:
    return _read(text or "0.0.0.0", CONTROL_PORT)


def _advertise(text: str, listen: Address) -> str:
    """Not checked for ownership: a NATed address is as good as any."""
    return str(_read(text, listen.port)) if text else ""


def _data_path(text: str) -> str:
    return _read(text, CONTROL_PORT).host if text else ""


def _read(text: str, port: int) -> Address:
    interfaces = host_interfaces()
    names = [interface.name for interface in interfaces]
    return addresses.resolve(addresses.parse(text, port, interfaces=names), interfaces)

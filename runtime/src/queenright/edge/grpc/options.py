# SPDX-License-Identifier: Apache-2.0
"""Channel and server options that every member uses."""

from __future__ import annotations

MAX_MESSAGE = 4 << 20
MAX_BULK = 8 << 20
"""For what managers send each other: batches of log entries, forwarded requests with their bodies."""
ROOM = 64 << 10
"""What a message has around its body."""

ADMITTED = "queenright-admitted"
"""Initial metadata with which a manager lets another one's messages in. A refused call has none."""

EPOCH = "queenright-epoch"
"""Metadata at the end of a refused call: of which epoch of the swarm the one is that refused."""

ADDR = "queenright-addr"
"""Metadata of such a call: where its caller can be reached."""

Options = tuple[tuple[str, int | str], ...]


def _watched(every: int, timeout: int) -> Options:
    """Ask whether the other side is there, and give it up when it does not answer; in milliseconds.

    The keepalive timeout alone was seen not to do that within a minute (probably a ping that is under way for another
    reason takes the place of the keepalive's); with the timeout of pings set as well, it does.
    """
    return (
        ("grpc.keepalive_time_ms", every),
        ("grpc.keepalive_timeout_ms", timeout),
        ("grpc.http2.ping_timeout_ms", timeout),
    )


SERVER: Options = (
    ("grpc.so_reuseport", 0),  # a second daemon on the port is an error, not a rival
    ("grpc.max_receive_message_length", MAX_BULK + ROOM),  # where less is allowed, the method's reader says so
    ("grpc.max_send_message_length", MAX_BULK + ROOM),
    ("grpc.http2.lookahead_bytes", 2 << 20),  # a batch of entries comes in one go, without asking for more room
    ("grpc.http2.bdp_probe", 0),  # so nothing is to be found out about how much room a connection needs
    ("grpc.http2.max_frame_size", 1 << 20),
    ("grpc.server_handshake_timeout_ms", 10_000),  # whoever connects and says nothing
    ("grpc.max_connection_idle_ms", 300_000),  # and whoever calls nothing; sessions and streams of managers do
    ("grpc.max_concurrent_streams", 4096),  # of one connection; how many calls a node may have is for the gate
    ("grpc.max_metadata_size", 16 << 10),
    *_watched(20_000, 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 500),  # quiet streams of managers are watched closely
)


def client(server_name: str) -> Options:
    """``server_name`` is the node id the other side's certificate must carry."""
    return (
        *_common(server_name, MAX_MESSAGE),
        *_watched(5_000, 5_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
    )


def manager(server_name: str, *, bulk: bool = False) -> Options:
    """Between managers: larger messages, and a peer that is gone without a word is noticed within seconds.

    ``bulk``: whatever is asked waits behind megabytes, on a slow line for long.
    """
    return (
        *_common(server_name, MAX_BULK + ROOM),
        *(_watched(10_000, 20_000) if bulk else _watched(2_000, 5_000)),
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.max_reconnect_backoff_ms", 1_000),
    )


def _common(server_name: str, longest: int) -> Options:
    return (
        ("grpc.ssl_target_name_override", server_name),
        ("grpc.enable_http_proxy", 0),  # members are never reached through a proxy, whatever the environment says
        ("grpc.max_receive_message_length", longest),
        ("grpc.max_send_message_length", longest),
        ("grpc.http2.max_pings_without_data", 0),  # no limit: the stream of a quiet session is watched too
        ("grpc.use_local_subchannel_pool", 1),  # two identities of one process never share a connection
    )

# SPDX-License-Identifier: Apache-2.0
"""Channel and server options that every member uses."""

from __future__ import annotations

MAX_MESSAGE = 4 << 20

SERVER: tuple[tuple[str, int | str], ...] = (
    ("grpc.so_reuseport", 0),  # a second daemon on the port is an error, not a rival
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
)


def client(server_name: str) -> tuple[tuple[str, int | str], ...]:
    """``server_name`` is the node id the other side's certificate must carry."""
    return (
        ("grpc.ssl_target_name_override", server_name),
        ("grpc.enable_http_proxy", 0),  # members are never reached through a proxy, whatever the environment says
        ("grpc.max_receive_message_length", MAX_MESSAGE),
        ("grpc.max_send_message_length", MAX_MESSAGE),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.use_local_subchannel_pool", 1),  # two identities of one process never share a connection
    )

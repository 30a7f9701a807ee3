from queenright.wire.gen import objects_pb2 as _objects_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SessionRequest(_message.Message):
    __slots__ = ("description", "addr", "answers_pings", "pong")
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ADDR_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_PINGS_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    description: _objects_pb2.NodeDescription
    addr: str
    answers_pings: bool
    pong: bool
    def __init__(self, description: _Optional[_Union[_objects_pb2.NodeDescription, _Mapping]] = ..., addr: _Optional[str] = ..., answers_pings: _Optional[bool] = ..., pong: _Optional[bool] = ...) -> None: ...

class ManagerPeer(_message.Message):
    __slots__ = ("node_id", "addr", "weight")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    ADDR_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    addr: str
    weight: int
    def __init__(self, node_id: _Optional[str] = ..., addr: _Optional[str] = ..., weight: _Optional[int] = ...) -> None: ...

class SessionMessage(_message.Message):
    __slots__ = ("session_id", "node", "managers", "heartbeat_ns", "root_certificate", "manager_time", "redirect", "ping_ns", "root_path")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    MANAGERS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_NS_FIELD_NUMBER: _ClassVar[int]
    ROOT_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    MANAGER_TIME_FIELD_NUMBER: _ClassVar[int]
    REDIRECT_FIELD_NUMBER: _ClassVar[int]
    PING_NS_FIELD_NUMBER: _ClassVar[int]
    ROOT_PATH_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    node: _objects_pb2.Node
    managers: _containers.RepeatedCompositeFieldContainer[ManagerPeer]
    heartbeat_ns: int
    root_certificate: str
    manager_time: int
    redirect: ManagerPeer
    ping_ns: int
    root_path: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, session_id: _Optional[str] = ..., node: _Optional[_Union[_objects_pb2.Node, _Mapping]] = ..., managers: _Optional[_Iterable[_Union[ManagerPeer, _Mapping]]] = ..., heartbeat_ns: _Optional[int] = ..., root_certificate: _Optional[str] = ..., manager_time: _Optional[int] = ..., redirect: _Optional[_Union[ManagerPeer, _Mapping]] = ..., ping_ns: _Optional[int] = ..., root_path: _Optional[_Iterable[str]] = ...) -> None: ...

class HeartbeatRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class HeartbeatResponse(_message.Message):
    __slots__ = ("period_ns",)
    PERIOD_NS_FIELD_NUMBER: _ClassVar[int]
    period_ns: int
    def __init__(self, period_ns: _Optional[int] = ...) -> None: ...

class AssignmentsRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class AssignmentsMessage(_message.Message):
    __slots__ = ("type", "applies_to", "results_in", "updates", "removes", "more", "secrets", "configs", "secret_removes", "config_removes", "credentials")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        COMPLETE: _ClassVar[AssignmentsMessage.Type]
        INCREMENTAL: _ClassVar[AssignmentsMessage.Type]
    COMPLETE: AssignmentsMessage.Type
    INCREMENTAL: AssignmentsMessage.Type
    class CredentialsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    TYPE_FIELD_NUMBER: _ClassVar[int]
    APPLIES_TO_FIELD_NUMBER: _ClassVar[int]
    RESULTS_IN_FIELD_NUMBER: _ClassVar[int]
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    REMOVES_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    CONFIGS_FIELD_NUMBER: _ClassVar[int]
    SECRET_REMOVES_FIELD_NUMBER: _ClassVar[int]
    CONFIG_REMOVES_FIELD_NUMBER: _ClassVar[int]
    CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    type: AssignmentsMessage.Type
    applies_to: str
    results_in: str
    updates: _containers.RepeatedCompositeFieldContainer[_objects_pb2.Task]
    removes: _containers.RepeatedScalarFieldContainer[str]
    more: bool
    secrets: _containers.RepeatedCompositeFieldContainer[_objects_pb2.Secret]
    configs: _containers.RepeatedCompositeFieldContainer[_objects_pb2.Config]
    secret_removes: _containers.RepeatedScalarFieldContainer[str]
    config_removes: _containers.RepeatedScalarFieldContainer[str]
    credentials: _containers.ScalarMap[str, bytes]
    def __init__(self, type: _Optional[_Union[AssignmentsMessage.Type, str]] = ..., applies_to: _Optional[str] = ..., results_in: _Optional[str] = ..., updates: _Optional[_Iterable[_Union[_objects_pb2.Task, _Mapping]]] = ..., removes: _Optional[_Iterable[str]] = ..., more: _Optional[bool] = ..., secrets: _Optional[_Iterable[_Union[_objects_pb2.Secret, _Mapping]]] = ..., configs: _Optional[_Iterable[_Union[_objects_pb2.Config, _Mapping]]] = ..., secret_removes: _Optional[_Iterable[str]] = ..., config_removes: _Optional[_Iterable[str]] = ..., credentials: _Optional[_Mapping[str, bytes]] = ...) -> None: ...

class TaskStatusUpdate(_message.Message):
    __slots__ = ("task_id", "status")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    status: _objects_pb2.TaskStatus
    def __init__(self, task_id: _Optional[str] = ..., status: _Optional[_Union[_objects_pb2.TaskStatus, _Mapping]] = ...) -> None: ...

class UpdateTaskStatusRequest(_message.Message):
    __slots__ = ("session_id", "updates")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    updates: _containers.RepeatedCompositeFieldContainer[TaskStatusUpdate]
    def __init__(self, session_id: _Optional[str] = ..., updates: _Optional[_Iterable[_Union[TaskStatusUpdate, _Mapping]]] = ...) -> None: ...

class UpdateTaskStatusResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RestartingRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class RestartingResponse(_message.Message):
    __slots__ = ("grace_ns",)
    GRACE_NS_FIELD_NUMBER: _ClassVar[int]
    grace_ns: int
    def __init__(self, grace_ns: _Optional[int] = ...) -> None: ...

class NetworksRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class NetworksMessage(_message.Message):
    __slots__ = ("type", "applies_to", "results_in", "more", "links", "endpoints", "faces", "removes")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        COMPLETE: _ClassVar[NetworksMessage.Type]
        INCREMENTAL: _ClassVar[NetworksMessage.Type]
    COMPLETE: NetworksMessage.Type
    INCREMENTAL: NetworksMessage.Type
    TYPE_FIELD_NUMBER: _ClassVar[int]
    APPLIES_TO_FIELD_NUMBER: _ClassVar[int]
    RESULTS_IN_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    LINKS_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    FACES_FIELD_NUMBER: _ClassVar[int]
    REMOVES_FIELD_NUMBER: _ClassVar[int]
    type: NetworksMessage.Type
    applies_to: str
    results_in: str
    more: bool
    links: _containers.RepeatedCompositeFieldContainer[Link]
    endpoints: _containers.RepeatedCompositeFieldContainer[Endpoint]
    faces: _containers.RepeatedCompositeFieldContainer[Face]
    removes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, type: _Optional[_Union[NetworksMessage.Type, str]] = ..., applies_to: _Optional[str] = ..., results_in: _Optional[str] = ..., more: _Optional[bool] = ..., links: _Optional[_Iterable[_Union[Link, _Mapping]]] = ..., endpoints: _Optional[_Iterable[_Union[Endpoint, _Mapping]]] = ..., faces: _Optional[_Iterable[_Union[Face, _Mapping]]] = ..., removes: _Optional[_Iterable[str]] = ...) -> None: ...

class Link(_message.Message):
    __slots__ = ("network_id", "name", "vni", "subnets", "internal", "ingress", "mtu", "addresses", "vtep", "vxlan_port", "backend")
    NETWORK_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    SUBNETS_FIELD_NUMBER: _ClassVar[int]
    INTERNAL_FIELD_NUMBER: _ClassVar[int]
    INGRESS_FIELD_NUMBER: _ClassVar[int]
    MTU_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    VTEP_FIELD_NUMBER: _ClassVar[int]
    VXLAN_PORT_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    network_id: str
    name: str
    vni: int
    subnets: _containers.RepeatedCompositeFieldContainer[_objects_pb2.Subnet]
    internal: bool
    ingress: bool
    mtu: int
    addresses: _containers.RepeatedScalarFieldContainer[str]
    vtep: str
    vxlan_port: int
    backend: str
    def __init__(self, network_id: _Optional[str] = ..., name: _Optional[str] = ..., vni: _Optional[int] = ..., subnets: _Optional[_Iterable[_Union[_objects_pb2.Subnet, _Mapping]]] = ..., internal: _Optional[bool] = ..., ingress: _Optional[bool] = ..., mtu: _Optional[int] = ..., addresses: _Optional[_Iterable[str]] = ..., vtep: _Optional[str] = ..., vxlan_port: _Optional[int] = ..., backend: _Optional[str] = ...) -> None: ...

class Endpoint(_message.Message):
    __slots__ = ("network_id", "holder", "addresses", "node_id", "vtep", "task_id", "service_id", "name", "aliases", "serving", "drained", "lost")
    NETWORK_ID_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    VTEP_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    SERVING_FIELD_NUMBER: _ClassVar[int]
    DRAINED_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    network_id: str
    holder: str
    addresses: _containers.RepeatedScalarFieldContainer[str]
    node_id: str
    vtep: str
    task_id: str
    service_id: str
    name: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    serving: bool
    drained: bool
    lost: bool
    def __init__(self, network_id: _Optional[str] = ..., holder: _Optional[str] = ..., addresses: _Optional[_Iterable[str]] = ..., node_id: _Optional[str] = ..., vtep: _Optional[str] = ..., task_id: _Optional[str] = ..., service_id: _Optional[str] = ..., name: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., serving: _Optional[bool] = ..., drained: _Optional[bool] = ..., lost: _Optional[bool] = ...) -> None: ...

class Face(_message.Message):
    __slots__ = ("network_id", "service_id", "name", "aliases", "vips", "dnsrr", "ports", "drain_ns")
    NETWORK_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    VIPS_FIELD_NUMBER: _ClassVar[int]
    DNSRR_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    DRAIN_NS_FIELD_NUMBER: _ClassVar[int]
    network_id: str
    service_id: str
    name: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    vips: _containers.RepeatedScalarFieldContainer[str]
    dnsrr: bool
    ports: _containers.RepeatedCompositeFieldContainer[_objects_pb2.Port]
    drain_ns: int
    def __init__(self, network_id: _Optional[str] = ..., service_id: _Optional[str] = ..., name: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., vips: _Optional[_Iterable[str]] = ..., dnsrr: _Optional[bool] = ..., ports: _Optional[_Iterable[_Union[_objects_pb2.Port, _Mapping]]] = ..., drain_ns: _Optional[int] = ...) -> None: ...

class PortState(_message.Message):
    __slots__ = ("protocol", "port", "error")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    protocol: str
    port: int
    error: str
    def __init__(self, protocol: _Optional[str] = ..., port: _Optional[int] = ..., error: _Optional[str] = ...) -> None: ...

class NetworksAppliedRequest(_message.Message):
    __slots__ = ("session_id", "applied", "errors", "ports")
    class ErrorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    applied: str
    errors: _containers.ScalarMap[str, str]
    ports: _containers.RepeatedCompositeFieldContainer[PortState]
    def __init__(self, session_id: _Optional[str] = ..., applied: _Optional[str] = ..., errors: _Optional[_Mapping[str, str]] = ..., ports: _Optional[_Iterable[_Union[PortState, _Mapping]]] = ...) -> None: ...

class NetworksAppliedResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

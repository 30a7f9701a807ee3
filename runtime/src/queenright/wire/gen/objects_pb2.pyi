from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Orchestration(_message.Message):
    __slots__ = ("task_history_limit",)
    TASK_HISTORY_LIMIT_FIELD_NUMBER: _ClassVar[int]
    task_history_limit: int
    def __init__(self, task_history_limit: _Optional[int] = ...) -> None: ...

class RaftSpec(_message.Message):
    __slots__ = ("snapshot_interval", "keep_old_snapshots", "log_entries_for_slow_followers", "election_tick", "heartbeat_tick")
    SNAPSHOT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    KEEP_OLD_SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    LOG_ENTRIES_FOR_SLOW_FOLLOWERS_FIELD_NUMBER: _ClassVar[int]
    ELECTION_TICK_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_TICK_FIELD_NUMBER: _ClassVar[int]
    snapshot_interval: int
    keep_old_snapshots: int
    log_entries_for_slow_followers: int
    election_tick: int
    heartbeat_tick: int
    def __init__(self, snapshot_interval: _Optional[int] = ..., keep_old_snapshots: _Optional[int] = ..., log_entries_for_slow_followers: _Optional[int] = ..., election_tick: _Optional[int] = ..., heartbeat_tick: _Optional[int] = ...) -> None: ...

class DispatcherSpec(_message.Message):
    __slots__ = ("heartbeat_period", "ping_period", "silence", "probe_grace", "restart_grace")
    HEARTBEAT_PERIOD_FIELD_NUMBER: _ClassVar[int]
    PING_PERIOD_FIELD_NUMBER: _ClassVar[int]
    SILENCE_FIELD_NUMBER: _ClassVar[int]
    PROBE_GRACE_FIELD_NUMBER: _ClassVar[int]
    RESTART_GRACE_FIELD_NUMBER: _ClassVar[int]
    heartbeat_period: int
    ping_period: int
    silence: int
    probe_grace: int
    restart_grace: int
    def __init__(self, heartbeat_period: _Optional[int] = ..., ping_period: _Optional[int] = ..., silence: _Optional[int] = ..., probe_grace: _Optional[int] = ..., restart_grace: _Optional[int] = ...) -> None: ...

class ExternalCA(_message.Message):
    __slots__ = ("protocol", "url", "options", "ca_cert")
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    CA_CERT_FIELD_NUMBER: _ClassVar[int]
    protocol: str
    url: str
    options: _containers.ScalarMap[str, str]
    ca_cert: str
    def __init__(self, protocol: _Optional[str] = ..., url: _Optional[str] = ..., options: _Optional[_Mapping[str, str]] = ..., ca_cert: _Optional[str] = ...) -> None: ...

class CAConfig(_message.Message):
    __slots__ = ("node_cert_expiry", "force_rotate", "external_cas", "signing_ca_cert", "key_algorithm", "rotation_grace", "expired_grace")
    NODE_CERT_EXPIRY_FIELD_NUMBER: _ClassVar[int]
    FORCE_ROTATE_FIELD_NUMBER: _ClassVar[int]
    EXTERNAL_CAS_FIELD_NUMBER: _ClassVar[int]
    SIGNING_CA_CERT_FIELD_NUMBER: _ClassVar[int]
    KEY_ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    ROTATION_GRACE_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_GRACE_FIELD_NUMBER: _ClassVar[int]
    node_cert_expiry: int
    force_rotate: int
    external_cas: _containers.RepeatedCompositeFieldContainer[ExternalCA]
    signing_ca_cert: str
    key_algorithm: str
    rotation_grace: int
    expired_grace: int
    def __init__(self, node_cert_expiry: _Optional[int] = ..., force_rotate: _Optional[int] = ..., external_cas: _Optional[_Iterable[_Union[ExternalCA, _Mapping]]] = ..., signing_ca_cert: _Optional[str] = ..., key_algorithm: _Optional[str] = ..., rotation_grace: _Optional[int] = ..., expired_grace: _Optional[int] = ...) -> None: ...

class EncryptionConfig(_message.Message):
    __slots__ = ("autolock",)
    AUTOLOCK_FIELD_NUMBER: _ClassVar[int]
    autolock: bool
    def __init__(self, autolock: _Optional[bool] = ...) -> None: ...

class SwarmSpec(_message.Message):
    __slots__ = ("name", "labels", "orchestration", "raft", "dispatcher", "ca", "encryption", "mesh_backend")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ORCHESTRATION_FIELD_NUMBER: _ClassVar[int]
    RAFT_FIELD_NUMBER: _ClassVar[int]
    DISPATCHER_FIELD_NUMBER: _ClassVar[int]
    CA_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTION_FIELD_NUMBER: _ClassVar[int]
    MESH_BACKEND_FIELD_NUMBER: _ClassVar[int]
    name: str
    labels: _containers.ScalarMap[str, str]
    orchestration: Orchestration
    raft: RaftSpec
    dispatcher: DispatcherSpec
    ca: CAConfig
    encryption: EncryptionConfig
    mesh_backend: str
    def __init__(self, name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., orchestration: _Optional[_Union[Orchestration, _Mapping]] = ..., raft: _Optional[_Union[RaftSpec, _Mapping]] = ..., dispatcher: _Optional[_Union[DispatcherSpec, _Mapping]] = ..., ca: _Optional[_Union[CAConfig, _Mapping]] = ..., encryption: _Optional[_Union[EncryptionConfig, _Mapping]] = ..., mesh_backend: _Optional[str] = ...) -> None: ...

class Cluster(_message.Message):
    __slots__ = ("id", "version", "created_at", "updated_at", "spec", "root_certificate", "root_key", "worker_token", "manager_token", "default_addr_pool", "subnet_size", "data_path_port", "feature_level", "intermediates", "root_rotation", "former_roots", "unlock_key")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    ROOT_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    ROOT_KEY_FIELD_NUMBER: _ClassVar[int]
    WORKER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MANAGER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_ADDR_POOL_FIELD_NUMBER: _ClassVar[int]
    SUBNET_SIZE_FIELD_NUMBER: _ClassVar[int]
    DATA_PATH_PORT_FIELD_NUMBER: _ClassVar[int]
    FEATURE_LEVEL_FIELD_NUMBER: _ClassVar[int]
    INTERMEDIATES_FIELD_NUMBER: _ClassVar[int]
    ROOT_ROTATION_FIELD_NUMBER: _ClassVar[int]
    FORMER_ROOTS_FIELD_NUMBER: _ClassVar[int]
    UNLOCK_KEY_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: int
    created_at: int
    updated_at: int
    spec: SwarmSpec
    root_certificate: str
    root_key: str
    worker_token: str
    manager_token: str
    default_addr_pool: _containers.RepeatedScalarFieldContainer[str]
    subnet_size: int
    data_path_port: int
    feature_level: int
    intermediates: str
    root_rotation: RootRotation
    former_roots: _containers.RepeatedCompositeFieldContainer[FormerRoot]
    unlock_key: str
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ..., created_at: _Optional[int] = ..., updated_at: _Optional[int] = ..., spec: _Optional[_Union[SwarmSpec, _Mapping]] = ..., root_certificate: _Optional[str] = ..., root_key: _Optional[str] = ..., worker_token: _Optional[str] = ..., manager_token: _Optional[str] = ..., default_addr_pool: _Optional[_Iterable[str]] = ..., subnet_size: _Optional[int] = ..., data_path_port: _Optional[int] = ..., feature_level: _Optional[int] = ..., intermediates: _Optional[str] = ..., root_rotation: _Optional[_Union[RootRotation, _Mapping]] = ..., former_roots: _Optional[_Iterable[_Union[FormerRoot, _Mapping]]] = ..., unlock_key: _Optional[str] = ...) -> None: ...

class RootRotation(_message.Message):
    __slots__ = ("certificate", "key", "intermediates", "cross_signed", "issuer_subject", "issuer_public_key", "started_at")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    INTERMEDIATES_FIELD_NUMBER: _ClassVar[int]
    CROSS_SIGNED_FIELD_NUMBER: _ClassVar[int]
    ISSUER_SUBJECT_FIELD_NUMBER: _ClassVar[int]
    ISSUER_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    certificate: str
    key: str
    intermediates: str
    cross_signed: str
    issuer_subject: str
    issuer_public_key: str
    started_at: int
    def __init__(self, certificate: _Optional[str] = ..., key: _Optional[str] = ..., intermediates: _Optional[str] = ..., cross_signed: _Optional[str] = ..., issuer_subject: _Optional[str] = ..., issuer_public_key: _Optional[str] = ..., started_at: _Optional[int] = ...) -> None: ...

class FormerRoot(_message.Message):
    __slots__ = ("certificate", "cross_signed", "until")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    CROSS_SIGNED_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    certificate: str
    cross_signed: str
    until: int
    def __init__(self, certificate: _Optional[str] = ..., cross_signed: _Optional[str] = ..., until: _Optional[int] = ...) -> None: ...

class Certificate(_message.Message):
    __slots__ = ("id", "version", "created_at", "updated_at", "node_id", "role", "not_before", "not_after", "revoked_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: int
    created_at: int
    updated_at: int
    node_id: str
    role: str
    not_before: int
    not_after: int
    revoked_at: int
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ..., created_at: _Optional[int] = ..., updated_at: _Optional[int] = ..., node_id: _Optional[str] = ..., role: _Optional[str] = ..., not_before: _Optional[int] = ..., not_after: _Optional[int] = ..., revoked_at: _Optional[int] = ...) -> None: ...

class NodeSpec(_message.Message):
    __slots__ = ("name", "labels", "role", "availability", "mesh_backend")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    AVAILABILITY_FIELD_NUMBER: _ClassVar[int]
    MESH_BACKEND_FIELD_NUMBER: _ClassVar[int]
    name: str
    labels: _containers.ScalarMap[str, str]
    role: str
    availability: str
    mesh_backend: str
    def __init__(self, name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., role: _Optional[str] = ..., availability: _Optional[str] = ..., mesh_backend: _Optional[str] = ...) -> None: ...

class GenericResource(_message.Message):
    __slots__ = ("kind", "value", "name")
    KIND_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    kind: str
    value: int
    name: str
    def __init__(self, kind: _Optional[str] = ..., value: _Optional[int] = ..., name: _Optional[str] = ...) -> None: ...

class NodeDescription(_message.Message):
    __slots__ = ("hostname", "architecture", "os", "nano_cpus", "memory_bytes", "engine_version", "engine_labels", "plugins", "trust_root", "issuer_subject", "issuer_public_key", "runtime_version", "generic_resources", "prefixes", "mtu", "mesh", "mesh_error", "data_addr")
    class EngineLabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    OS_FIELD_NUMBER: _ClassVar[int]
    NANO_CPUS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    ENGINE_VERSION_FIELD_NUMBER: _ClassVar[int]
    ENGINE_LABELS_FIELD_NUMBER: _ClassVar[int]
    PLUGINS_FIELD_NUMBER: _ClassVar[int]
    TRUST_ROOT_FIELD_NUMBER: _ClassVar[int]
    ISSUER_SUBJECT_FIELD_NUMBER: _ClassVar[int]
    ISSUER_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_VERSION_FIELD_NUMBER: _ClassVar[int]
    GENERIC_RESOURCES_FIELD_NUMBER: _ClassVar[int]
    PREFIXES_FIELD_NUMBER: _ClassVar[int]
    MTU_FIELD_NUMBER: _ClassVar[int]
    MESH_FIELD_NUMBER: _ClassVar[int]
    MESH_ERROR_FIELD_NUMBER: _ClassVar[int]
    DATA_ADDR_FIELD_NUMBER: _ClassVar[int]
    hostname: str
    architecture: str
    os: str
    nano_cpus: int
    memory_bytes: int
    engine_version: str
    engine_labels: _containers.ScalarMap[str, str]
    plugins: _containers.RepeatedScalarFieldContainer[str]
    trust_root: str
    issuer_subject: str
    issuer_public_key: str
    runtime_version: str
    generic_resources: _containers.RepeatedCompositeFieldContainer[GenericResource]
    prefixes: _containers.RepeatedScalarFieldContainer[str]
    mtu: int
    mesh: str
    mesh_error: str
    data_addr: str
    def __init__(self, hostname: _Optional[str] = ..., architecture: _Optional[str] = ..., os: _Optional[str] = ..., nano_cpus: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., engine_version: _Optional[str] = ..., engine_labels: _Optional[_Mapping[str, str]] = ..., plugins: _Optional[_Iterable[str]] = ..., trust_root: _Optional[str] = ..., issuer_subject: _Optional[str] = ..., issuer_public_key: _Optional[str] = ..., runtime_version: _Optional[str] = ..., generic_resources: _Optional[_Iterable[_Union[GenericResource, _Mapping]]] = ..., prefixes: _Optional[_Iterable[str]] = ..., mtu: _Optional[int] = ..., mesh: _Optional[str] = ..., mesh_error: _Optional[str] = ..., data_addr: _Optional[str] = ...) -> None: ...

class NodeStatus(_message.Message):
    __slots__ = ("state", "message", "addr", "since", "silent_since")
    STATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ADDR_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    SILENT_SINCE_FIELD_NUMBER: _ClassVar[int]
    state: str
    message: str
    addr: str
    since: int
    silent_since: int
    def __init__(self, state: _Optional[str] = ..., message: _Optional[str] = ..., addr: _Optional[str] = ..., since: _Optional[int] = ..., silent_since: _Optional[int] = ...) -> None: ...

class Attachment(_message.Message):
    __slots__ = ("network_id", "addresses", "aliases")
    NETWORK_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    network_id: str
    addresses: _containers.RepeatedScalarFieldContainer[str]
    aliases: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, network_id: _Optional[str] = ..., addresses: _Optional[_Iterable[str]] = ..., aliases: _Optional[_Iterable[str]] = ...) -> None: ...

class Node(_message.Message):
    __slots__ = ("id", "version", "created_at", "updated_at", "spec", "role", "membership", "description", "status", "manager_addr", "serial", "previous_serial", "attachments", "renew_for")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MANAGER_ADDR_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_SERIAL_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENTS_FIELD_NUMBER: _ClassVar[int]
    RENEW_FOR_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: int
    created_at: int
    updated_at: int
    spec: NodeSpec
    role: str
    membership: str
    description: NodeDescription
    status: NodeStatus
    manager_addr: str
    serial: str
    previous_serial: str
    attachments: _containers.RepeatedCompositeFieldContainer[Attachment]
    renew_for: str
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ..., created_at: _Optional[int] = ..., updated_at: _Optional[int] = ..., spec: _Optional[_Union[NodeSpec, _Mapping]] = ..., role: _Optional[str] = ..., membership: _Optional[str] = ..., description: _Optional[_Union[NodeDescription, _Mapping]] = ..., status: _Optional[_Union[NodeStatus, _Mapping]] = ..., manager_addr: _Optional[str] = ..., serial: _Optional[str] = ..., previous_serial: _Optional[str] = ..., attachments: _Optional[_Iterable[_Union[Attachment, _Mapping]]] = ..., renew_for: _Optional[str] = ...) -> None: ...

class SELinux(_message.Message):
    __slots__ = ("disable", "user", "role", "type", "level")
    DISABLE_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    disable: bool
    user: str
    role: str
    type: str
    level: str
    def __init__(self, disable: _Optional[bool] = ..., user: _Optional[str] = ..., role: _Optional[str] = ..., type: _Optional[str] = ..., level: _Optional[str] = ...) -> None: ...

class Seccomp(_message.Message):
    __slots__ = ("mode", "profile")
    MODE_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    mode: str
    profile: str
    def __init__(self, mode: _Optional[str] = ..., profile: _Optional[str] = ...) -> None: ...

class AppArmor(_message.Message):
    __slots__ = ("mode",)
    MODE_FIELD_NUMBER: _ClassVar[int]
    mode: str
    def __init__(self, mode: _Optional[str] = ...) -> None: ...

class Privileges(_message.Message):
    __slots__ = ("selinux", "seccomp", "apparmor", "no_new_privileges")
    SELINUX_FIELD_NUMBER: _ClassVar[int]
    SECCOMP_FIELD_NUMBER: _ClassVar[int]
    APPARMOR_FIELD_NUMBER: _ClassVar[int]
    NO_NEW_PRIVILEGES_FIELD_NUMBER: _ClassVar[int]
    selinux: SELinux
    seccomp: Seccomp
    apparmor: AppArmor
    no_new_privileges: bool
    def __init__(self, selinux: _Optional[_Union[SELinux, _Mapping]] = ..., seccomp: _Optional[_Union[Seccomp, _Mapping]] = ..., apparmor: _Optional[_Union[AppArmor, _Mapping]] = ..., no_new_privileges: _Optional[bool] = ...) -> None: ...

class BindOptions(_message.Message):
    __slots__ = ("propagation", "non_recursive", "create_mountpoint", "read_only_non_recursive", "read_only_force_recursive", "relabel")
    PROPAGATION_FIELD_NUMBER: _ClassVar[int]
    NON_RECURSIVE_FIELD_NUMBER: _ClassVar[int]
    CREATE_MOUNTPOINT_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_NON_RECURSIVE_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FORCE_RECURSIVE_FIELD_NUMBER: _ClassVar[int]
    RELABEL_FIELD_NUMBER: _ClassVar[int]
    propagation: str
    non_recursive: bool
    create_mountpoint: bool
    read_only_non_recursive: bool
    read_only_force_recursive: bool
    relabel: str
    def __init__(self, propagation: _Optional[str] = ..., non_recursive: _Optional[bool] = ..., create_mountpoint: _Optional[bool] = ..., read_only_non_recursive: _Optional[bool] = ..., read_only_force_recursive: _Optional[bool] = ..., relabel: _Optional[str] = ...) -> None: ...

class VolumeDriver(_message.Message):
    __slots__ = ("name", "options")
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    options: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., options: _Optional[_Mapping[str, str]] = ...) -> None: ...

class VolumeOptions(_message.Message):
    __slots__ = ("no_copy", "labels", "subpath", "driver")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NO_COPY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SUBPATH_FIELD_NUMBER: _ClassVar[int]
    DRIVER_FIELD_NUMBER: _ClassVar[int]
    no_copy: bool
    labels: _containers.ScalarMap[str, str]
    subpath: str
    driver: VolumeDriver
    def __init__(self, no_copy: _Optional[bool] = ..., labels: _Optional[_Mapping[str, str]] = ..., subpath: _Optional[str] = ..., driver: _Optional[_Union[VolumeDriver, _Mapping]] = ...) -> None: ...

class TmpfsOptions(_message.Message):
    __slots__ = ("size", "mode", "options")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    size: int
    mode: int
    options: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, size: _Optional[int] = ..., mode: _Optional[int] = ..., options: _Optional[_Iterable[str]] = ...) -> None: ...

class Mount(_message.Message):
    __slots__ = ("target", "source", "type", "read_only", "bind", "volume", "tmpfs")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    BIND_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    TMPFS_FIELD_NUMBER: _ClassVar[int]
    target: str
    source: str
    type: str
    read_only: bool
    bind: BindOptions
    volume: VolumeOptions
    tmpfs: TmpfsOptions
    def __init__(self, target: _Optional[str] = ..., source: _Optional[str] = ..., type: _Optional[str] = ..., read_only: _Optional[bool] = ..., bind: _Optional[_Union[BindOptions, _Mapping]] = ..., volume: _Optional[_Union[VolumeOptions, _Mapping]] = ..., tmpfs: _Optional[_Union[TmpfsOptions, _Mapping]] = ...) -> None: ...

class Healthcheck(_message.Message):
    __slots__ = ("test", "interval", "timeout", "retries", "start_period", "start_interval")
    TEST_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    START_PERIOD_FIELD_NUMBER: _ClassVar[int]
    START_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    test: _containers.RepeatedScalarFieldContainer[str]
    interval: int
    timeout: int
    retries: int
    start_period: int
    start_interval: int
    def __init__(self, test: _Optional[_Iterable[str]] = ..., interval: _Optional[int] = ..., timeout: _Optional[int] = ..., retries: _Optional[int] = ..., start_period: _Optional[int] = ..., start_interval: _Optional[int] = ...) -> None: ...

class DNSConfig(_message.Message):
    __slots__ = ("nameservers", "search", "options")
    NAMESERVERS_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    nameservers: _containers.RepeatedScalarFieldContainer[str]
    search: _containers.RepeatedScalarFieldContainer[str]
    options: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, nameservers: _Optional[_Iterable[str]] = ..., search: _Optional[_Iterable[str]] = ..., options: _Optional[_Iterable[str]] = ...) -> None: ...

class Ulimit(_message.Message):
    __slots__ = ("name", "soft", "hard")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SOFT_FIELD_NUMBER: _ClassVar[int]
    HARD_FIELD_NUMBER: _ClassVar[int]
    name: str
    soft: int
    hard: int
    def __init__(self, name: _Optional[str] = ..., soft: _Optional[int] = ..., hard: _Optional[int] = ...) -> None: ...

class FileTarget(_message.Message):
    __slots__ = ("name", "uid", "gid", "mode")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    GID_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    name: str
    uid: str
    gid: str
    mode: int
    def __init__(self, name: _Optional[str] = ..., uid: _Optional[str] = ..., gid: _Optional[str] = ..., mode: _Optional[int] = ...) -> None: ...

class SecretReference(_message.Message):
    __slots__ = ("secret_id", "secret_name", "file")
    SECRET_ID_FIELD_NUMBER: _ClassVar[int]
    SECRET_NAME_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    secret_id: str
    secret_name: str
    file: FileTarget
    def __init__(self, secret_id: _Optional[str] = ..., secret_name: _Optional[str] = ..., file: _Optional[_Union[FileTarget, _Mapping]] = ...) -> None: ...

class ConfigReference(_message.Message):
    __slots__ = ("config_id", "config_name", "file", "runtime")
    CONFIG_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIG_NAME_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    config_id: str
    config_name: str
    file: FileTarget
    runtime: bool
    def __init__(self, config_id: _Optional[str] = ..., config_name: _Optional[str] = ..., file: _Optional[_Union[FileTarget, _Mapping]] = ..., runtime: _Optional[bool] = ...) -> None: ...

class ContainerSpec(_message.Message):
    __slots__ = ("image", "labels", "command", "args", "hostname", "env", "working_dir", "user", "groups", "privileges", "init", "stop_signal", "tty", "open_stdin", "read_only", "mounts", "stop_grace_period", "healthcheck", "hosts", "dns", "isolation", "sysctls", "cap_add", "cap_drop", "ulimits", "oom_score_adj", "secrets", "configs")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SysctlsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIR_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    PRIVILEGES_FIELD_NUMBER: _ClassVar[int]
    INIT_FIELD_NUMBER: _ClassVar[int]
    STOP_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    TTY_FIELD_NUMBER: _ClassVar[int]
    OPEN_STDIN_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    MOUNTS_FIELD_NUMBER: _ClassVar[int]
    STOP_GRACE_PERIOD_FIELD_NUMBER: _ClassVar[int]
    HEALTHCHECK_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    DNS_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    SYSCTLS_FIELD_NUMBER: _ClassVar[int]
    CAP_ADD_FIELD_NUMBER: _ClassVar[int]
    CAP_DROP_FIELD_NUMBER: _ClassVar[int]
    ULIMITS_FIELD_NUMBER: _ClassVar[int]
    OOM_SCORE_ADJ_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    CONFIGS_FIELD_NUMBER: _ClassVar[int]
    image: str
    labels: _containers.ScalarMap[str, str]
    command: _containers.RepeatedScalarFieldContainer[str]
    args: _containers.RepeatedScalarFieldContainer[str]
    hostname: str
    env: _containers.RepeatedScalarFieldContainer[str]
    working_dir: str
    user: str
    groups: _containers.RepeatedScalarFieldContainer[str]
    privileges: Privileges
    init: bool
    stop_signal: str
    tty: bool
    open_stdin: bool
    read_only: bool
    mounts: _containers.RepeatedCompositeFieldContainer[Mount]
    stop_grace_period: int
    healthcheck: Healthcheck
    hosts: _containers.RepeatedScalarFieldContainer[str]
    dns: DNSConfig
    isolation: str
    sysctls: _containers.ScalarMap[str, str]
    cap_add: _containers.RepeatedScalarFieldContainer[str]
    cap_drop: _containers.RepeatedScalarFieldContainer[str]
    ulimits: _containers.RepeatedCompositeFieldContainer[Ulimit]
    oom_score_adj: int
    secrets: _containers.RepeatedCompositeFieldContainer[SecretReference]
    configs: _containers.RepeatedCompositeFieldContainer[ConfigReference]
    def __init__(self, image: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., command: _Optional[_Iterable[str]] = ..., args: _Optional[_Iterable[str]] = ..., hostname: _Optional[str] = ..., env: _Optional[_Iterable[str]] = ..., working_dir: _Optional[str] = ..., user: _Optional[str] = ..., groups: _Optional[_Iterable[str]] = ..., privileges: _Optional[_Union[Privileges, _Mapping]] = ..., init: _Optional[bool] = ..., stop_signal: _Optional[str] = ..., tty: _Optional[bool] = ..., open_stdin: _Optional[bool] = ..., read_only: _Optional[bool] = ..., mounts: _Optional[_Iterable[_Union[Mount, _Mapping]]] = ..., stop_grace_period: _Optional[int] = ..., healthcheck: _Optional[_Union[Healthcheck, _Mapping]] = ..., hosts: _Optional[_Iterable[str]] = ..., dns: _Optional[_Union[DNSConfig, _Mapping]] = ..., isolation: _Optional[str] = ..., sysctls: _Optional[_Mapping[str, str]] = ..., cap_add: _Optional[_Iterable[str]] = ..., cap_drop: _Optional[_Iterable[str]] = ..., ulimits: _Optional[_Iterable[_Union[Ulimit, _Mapping]]] = ..., oom_score_adj: _Optional[int] = ..., secrets: _Optional[_Iterable[_Union[SecretReference, _Mapping]]] = ..., configs: _Optional[_Iterable[_Union[ConfigReference, _Mapping]]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("cpus", "memory", "pids")
    CPUS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    PIDS_FIELD_NUMBER: _ClassVar[int]
    cpus: int
    memory: int
    pids: int
    def __init__(self, cpus: _Optional[int] = ..., memory: _Optional[int] = ..., pids: _Optional[int] = ...) -> None: ...

class Reservations(_message.Message):
    __slots__ = ("cpus", "memory", "generic")
    CPUS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    GENERIC_FIELD_NUMBER: _ClassVar[int]
    cpus: int
    memory: int
    generic: _containers.RepeatedCompositeFieldContainer[GenericResource]
    def __init__(self, cpus: _Optional[int] = ..., memory: _Optional[int] = ..., generic: _Optional[_Iterable[_Union[GenericResource, _Mapping]]] = ...) -> None: ...

class Resources(_message.Message):
    __slots__ = ("limits", "reservations", "swap_bytes", "memory_swappiness")
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    RESERVATIONS_FIELD_NUMBER: _ClassVar[int]
    SWAP_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_SWAPPINESS_FIELD_NUMBER: _ClassVar[int]
    limits: Limits
    reservations: Reservations
    swap_bytes: int
    memory_swappiness: int
    def __init__(self, limits: _Optional[_Union[Limits, _Mapping]] = ..., reservations: _Optional[_Union[Reservations, _Mapping]] = ..., swap_bytes: _Optional[int] = ..., memory_swappiness: _Optional[int] = ...) -> None: ...

class RestartPolicy(_message.Message):
    __slots__ = ("condition", "delay", "max_attempts", "window")
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    condition: str
    delay: int
    max_attempts: int
    window: int
    def __init__(self, condition: _Optional[str] = ..., delay: _Optional[int] = ..., max_attempts: _Optional[int] = ..., window: _Optional[int] = ...) -> None: ...

class Spread(_message.Message):
    __slots__ = ("descriptor",)
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    descriptor: str
    def __init__(self, descriptor: _Optional[str] = ...) -> None: ...

class Preference(_message.Message):
    __slots__ = ("spread",)
    SPREAD_FIELD_NUMBER: _ClassVar[int]
    spread: Spread
    def __init__(self, spread: _Optional[_Union[Spread, _Mapping]] = ...) -> None: ...

class Platform(_message.Message):
    __slots__ = ("architecture", "os")
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    OS_FIELD_NUMBER: _ClassVar[int]
    architecture: str
    os: str
    def __init__(self, architecture: _Optional[str] = ..., os: _Optional[str] = ...) -> None: ...

class Placement(_message.Message):
    __slots__ = ("constraints", "preferences", "max_replicas", "platforms")
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    PREFERENCES_FIELD_NUMBER: _ClassVar[int]
    MAX_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    PLATFORMS_FIELD_NUMBER: _ClassVar[int]
    constraints: _containers.RepeatedScalarFieldContainer[str]
    preferences: _containers.RepeatedCompositeFieldContainer[Preference]
    max_replicas: int
    platforms: _containers.RepeatedCompositeFieldContainer[Platform]
    def __init__(self, constraints: _Optional[_Iterable[str]] = ..., preferences: _Optional[_Iterable[_Union[Preference, _Mapping]]] = ..., max_replicas: _Optional[int] = ..., platforms: _Optional[_Iterable[_Union[Platform, _Mapping]]] = ...) -> None: ...

class LogDriver(_message.Message):
    __slots__ = ("name", "options")
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    options: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., options: _Optional[_Mapping[str, str]] = ...) -> None: ...

class NetworkAttachment(_message.Message):
    __slots__ = ("target", "aliases", "driver_opts")
    class DriverOptsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TARGET_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    DRIVER_OPTS_FIELD_NUMBER: _ClassVar[int]
    target: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    driver_opts: _containers.ScalarMap[str, str]
    def __init__(self, target: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., driver_opts: _Optional[_Mapping[str, str]] = ...) -> None: ...

class TaskSpec(_message.Message):
    __slots__ = ("container", "resources", "restart_policy", "placement", "log_driver", "networks", "force_update", "runtime")
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    RESTART_POLICY_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    LOG_DRIVER_FIELD_NUMBER: _ClassVar[int]
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    FORCE_UPDATE_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    container: ContainerSpec
    resources: Resources
    restart_policy: RestartPolicy
    placement: Placement
    log_driver: LogDriver
    networks: _containers.RepeatedCompositeFieldContainer[NetworkAttachment]
    force_update: int
    runtime: str
    def __init__(self, container: _Optional[_Union[ContainerSpec, _Mapping]] = ..., resources: _Optional[_Union[Resources, _Mapping]] = ..., restart_policy: _Optional[_Union[RestartPolicy, _Mapping]] = ..., placement: _Optional[_Union[Placement, _Mapping]] = ..., log_driver: _Optional[_Union[LogDriver, _Mapping]] = ..., networks: _Optional[_Iterable[_Union[NetworkAttachment, _Mapping]]] = ..., force_update: _Optional[int] = ..., runtime: _Optional[str] = ...) -> None: ...

class Mode(_message.Message):
    __slots__ = ("kind", "replicas", "max_concurrent", "total_completions")
    KIND_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_COMPLETIONS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    replicas: int
    max_concurrent: int
    total_completions: int
    def __init__(self, kind: _Optional[str] = ..., replicas: _Optional[int] = ..., max_concurrent: _Optional[int] = ..., total_completions: _Optional[int] = ...) -> None: ...

class UpdateConfig(_message.Message):
    __slots__ = ("parallelism", "delay", "failure_action", "monitor", "max_failure_ratio", "order", "gate", "timeout")
    PARALLELISM_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    FAILURE_ACTION_FIELD_NUMBER: _ClassVar[int]
    MONITOR_FIELD_NUMBER: _ClassVar[int]
    MAX_FAILURE_RATIO_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    parallelism: int
    delay: int
    failure_action: str
    monitor: int
    max_failure_ratio: float
    order: str
    gate: str
    timeout: int
    def __init__(self, parallelism: _Optional[int] = ..., delay: _Optional[int] = ..., failure_action: _Optional[str] = ..., monitor: _Optional[int] = ..., max_failure_ratio: _Optional[float] = ..., order: _Optional[str] = ..., gate: _Optional[str] = ..., timeout: _Optional[int] = ...) -> None: ...

class RollbackConfig(_message.Message):
    __slots__ = ("parallelism", "delay", "failure_action", "monitor", "max_failure_ratio", "order", "gate", "timeout")
    PARALLELISM_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    FAILURE_ACTION_FIELD_NUMBER: _ClassVar[int]
    MONITOR_FIELD_NUMBER: _ClassVar[int]
    MAX_FAILURE_RATIO_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    parallelism: int
    delay: int
    failure_action: str
    monitor: int
    max_failure_ratio: float
    order: str
    gate: str
    timeout: int
    def __init__(self, parallelism: _Optional[int] = ..., delay: _Optional[int] = ..., failure_action: _Optional[str] = ..., monitor: _Optional[int] = ..., max_failure_ratio: _Optional[float] = ..., order: _Optional[str] = ..., gate: _Optional[str] = ..., timeout: _Optional[int] = ...) -> None: ...

class Port(_message.Message):
    __slots__ = ("target_port", "published_port", "protocol", "mode", "name", "local_first")
    TARGET_PORT_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_PORT_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LOCAL_FIRST_FIELD_NUMBER: _ClassVar[int]
    target_port: int
    published_port: int
    protocol: str
    mode: str
    name: str
    local_first: bool
    def __init__(self, target_port: _Optional[int] = ..., published_port: _Optional[int] = ..., protocol: _Optional[str] = ..., mode: _Optional[str] = ..., name: _Optional[str] = ..., local_first: _Optional[bool] = ...) -> None: ...

class EndpointSpec(_message.Message):
    __slots__ = ("mode", "ports", "drain")
    MODE_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    mode: str
    ports: _containers.RepeatedCompositeFieldContainer[Port]
    drain: int
    def __init__(self, mode: _Optional[str] = ..., ports: _Optional[_Iterable[_Union[Port, _Mapping]]] = ..., drain: _Optional[int] = ...) -> None: ...

class ServiceSpec(_message.Message):
    __slots__ = ("name", "labels", "task", "mode", "update_config", "rollback_config", "endpoint")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_CONFIG_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_CONFIG_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    name: str
    labels: _containers.ScalarMap[str, str]
    task: TaskSpec
    mode: Mode
    update_config: UpdateConfig
    rollback_config: RollbackConfig
    endpoint: EndpointSpec
    def __init__(self, name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., task: _Optional[_Union[TaskSpec, _Mapping]] = ..., mode: _Optional[_Union[Mode, _Mapping]] = ..., update_config: _Optional[_Union[UpdateConfig, _Mapping]] = ..., rollback_config: _Optional[_Union[RollbackConfig, _Mapping]] = ..., endpoint: _Optional[_Union[EndpointSpec, _Mapping]] = ...) -> None: ...

class UpdateStatus(_message.Message):
    __slots__ = ("state", "started_at", "completed_at", "message")
    STATE_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    state: str
    started_at: int
    completed_at: int
    message: str
    def __init__(self, state: _Optional[str] = ..., started_at: _Optional[int] = ..., completed_at: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class Service(_message.Message):
    __slots__ = ("id", "version", "created_at", "updated_at", "spec", "spec_version", "previous_spec", "previous_spec_version", "update_status", "registry_auth", "previous_registry_auth", "job_iteration", "last_execution", "ports", "vips", "following", "awaits", "changed_by")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    SPEC_VERSION_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_SPEC_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_SPEC_VERSION_FIELD_NUMBER: _ClassVar[int]
    UPDATE_STATUS_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_AUTH_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_REGISTRY_AUTH_FIELD_NUMBER: _ClassVar[int]
    JOB_ITERATION_FIELD_NUMBER: _ClassVar[int]
    LAST_EXECUTION_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    VIPS_FIELD_NUMBER: _ClassVar[int]
    FOLLOWING_FIELD_NUMBER: _ClassVar[int]
    AWAITS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_BY_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: int
    created_at: int
    updated_at: int
    spec: ServiceSpec
    spec_version: int
    previous_spec: ServiceSpec
    previous_spec_version: int
    update_status: UpdateStatus
    registry_auth: str
    previous_registry_auth: str
    job_iteration: int
    last_execution: int
    ports: _containers.RepeatedCompositeFieldContainer[Port]
    vips: _containers.RepeatedCompositeFieldContainer[Attachment]
    following: _containers.RepeatedScalarFieldContainer[str]
    awaits: _containers.RepeatedScalarFieldContainer[str]
    changed_by: str
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ..., created_at: _Optional[int] = ..., updated_at: _Optional[int] = ..., spec: _Optional[_Union[ServiceSpec, _Mapping]] = ..., spec_version: _Optional[int] = ..., previous_spec: _Optional[_Union[ServiceSpec, _Mapping]] = ..., previous_spec_version: _Optional[int] = ..., update_status: _Optional[_Union[UpdateStatus, _Mapping]] = ..., registry_auth: _Optional[str] = ..., previous_registry_auth: _Optional[str] = ..., job_iteration: _Optional[int] = ..., last_execution: _Optional[int] = ..., ports: _Optional[_Iterable[_Union[Port, _Mapping]]] = ..., vips: _Optional[_Iterable[_Union[Attachment, _Mapping]]] = ..., following: _Optional[_Iterable[str]] = ..., awaits: _Optional[_Iterable[str]] = ..., changed_by: _Optional[str] = ...) -> None: ...

class TaskStatus(_message.Message):
    __slots__ = ("state", "at", "applied_at", "running_since", "message", "err", "container_id", "pid", "exit_code", "ports")
    STATE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    APPLIED_AT_FIELD_NUMBER: _ClassVar[int]
    RUNNING_SINCE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ERR_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    state: int
    at: int
    applied_at: int
    running_since: int
    message: str
    err: str
    container_id: str
    pid: int
    exit_code: int
    ports: _containers.RepeatedCompositeFieldContainer[Port]
    def __init__(self, state: _Optional[int] = ..., at: _Optional[int] = ..., applied_at: _Optional[int] = ..., running_since: _Optional[int] = ..., message: _Optional[str] = ..., err: _Optional[str] = ..., container_id: _Optional[str] = ..., pid: _Optional[int] = ..., exit_code: _Optional[int] = ..., ports: _Optional[_Iterable[_Union[Port, _Mapping]]] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("id", "version", "created_at", "updated_at", "service_id", "service_name", "service_labels", "slot", "node_id", "spec", "endpoint", "spec_version", "desired_state", "status", "not_before", "replaces", "attempt", "job_iteration", "assigned_generic", "cause", "refused", "attachments")
    class ServiceLabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    SERVICE_LABELS_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    SPEC_VERSION_FIELD_NUMBER: _ClassVar[int]
    DESIRED_STATE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    REPLACES_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    JOB_ITERATION_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_GENERIC_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENTS_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: int
    created_at: int
    updated_at: int
    service_id: str
    service_name: str
    service_labels: _containers.ScalarMap[str, str]
    slot: int
    node_id: str
    spec: TaskSpec
    endpoint: EndpointSpec
    spec_version: int
    desired_state: int
    status: TaskStatus
    not_before: int
    replaces: str
    attempt: int
    job_iteration: int
    assigned_generic: _containers.RepeatedCompositeFieldContainer[GenericResource]
    cause: str
    refused: str
    attachments: _containers.RepeatedCompositeFieldContainer[Attachment]
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ..., created_at: _Optional[int] = ..., updated_at: _Optional[int] = ..., service_id: _Optional[str] = ..., service_name: _Optional[str] = ..., service_labels: _Optional[_Mapping[str, str]] = ..., slot: _Optional[int] = ..., node_id: _Optional[str] = ..., spec: _Optional[_Union[TaskSpec, _Mapping]] = ..., endpoint: _Optional[_Union[EndpointSpec, _Mapping]] = ..., spec_version: _Optional[int] = ..., desired_state: _Optional[int] = ..., status: _Optional[_Union[TaskStatus, _Mapping]] = ..., not_before: _Optional[int] = ..., replaces: _Optional[str] = ..., attempt: _Optional[int] = ..., job_iteration: _Optional[int] = ..., assigned_generic: _Optional[_Iterable[_Union[GenericResource, _Mapping]]] = ..., cause: _Optional[str] = ..., refused: _Optional[str] = ..., attachments: _Optional[_Iterable[_Union[Attachment, _Mapping]]] = ...) -> None: ...

class Ticket(_message.Message):
    __slots__ = ("id", "version", "created_at", "updated_at", "secret_digest", "key_digest", "role", "availability", "labels", "expires_at")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    SECRET_DIGEST_FIELD_NUMBER: _ClassVar[int]
    KEY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    AVAILABILITY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: int
    created_at: int
    updated_at: int
    secret_digest: str
    key_digest: str
    role: str
    availability: str
    labels: _containers.ScalarMap[str, str]
    expires_at: int
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ..., created_at: _Optional[int] = ..., updated_at: _Optional[int] = ..., secret_digest: _Optional[str] = ..., key_digest: _Optional[str] = ..., role: _Optional[str] = ..., availability: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., expires_at: _Optional[int] = ...) -> None: ...

class Templating(_message.Message):
    __slots__ = ("name", "options")
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    options: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., options: _Optional[_Mapping[str, str]] = ...) -> None: ...

class SecretSpec(_message.Message):
    __slots__ = ("name", "labels", "templating")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TEMPLATING_FIELD_NUMBER: _ClassVar[int]
    name: str
    labels: _containers.ScalarMap[str, str]
    templating: Templating
    def __init__(self, name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., templating: _Optional[_Union[Templating, _Mapping]] = ...) -> None: ...

class Secret(_message.Message):
    __slots__ = ("id", "version", "created_at", "updated_at", "spec", "data")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: int
    created_at: int
    updated_at: int
    spec: SecretSpec
    data: bytes
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ..., created_at: _Optional[int] = ..., updated_at: _Optional[int] = ..., spec: _Optional[_Union[SecretSpec, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class ConfigSpec(_message.Message):
    __slots__ = ("name", "labels", "templating")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TEMPLATING_FIELD_NUMBER: _ClassVar[int]
    name: str
    labels: _containers.ScalarMap[str, str]
    templating: Templating
    def __init__(self, name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., templating: _Optional[_Union[Templating, _Mapping]] = ...) -> None: ...

class Config(_message.Message):
    __slots__ = ("id", "version", "created_at", "updated_at", "spec", "data")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: int
    created_at: int
    updated_at: int
    spec: ConfigSpec
    data: bytes
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ..., created_at: _Optional[int] = ..., updated_at: _Optional[int] = ..., spec: _Optional[_Union[ConfigSpec, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class RegistrySpec(_message.Message):
    __slots__ = ("server", "username")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    server: str
    username: str
    def __init__(self, server: _Optional[str] = ..., username: _Optional[str] = ...) -> None: ...

class Registry(_message.Message):
    __slots__ = ("id", "version", "created_at", "updated_at", "spec", "auth")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    AUTH_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: int
    created_at: int
    updated_at: int
    spec: RegistrySpec
    auth: bytes
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ..., created_at: _Optional[int] = ..., updated_at: _Optional[int] = ..., spec: _Optional[_Union[RegistrySpec, _Mapping]] = ..., auth: _Optional[bytes] = ...) -> None: ...

class Pool(_message.Message):
    __slots__ = ("subnet", "gateway", "ip_range")
    SUBNET_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    IP_RANGE_FIELD_NUMBER: _ClassVar[int]
    subnet: str
    gateway: str
    ip_range: str
    def __init__(self, subnet: _Optional[str] = ..., gateway: _Optional[str] = ..., ip_range: _Optional[str] = ...) -> None: ...

class IPAM(_message.Message):
    __slots__ = ("driver", "configs", "options")
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DRIVER_FIELD_NUMBER: _ClassVar[int]
    CONFIGS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    driver: str
    configs: _containers.RepeatedCompositeFieldContainer[Pool]
    options: _containers.ScalarMap[str, str]
    def __init__(self, driver: _Optional[str] = ..., configs: _Optional[_Iterable[_Union[Pool, _Mapping]]] = ..., options: _Optional[_Mapping[str, str]] = ...) -> None: ...

class NetworkSpec(_message.Message):
    __slots__ = ("name", "labels", "driver", "options", "internal", "attachable", "ingress", "ipv6", "ipam")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    DRIVER_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    INTERNAL_FIELD_NUMBER: _ClassVar[int]
    ATTACHABLE_FIELD_NUMBER: _ClassVar[int]
    INGRESS_FIELD_NUMBER: _ClassVar[int]
    IPV6_FIELD_NUMBER: _ClassVar[int]
    IPAM_FIELD_NUMBER: _ClassVar[int]
    name: str
    labels: _containers.ScalarMap[str, str]
    driver: str
    options: _containers.ScalarMap[str, str]
    internal: bool
    attachable: bool
    ingress: bool
    ipv6: bool
    ipam: IPAM
    def __init__(self, name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., driver: _Optional[str] = ..., options: _Optional[_Mapping[str, str]] = ..., internal: _Optional[bool] = ..., attachable: _Optional[bool] = ..., ingress: _Optional[bool] = ..., ipv6: _Optional[bool] = ..., ipam: _Optional[_Union[IPAM, _Mapping]] = ...) -> None: ...

class Subnet(_message.Message):
    __slots__ = ("subnet", "gateway", "ip_range")
    SUBNET_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    IP_RANGE_FIELD_NUMBER: _ClassVar[int]
    subnet: str
    gateway: str
    ip_range: str
    def __init__(self, subnet: _Optional[str] = ..., gateway: _Optional[str] = ..., ip_range: _Optional[str] = ...) -> None: ...

class Network(_message.Message):
    __slots__ = ("id", "version", "created_at", "updated_at", "spec", "vni", "subnets", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    SUBNETS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: int
    created_at: int
    updated_at: int
    spec: NetworkSpec
    vni: int
    subnets: _containers.RepeatedCompositeFieldContainer[Subnet]
    error: str
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ..., created_at: _Optional[int] = ..., updated_at: _Optional[int] = ..., spec: _Optional[_Union[NetworkSpec, _Mapping]] = ..., vni: _Optional[int] = ..., subnets: _Optional[_Iterable[_Union[Subnet, _Mapping]]] = ..., error: _Optional[str] = ...) -> None: ...

class Dependency(_message.Message):
    __slots__ = ("key", "condition")
    KEY_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    key: str
    condition: str
    def __init__(self, key: _Optional[str] = ..., condition: _Optional[str] = ...) -> None: ...

class StackService(_message.Message):
    __slots__ = ("key", "spec", "after", "said")
    KEY_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    SAID_FIELD_NUMBER: _ClassVar[int]
    key: str
    spec: ServiceSpec
    after: _containers.RepeatedCompositeFieldContainer[Dependency]
    said: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, key: _Optional[str] = ..., spec: _Optional[_Union[ServiceSpec, _Mapping]] = ..., after: _Optional[_Iterable[_Union[Dependency, _Mapping]]] = ..., said: _Optional[_Iterable[str]] = ...) -> None: ...

class StackNetwork(_message.Message):
    __slots__ = ("key", "name", "external", "spec")
    KEY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXTERNAL_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    key: str
    name: str
    external: bool
    spec: NetworkSpec
    def __init__(self, key: _Optional[str] = ..., name: _Optional[str] = ..., external: _Optional[bool] = ..., spec: _Optional[_Union[NetworkSpec, _Mapping]] = ...) -> None: ...

class StackData(_message.Message):
    __slots__ = ("key", "kind", "name", "external", "id", "labels", "template_driver")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXTERNAL_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_DRIVER_FIELD_NUMBER: _ClassVar[int]
    key: str
    kind: str
    name: str
    external: bool
    id: str
    labels: _containers.ScalarMap[str, str]
    template_driver: str
    def __init__(self, key: _Optional[str] = ..., kind: _Optional[str] = ..., name: _Optional[str] = ..., external: _Optional[bool] = ..., id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., template_driver: _Optional[str] = ...) -> None: ...

class Revision(_message.Message):
    __slots__ = ("number", "at", "actor", "user", "playbook", "git_revision", "message", "source", "services", "networks", "data", "failure")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    PLAYBOOK_FIELD_NUMBER: _ClassVar[int]
    GIT_REVISION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    number: int
    at: int
    actor: str
    user: str
    playbook: str
    git_revision: str
    message: str
    source: str
    services: _containers.RepeatedCompositeFieldContainer[StackService]
    networks: _containers.RepeatedCompositeFieldContainer[StackNetwork]
    data: _containers.RepeatedCompositeFieldContainer[StackData]
    failure: str
    def __init__(self, number: _Optional[int] = ..., at: _Optional[int] = ..., actor: _Optional[str] = ..., user: _Optional[str] = ..., playbook: _Optional[str] = ..., git_revision: _Optional[str] = ..., message: _Optional[str] = ..., source: _Optional[str] = ..., services: _Optional[_Iterable[_Union[StackService, _Mapping]]] = ..., networks: _Optional[_Iterable[_Union[StackNetwork, _Mapping]]] = ..., data: _Optional[_Iterable[_Union[StackData, _Mapping]]] = ..., failure: _Optional[str] = ...) -> None: ...

class StackStatus(_message.Message):
    __slots__ = ("state", "started_at", "completed_at", "message", "failed")
    STATE_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_AT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    state: str
    started_at: int
    completed_at: int
    message: str
    failed: str
    def __init__(self, state: _Optional[str] = ..., started_at: _Optional[int] = ..., completed_at: _Optional[int] = ..., message: _Optional[str] = ..., failed: _Optional[str] = ...) -> None: ...

class Leftover(_message.Message):
    __slots__ = ("kind", "id")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class Stack(_message.Message):
    __slots__ = ("id", "version", "created_at", "updated_at", "name", "labels", "revision", "history", "keep", "on_failure", "timeout", "status", "leftovers", "removing")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    ON_FAILURE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LEFTOVERS_FIELD_NUMBER: _ClassVar[int]
    REMOVING_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: int
    created_at: int
    updated_at: int
    name: str
    labels: _containers.ScalarMap[str, str]
    revision: Revision
    history: _containers.RepeatedCompositeFieldContainer[Revision]
    keep: int
    on_failure: str
    timeout: int
    status: StackStatus
    leftovers: _containers.RepeatedCompositeFieldContainer[Leftover]
    removing: bool
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ..., created_at: _Optional[int] = ..., updated_at: _Optional[int] = ..., name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., revision: _Optional[_Union[Revision, _Mapping]] = ..., history: _Optional[_Iterable[_Union[Revision, _Mapping]]] = ..., keep: _Optional[int] = ..., on_failure: _Optional[str] = ..., timeout: _Optional[int] = ..., status: _Optional[_Union[StackStatus, _Mapping]] = ..., leftovers: _Optional[_Iterable[_Union[Leftover, _Mapping]]] = ..., removing: _Optional[bool] = ...) -> None: ...

class Object(_message.Message):
    __slots__ = ("cluster", "node", "service", "task", "ticket", "secret", "config", "registry", "network", "certificate", "stack")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    TICKET_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    STACK_FIELD_NUMBER: _ClassVar[int]
    cluster: Cluster
    node: Node
    service: Service
    task: Task
    ticket: Ticket
    secret: Secret
    config: Config
    registry: Registry
    network: Network
    certificate: Certificate
    stack: Stack
    def __init__(self, cluster: _Optional[_Union[Cluster, _Mapping]] = ..., node: _Optional[_Union[Node, _Mapping]] = ..., service: _Optional[_Union[Service, _Mapping]] = ..., task: _Optional[_Union[Task, _Mapping]] = ..., ticket: _Optional[_Union[Ticket, _Mapping]] = ..., secret: _Optional[_Union[Secret, _Mapping]] = ..., config: _Optional[_Union[Config, _Mapping]] = ..., registry: _Optional[_Union[Registry, _Mapping]] = ..., network: _Optional[_Union[Network, _Mapping]] = ..., certificate: _Optional[_Union[Certificate, _Mapping]] = ..., stack: _Optional[_Union[Stack, _Mapping]] = ...) -> None: ...

class Delete(_message.Message):
    __slots__ = ("kind", "id", "version")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    version: int
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("create", "update", "delete")
    CREATE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    create: Object
    update: Object
    delete: Delete
    def __init__(self, create: _Optional[_Union[Object, _Mapping]] = ..., update: _Optional[_Union[Object, _Mapping]] = ..., delete: _Optional[_Union[Delete, _Mapping]] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("at", "changes")
    AT_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    at: int
    changes: _containers.RepeatedCompositeFieldContainer[Change]
    def __init__(self, at: _Optional[int] = ..., changes: _Optional[_Iterable[_Union[Change, _Mapping]]] = ...) -> None: ...

from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LogOptions(_message.Message):
    __slots__ = ("follow", "stdout", "stderr", "since", "until", "tail")
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    follow: bool
    stdout: bool
    stderr: bool
    since: int
    until: int
    tail: int
    def __init__(self, follow: _Optional[bool] = ..., stdout: _Optional[bool] = ..., stderr: _Optional[bool] = ..., since: _Optional[int] = ..., until: _Optional[int] = ..., tail: _Optional[int] = ...) -> None: ...

class LogSubscriptionsRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class WantedLog(_message.Message):
    __slots__ = ("task_id", "since", "tail")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    since: int
    tail: int
    def __init__(self, task_id: _Optional[str] = ..., since: _Optional[int] = ..., tail: _Optional[int] = ...) -> None: ...

class LogSubscription(_message.Message):
    __slots__ = ("id", "options", "wanted", "over")
    ID_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    OVER_FIELD_NUMBER: _ClassVar[int]
    id: str
    options: LogOptions
    wanted: _containers.RepeatedCompositeFieldContainer[WantedLog]
    over: bool
    def __init__(self, id: _Optional[str] = ..., options: _Optional[_Union[LogOptions, _Mapping]] = ..., wanted: _Optional[_Iterable[_Union[WantedLog, _Mapping]]] = ..., over: _Optional[bool] = ...) -> None: ...

class LogPublication(_message.Message):
    __slots__ = ("session_id", "subscription_id", "task_id", "lines", "done", "error")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    subscription_id: str
    task_id: str
    lines: bytes
    done: bool
    error: str
    def __init__(self, session_id: _Optional[str] = ..., subscription_id: _Optional[str] = ..., task_id: _Optional[str] = ..., lines: _Optional[bytes] = ..., done: _Optional[bool] = ..., error: _Optional[str] = ...) -> None: ...

class LogPublished(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LogLine(_message.Message):
    __slots__ = ("at", "stream", "attributes", "text")
    AT_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    at: int
    stream: int
    attributes: str
    text: bytes
    def __init__(self, at: _Optional[int] = ..., stream: _Optional[int] = ..., attributes: _Optional[str] = ..., text: _Optional[bytes] = ...) -> None: ...

class LogLines(_message.Message):
    __slots__ = ("lines",)
    LINES_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[LogLine]
    def __init__(self, lines: _Optional[_Iterable[_Union[LogLine, _Mapping]]] = ...) -> None: ...

class LogPosition(_message.Message):
    __slots__ = ("task_id", "since", "done")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    since: int
    done: bool
    def __init__(self, task_id: _Optional[str] = ..., since: _Optional[int] = ..., done: _Optional[bool] = ...) -> None: ...

class LogReadRequest(_message.Message):
    __slots__ = ("service_ids", "task_ids", "options", "positions", "began", "without")
    SERVICE_IDS_FIELD_NUMBER: _ClassVar[int]
    TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    BEGAN_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_FIELD_NUMBER: _ClassVar[int]
    service_ids: _containers.RepeatedScalarFieldContainer[str]
    task_ids: _containers.RepeatedScalarFieldContainer[str]
    options: LogOptions
    positions: _containers.RepeatedCompositeFieldContainer[LogPosition]
    began: int
    without: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, service_ids: _Optional[_Iterable[str]] = ..., task_ids: _Optional[_Iterable[str]] = ..., options: _Optional[_Union[LogOptions, _Mapping]] = ..., positions: _Optional[_Iterable[_Union[LogPosition, _Mapping]]] = ..., began: _Optional[int] = ..., without: _Optional[_Iterable[str]] = ...) -> None: ...

class LogRead(_message.Message):
    __slots__ = ("task_id", "node_id", "service_id", "lines", "done", "missing", "again")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    node_id: str
    service_id: str
    lines: bytes
    done: bool
    missing: str
    again: bool
    def __init__(self, task_id: _Optional[str] = ..., node_id: _Optional[str] = ..., service_id: _Optional[str] = ..., lines: _Optional[bytes] = ..., done: _Optional[bool] = ..., missing: _Optional[str] = ..., again: _Optional[bool] = ...) -> None: ...

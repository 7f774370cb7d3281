"""Pulsar's commands and metadata as protobuf messages, made from our own table of their fields.

Promise: a message class exists for everything that a producer, a reader, look-up, proxy,
authentication and keep-alive need; numbers and types are those of Pulsar's protocol definition
(PulsarApi.proto; a test compares them with the classes inside the official distribution). It must
not know frames nor sockets.

Differences from the official file, none of which the wire shows: enumerations travel as int32, so
that a number that is not known here stays visible instead of becoming the default; and a command's
member in `BaseCommand` is named and numbered after its type (``CommandType.LOOKUP`` → ``lookup``).

Texts are `str` where they are UTF-8; text that is not comes as `bytes`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

__all__ = [
    "PROTOCOL_VERSION",
    "AccessMode",
    "CommandType",
    "Compression",
    "LookupAnswer",
    "PartitionsAnswer",
    "ServerError",
    "TopicsOf",
    "SubscriptionType",
    "BaseCommand",
    "BrokerEntryMetadata",
    "KeyValue",
    "MessageIdData",
    "MessageMetadata",
    "SingleMessageMetadata",
    "is_whole",
    "message_class",
    "missing_fields",
    "new_command",
    "payload_of",
]

PROTOCOL_VERSION: Final = 21
"""What we speak, as the brokers of Pulsar 3 and 4; an older broker answers with its own."""


class CommandType(IntEnum):
    """Which command a `BaseCommand` carries; the number is its member's number too."""

    CONNECT = 2
    CONNECTED = 3
    SUBSCRIBE = 4
    PRODUCER = 5
    SEND = 6
    SEND_RECEIPT = 7
    SEND_ERROR = 8
    MESSAGE = 9
    ACK = 10
    FLOW = 11
    UNSUBSCRIBE = 12
    SUCCESS = 13
    ERROR = 14
    CLOSE_PRODUCER = 15
    CLOSE_CONSUMER = 16
    PRODUCER_SUCCESS = 17
    PING = 18
    PONG = 19
    PARTITIONED_METADATA = 21
    PARTITIONED_METADATA_RESPONSE = 22
    LOOKUP = 23
    LOOKUP_RESPONSE = 24
    REACHED_END_OF_TOPIC = 27
    SEEK = 28
    GET_LAST_MESSAGE_ID = 29
    GET_LAST_MESSAGE_ID_RESPONSE = 30
    ACTIVE_CONSUMER_CHANGE = 31
    GET_TOPICS_OF_NAMESPACE = 32
    GET_TOPICS_OF_NAMESPACE_RESPONSE = 33
    AUTH_CHALLENGE = 36
    AUTH_RESPONSE = 37
    ACK_RESPONSE = 38
    TOPIC_MIGRATED = 68


class ServerError(IntEnum):
    """Why the broker refused."""

    UNKNOWN = 0
    METADATA = 1
    PERSISTENCE = 2
    AUTHENTICATION = 3
    AUTHORIZATION = 4
    CONSUMER_BUSY = 5
    SERVICE_NOT_READY = 6
    PRODUCER_BLOCKED_QUOTA_EXCEEDED_ERROR = 7
    PRODUCER_BLOCKED_QUOTA_EXCEEDED_EXCEPTION = 8
    CHECKSUM = 9
    UNSUPPORTED_VERSION = 10
    TOPIC_NOT_FOUND = 11
    SUBSCRIPTION_NOT_FOUND = 12
    CONSUMER_NOT_FOUND = 13
    TOO_MANY_REQUESTS = 14
    TOPIC_TERMINATED = 15
    PRODUCER_BUSY = 16
    INVALID_TOPIC_NAME = 17
    INCOMPATIBLE_SCHEMA = 18
    CONSUMER_ASSIGN = 19
    TRANSACTION_COORDINATOR_NOT_FOUND = 20
    INVALID_TXN_STATUS = 21
    NOT_ALLOWED = 22
    TRANSACTION_CONFLICT = 23
    TRANSACTION_NOT_FOUND = 24
    PRODUCER_FENCED = 25


class Compression(IntEnum):
    """How an entry's payload is compressed."""

    NONE = 0
    LZ4 = 1
    ZLIB = 2
    ZSTD = 3
    SNAPPY = 4


class AccessMode(IntEnum):
    """Whether other producers may write the topic at the same time."""

    SHARED = 0
    EXCLUSIVE = 1
    WAIT_FOR_EXCLUSIVE = 2
    EXCLUSIVE_WITH_FENCING = 3


class SubscriptionType(IntEnum):
    """How consumers of one subscription share its messages."""

    EXCLUSIVE = 0
    SHARED = 1
    FAILOVER = 2
    KEY_SHARED = 3


class LookupAnswer(IntEnum):
    """What a look-up answers: ask another broker, connect to this one, or an error."""

    REDIRECT = 0
    CONNECT = 1
    FAILED = 2


class PartitionsAnswer(IntEnum):
    """What the question for partitions answers."""

    SUCCESS = 0
    FAILED = 1


class TopicsOf(IntEnum):
    """Which topics of a namespace are asked for."""

    PERSISTENT = 0
    NON_PERSISTENT = 1
    ALL = 2


# One line a message: `name number type`, a comma between fields. The type has `!` behind it where
# the field must be there, `*` where it may repeat, and `=` with its default where that is not 0.
MESSAGES: Final = {
    "Schema": "name 1 string!, schema_data 3 bytes!, type 4 int32!, properties 5 KeyValue*",
    "MessageIdData": "ledger_id 1 uint64!, entry_id 2 uint64!, partition 3 int32=-1,"
    " batch_index 4 int32=-1, ack_set 5 int64*, batch_size 6 int32,"
    " first_chunk_message_id 7 MessageIdData",
    "KeyValue": "key 1 string!, value 2 string!",
    "KeyLongValue": "key 1 string!, value 2 uint64!",
    "EncryptionKeys": "key 1 string!, value 2 bytes!, metadata 3 KeyValue*",
    "MessageMetadata": "producer_name 1 string!, sequence_id 2 uint64!, publish_time 3 uint64!,"
    " properties 4 KeyValue*, replicated_from 5 string, partition_key 6 string,"
    " replicate_to 7 string*, compression 8 int32, uncompressed_size 9 uint32,"
    " num_messages_in_batch 11 int32=1, event_time 12 uint64, encryption_keys 13 EncryptionKeys*,"
    " encryption_algo 14 string, encryption_param 15 bytes, schema_version 16 bytes,"
    " partition_key_b64_encoded 17 bool, ordering_key 18 bytes, deliver_at_time 19 int64,"
    " marker_type 20 int32, txnid_least_bits 22 uint64, txnid_most_bits 23 uint64,"
    " highest_sequence_id 24 uint64, null_value 25 bool, uuid 26 string,"
    " num_chunks_from_msg 27 int32, total_chunk_msg_size 28 int32, chunk_id 29 int32,"
    " null_partition_key 30 bool",
    "SingleMessageMetadata": "properties 1 KeyValue*, partition_key 2 string,"
    " payload_size 3 int32!, compacted_out 4 bool, event_time 5 uint64,"
    " partition_key_b64_encoded 6 bool, ordering_key 7 bytes, sequence_id 8 uint64,"
    " null_value 9 bool, null_partition_key 10 bool",
    "BrokerEntryMetadata": "broker_timestamp 1 uint64, index 2 uint64",
    "FeatureFlags": "supports_auth_refresh 1 bool, supports_broker_entry_metadata 2 bool,"
    " supports_partial_producer 3 bool, supports_topic_watchers 4 bool,"
    " supports_get_partitioned_metadata_without_auto_creation 5 bool,"
    " supports_repl_dedup_by_lid_and_eid 6 bool",
    "AuthData": "auth_method_name 1 string, auth_data 2 bytes",
    "CommandConnect": "client_version 1 string!, auth_data 3 bytes, protocol_version 4 int32,"
    " auth_method_name 5 string, proxy_to_broker_url 6 string, original_principal 7 string,"
    " original_auth_data 8 string, original_auth_method 9 string, feature_flags 10 FeatureFlags",
    "CommandConnected": "server_version 1 string!, protocol_version 2 int32,"
    " max_message_size 3 int32, feature_flags 4 FeatureFlags",
    "CommandAuthChallenge": "server_version 1 string, challenge 2 AuthData,"
    " protocol_version 3 int32",
    "CommandAuthResponse": "client_version 1 string, response 2 AuthData, protocol_version 3 int32",
    "CommandProducer": "topic 1 string!, producer_id 2 uint64!, request_id 3 uint64!,"
    " producer_name 4 string, encrypted 5 bool, metadata 6 KeyValue*, schema 7 Schema,"
    " epoch 8 uint64, user_provided_producer_name 9 bool=true, producer_access_mode 10 int32,"
    " topic_epoch 11 uint64, txn_enabled 12 bool, initial_subscription_name 13 string",
    "CommandProducerSuccess": "request_id 1 uint64!, producer_name 2 string!,"
    " last_sequence_id 3 int64=-1, schema_version 4 bytes, topic_epoch 5 uint64,"
    " producer_ready 6 bool=true",
    "CommandSend": "producer_id 1 uint64!, sequence_id 2 uint64!, num_messages 3 int32=1,"
    " txnid_least_bits 4 uint64, txnid_most_bits 5 uint64, highest_sequence_id 6 uint64,"
    " is_chunk 7 bool, marker 8 bool, message_id 9 MessageIdData",
    "CommandSendReceipt": "producer_id 1 uint64!, sequence_id 2 uint64!,"
    " message_id 3 MessageIdData, highest_sequence_id 4 uint64",
    "CommandSendError": "producer_id 1 uint64!, sequence_id 2 uint64!, error 3 int32!,"
    " message 4 string!",
    "CommandSuccess": "request_id 1 uint64!, schema 2 Schema",
    "CommandError": "request_id 1 uint64!, error 2 int32!, message 3 string!",
    "CommandPing": "",
    "CommandPong": "",
    "CommandCloseProducer": "producer_id 1 uint64!, request_id 2 uint64!,"
    " assigned_broker_service_url 3 string, assigned_broker_service_url_tls 4 string",
    "CommandCloseConsumer": "consumer_id 1 uint64!, request_id 2 uint64!,"
    " assigned_broker_service_url 3 string, assigned_broker_service_url_tls 4 string",
    "CommandPartitionedMetadata": "topic 1 string!, request_id 2 uint64!,"
    " original_principal 3 string, original_auth_data 4 string, original_auth_method 5 string,"
    " metadata_auto_creation_enabled 6 bool=true",
    "CommandPartitionedMetadataResponse": "partitions 1 uint32, request_id 2 uint64!,"
    " response 3 int32, error 4 int32, message 5 string",
    "CommandLookup": "topic 1 string!, request_id 2 uint64!, authoritative 3 bool,"
    " original_principal 4 string, original_auth_data 5 string, original_auth_method 6 string,"
    " advertised_listener_name 7 string",
    "CommandLookupResponse": "broker_service_url 1 string, broker_service_url_tls 2 string,"
    " response 3 int32, request_id 4 uint64!, authoritative 5 bool, error 6 int32,"
    " message 7 string, proxy_through_service_url 8 bool",
    "CommandSubscribe": "topic 1 string!, subscription 2 string!, sub_type 3 int32!,"
    " consumer_id 4 uint64!, request_id 5 uint64!, consumer_name 6 string, priority_level 7 int32,"
    " durable 8 bool=true, start_message_id 9 MessageIdData, metadata 10 KeyValue*,"
    " read_compacted 11 bool, schema 12 Schema, initial_position 13 int32,"
    " replicate_subscription_state 14 bool, force_topic_creation 15 bool=true,"
    " start_message_rollback_duration_sec 16 uint64, consumer_epoch 19 uint64",
    "CommandFlow": "consumer_id 1 uint64!, message_permits 2 uint32!",
    "CommandMessage": "consumer_id 1 uint64!, message_id 2 MessageIdData!,"
    " redelivery_count 3 uint32, ack_set 4 int64*, consumer_epoch 5 uint64",
    "CommandAck": "consumer_id 1 uint64!, ack_type 2 int32!, message_id 3 MessageIdData*,"
    " validation_error 4 int32, properties 5 KeyLongValue*, request_id 8 uint64",
    "CommandAckResponse": "consumer_id 1 uint64!, error 4 int32, message 5 string,"
    " request_id 6 uint64",
    "CommandSeek": "consumer_id 1 uint64!, request_id 2 uint64!, message_id 3 MessageIdData,"
    " message_publish_time 4 uint64",
    "CommandGetLastMessageId": "consumer_id 1 uint64!, request_id 2 uint64!",
    "CommandGetLastMessageIdResponse": "last_message_id 1 MessageIdData!, request_id 2 uint64!,"
    " consumer_mark_delete_position 3 MessageIdData",
    "CommandGetTopicsOfNamespace": "request_id 1 uint64!, namespace 2 string!, mode 3 int32,"
    " topics_pattern 4 string, topics_hash 5 string",
    "CommandGetTopicsOfNamespaceResponse": "request_id 1 uint64!, topics 2 string*,"
    " filtered 3 bool, topics_hash 4 string, changed 5 bool=true",
    "CommandTopicMigrated": "resource_id 1 uint64!, resource_type 2 int32!,"
    " broker_service_url 3 string, broker_service_url_tls 4 string",
    "CommandUnsubscribe": "consumer_id 1 uint64!, request_id 2 uint64!, force 3 bool",
    "CommandActiveConsumerChange": "consumer_id 1 uint64!, is_active 2 bool",
    "CommandReachedEndOfTopic": "consumer_id 1 uint64!",
}
"""Every message's fields, in the order of the official file's names but ours in spelling."""

_PACKAGE: Final = "iot_producer.pulsar"
_FieldProto = FieldDescriptorProto
_SCALARS: Final = {
    "int32": _FieldProto.TYPE_INT32,
    "int64": _FieldProto.TYPE_INT64,
    "uint32": _FieldProto.TYPE_UINT32,
    "uint64": _FieldProto.TYPE_UINT64,
    "bool": _FieldProto.TYPE_BOOL,
    "string": _FieldProto.TYPE_STRING,
    "bytes": _FieldProto.TYPE_BYTES,
}


def _command_class_name(kind: CommandType) -> str:
    return "Command" + kind.name.title().replace("_", "")


def _add_message(file: FileDescriptorProto, name: str, fields: str) -> None:
    message = file.message_type.add(name=name)
    for text in filter(None, fields.split(",")):
        field_name, number, kind = text.split()
        kind, _, default = kind.partition("=")
        label = _FieldProto.LABEL_OPTIONAL
        if kind[-1] in "!*":
            label = _FieldProto.LABEL_REQUIRED if kind[-1] == "!" else _FieldProto.LABEL_REPEATED
            kind = kind[:-1]
        field = message.field.add(name=field_name, number=int(number), label=label)
        if kind in _SCALARS:
            field.type = _SCALARS[kind]
        else:
            field.type = _FieldProto.TYPE_MESSAGE
            field.type_name = f".{_PACKAGE}.{kind}"
        if default:
            field.default_value = default


def _definition() -> FileDescriptorProto:
    """The table above as protobuf wants it, with `BaseCommand`, which follows from it."""
    file = FileDescriptorProto(name="iot_producer/pulsar.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in MESSAGES.items():
        _add_message(file, name, fields)
    members = [f"{kind.name.lower()} {kind:d} {_command_class_name(kind)}" for kind in CommandType]
    _add_message(file, "BaseCommand", ", ".join(["type 1 int32!", *members]))
    return file


# A pool of its own: the process-wide one may hold another library's classes of the same protocol.
_POOL: Final = DescriptorPool()
_POOL.Add(_definition())


def message_class(name: str) -> Any:
    """The class of a message by its name in the table, as ``CommandSend``."""
    return GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


if TYPE_CHECKING:

    class _Fields(Message):
        """A class whose fields exist at run time only."""

        def __init__(self, **fields: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

    class BaseCommand(_Fields):
        """A command of any type."""

    class BrokerEntryMetadata(_Fields):
        """What a broker adds to an entry: its own time, and a running number."""

    class KeyValue(_Fields):
        """A property."""

    class MessageIdData(_Fields):
        """Where an entry (or a message of it) is stored."""

    class MessageMetadata(_Fields):
        """What stands before an entry's payload."""

    class SingleMessageMetadata(_Fields):
        """What stands before each message of a batch."""

else:
    BaseCommand = message_class("BaseCommand")
    BrokerEntryMetadata = message_class("BrokerEntryMetadata")
    KeyValue = message_class("KeyValue")
    MessageIdData = message_class("MessageIdData")
    MessageMetadata = message_class("MessageMetadata")
    SingleMessageMetadata = message_class("SingleMessageMetadata")


_MEMBERS: Final = {int(kind): kind.name.lower() for kind in CommandType}


def new_command(kind: CommandType, **fields: Any) -> BaseCommand:
    """A command, ready to be encoded.

    Args:
        kind: which.
        fields: of its own message, by name; a message field may be given as a dict.

    Raises:
        ValueError: there is no such field.
        TypeError: a value of the wrong type.
    """
    command = BaseCommand(type=int(kind), **{_MEMBERS[kind]: fields})
    payload_of(command).SetInParent()  # PING has no fields, and must be there nevertheless
    return command


def payload_of(command: BaseCommand) -> Any:
    """The message inside a command: its own type's member; None where the type is unknown here."""
    member = _MEMBERS.get(command.type)
    return None if member is None else getattr(command, member)


def missing_fields(message: Message) -> str:
    """Which fields a message lacks, for people."""
    return ", ".join(message.FindInitializationErrors())  # type: ignore[attr-defined]


def is_whole(command: BaseCommand) -> bool:
    """Whether the message that the type promises is there; True too where that is not known."""
    member = _MEMBERS.get(command.type)
    return member is None or bool(command.HasField(member))

"""Commands and their bytes, one table for both ways.

RECORDED was recorded on 22 November 2026 between the official C++ client 4.2.0 (inside the Python
client 3.13) and a broker 4.0.8, by a listener between them. BY_HAND follows from the encoding's
rules: a field begins with ``number << 3 | type``, type 0 a varint, type 2 a length and bytes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from iot_producer.pulsar.commands import CommandType as Kind


class Case(NamedTuple):
    """One command.

    Attributes:
        kind: its type.
        fields: as `new_command` takes them; all that the bytes carry, defaults too.
        text: the serialized BaseCommand, hexadecimal.
    """

    kind: Kind
    fields: dict[str, Any]
    text: str


TOPIC = "persistent://public/default/cap"
MINUS_ONE = (1 << 64) - 1  # as an unsigned number

RECORDED = [
    Case(
        Kind.CONNECT,
        {
            "client_version": "Pulsar-CPP-v4.2.0",
            "protocol_version": 20,
            "auth_method_name": "none",
            "feature_flags": {
                "supports_auth_refresh": True,
                "supports_broker_entry_metadata": True,
            },
        },
        "080212210a1150756c7361722d4350502d76342e322e3020142a046e6f6e65520408011001",
    ),
    Case(
        Kind.CONNECT,
        {
            "client_version": "Pulsar-CPP-v4.2.0",
            "protocol_version": 20,
            "auth_method_name": "none",
            "proxy_to_broker_url": "127.0.0.1:29778",
            "feature_flags": {
                "supports_auth_refresh": True,
                "supports_broker_entry_metadata": True,
            },
        },
        "080212320a1150756c7361722d4350502d76342e322e3020142a046e6f6e65320f3132372e302e302e313a3239373738520408011001",
    ),
    Case(
        Kind.CONNECTED,
        {
            "server_version": "Pulsar Server4.0.8",
            "protocol_version": 20,
            "max_message_size": 5242880,
            "feature_flags": {
                "supports_topic_watchers": True,
                "supports_get_partitioned_metadata_without_auto_creation": True,
                "supports_repl_dedup_by_lid_and_eid": True,
            },
        },
        "08031a230a1250756c73617220536572766572342e302e381014188080c0022206200128013001",
    ),
    Case(
        Kind.PRODUCER,
        {
            "topic": TOPIC,
            "producer_id": 0,
            "request_id": 0,
            "producer_name": "me",
            "encrypted": False,
            "epoch": 0,
            "user_provided_producer_name": True,
            "producer_access_mode": 0,
        },
        "08052a310a1f70657273697374656e743a2f2f7075626c69632f64656661756c742f6361701000180022026d652800400048015000",
    ),
    Case(
        Kind.PRODUCER_SUCCESS,
        {
            "request_id": 0,
            "producer_name": "me",
            "last_sequence_id": -1,
            "schema_version": b"",
            "producer_ready": True,
        },
        "08118a0115080012026d6518ffffffffffffffffff0122003001",
    ),
    Case(Kind.SEND, {"producer_id": 0, "sequence_id": 0}, "0806320408001000"),
    Case(
        Kind.SEND_RECEIPT,
        {
            "producer_id": 0,
            "sequence_id": 0,
            "message_id": {"ledger_id": 3, "entry_id": 1},
            "highest_sequence_id": 0,
        },
        "08073a0c080010001a04080310012000",
    ),
    Case(
        Kind.ERROR,
        {
            "request_id": 1,
            "error": 16,
            "message": "org.apache.pulsar.broker.service.BrokerServiceException$NamingException:"
            f" Producer with name 'me' is already connected to topic '{TOPIC}'",
        },
        "080e72a701080110101aa0016f72672e6170616368652e70756c7361722e62726f6b65722e736572766963652e42726f6b657253657276696365457863657074696f6e244e616d696e67457863657074696f6e3a2050726f64756365722077697468206e616d6520276d652720697320616c726561647920636f6e6e656374656420746f20746f706963202770657273697374656e743a2f2f7075626c69632f64656661756c742f63617027",
    ),
    Case(
        Kind.PARTITIONED_METADATA,
        {"topic": TOPIC, "request_id": 1},
        "0815aa01230a1f70657273697374656e743a2f2f7075626c69632f64656661756c742f6361701001",
    ),
    Case(
        Kind.PARTITIONED_METADATA_RESPONSE,
        {"partitions": 0, "request_id": 5, "response": 0},
        "0816b20106080010051800",
    ),
    Case(
        Kind.LOOKUP,
        {"topic": TOPIC, "request_id": 2, "authoritative": False, "advertised_listener_name": ""},
        "0817ba01270a1f70657273697374656e743a2f2f7075626c69632f64656661756c742f636170100218003a00",
    ),
    Case(
        Kind.LOOKUP_RESPONSE,
        {
            "broker_service_url": "pulsar://127.0.0.1:29778",
            "response": 1,
            "request_id": 9,
            "authoritative": True,
            "proxy_through_service_url": True,
        },
        "0818c201220a1870756c7361723a2f2f3132372e302e302e313a32393737381801200928014001",
    ),
    Case(
        Kind.SUBSCRIBE,
        {
            "topic": TOPIC,
            "subscription": "reader-4d4c93fe39",
            "sub_type": 0,
            "consumer_id": 0,
            "request_id": 2,
            "consumer_name": "rd",
            "priority_level": 0,
            "durable": False,
            "start_message_id": {"ledger_id": MINUS_ONE, "entry_id": MINUS_ONE},
            "read_compacted": False,
            "initial_position": 0,
            "replicate_subscription_state": False,
        },
        "080422600a1f70657273697374656e743a2f2f7075626c69632f64656661756c742f63617012117265616465722d3464346339336665333918002000280232027264380040004a1608ffffffffffffffffff0110ffffffffffffffffff01580068007000",
    ),
    Case(Kind.SUCCESS, {"request_id": 2}, "080d6a020802"),
    Case(Kind.FLOW, {"consumer_id": 0, "message_permits": 1000}, "080b5a05080010e807"),
    Case(
        Kind.MESSAGE,
        {"consumer_id": 0, "message_id": {"ledger_id": 3, "entry_id": 1, "partition": -1}},
        "08094a130800120f0803100118ffffffffffffffffff01",
    ),
    Case(
        Kind.SEEK,
        {"consumer_id": 0, "request_id": 3, "message_publish_time": 5},
        "081ce20106080010032005",
    ),
    Case(
        Kind.CLOSE_CONSUMER,
        {"consumer_id": 0, "request_id": MINUS_ONE},
        "081082010d080010ffffffffffffffffff01",
    ),
    Case(Kind.CLOSE_PRODUCER, {"producer_id": 0, "request_id": 8}, "080f7a0408001008"),
    Case(Kind.UNSUBSCRIBE, {"consumer_id": 1, "request_id": 6}, "080c620408011006"),
    Case(
        Kind.ACK,
        {"consumer_id": 1, "ack_type": 0, "message_id": [{"ledger_id": 3, "entry_id": 0}]},
        "080a520a080110001a0408031000",
    ),
]

BY_HAND = [
    Case(Kind.PING, {}, "0812920100"),
    Case(Kind.PONG, {}, "08139a0100"),
    Case(
        Kind.SEND,
        {"producer_id": 1, "sequence_id": 300, "num_messages": 1000, "highest_sequence_id": 301},
        "0806320b080110ac0218e80730ad02",
    ),
    Case(
        Kind.SEND_ERROR,
        {"producer_id": 1, "sequence_id": 2, "error": 9, "message": "bad"},
        "0808420b0801100218092203626164",
    ),
    Case(
        Kind.AUTH_CHALLENGE,
        {
            "server_version": "s",
            "challenge": {"auth_method_name": "token", "auth_data": b"REFRESH"},
            "protocol_version": 20,
        },
        "0824a202170a017312100a05746f6b656e1207524546524553481814",
    ),
    Case(
        Kind.AUTH_RESPONSE,
        {
            "client_version": "c",
            "response": {"auth_method_name": "token", "auth_data": b"a"},
            "protocol_version": 20,
        },
        "0825aa02110a0163120a0a05746f6b656e1201611814",
    ),
    Case(
        Kind.GET_LAST_MESSAGE_ID,
        {"consumer_id": 1, "request_id": 5},
        "081dea010408011005",
    ),
    Case(
        Kind.GET_LAST_MESSAGE_ID_RESPONSE,
        {"last_message_id": {"ledger_id": 3, "entry_id": 7}, "request_id": 5},
        "081ef201080a04080310071005",
    ),
    Case(
        Kind.ACTIVE_CONSUMER_CHANGE,
        {"consumer_id": 1, "is_active": True},
        "081ffa010408011001",
    ),
    Case(
        Kind.GET_TOPICS_OF_NAMESPACE,
        {"request_id": 3, "namespace": "p/d", "mode": 0, "topics_pattern": ".*"},
        "08208202" + "0d" + "0803" + "1203702f64" + "1800" + "22022e2a",
    ),
    Case(
        Kind.GET_TOPICS_OF_NAMESPACE_RESPONSE,
        {"request_id": 3, "topics": ["a", "b"], "filtered": True},
        "08218a02" + "0a" + "0803" + "120161" + "120162" + "1801",
    ),
    Case(Kind.REACHED_END_OF_TOPIC, {"consumer_id": 1}, "081bda01020801"),
    Case(
        Kind.TOPIC_MIGRATED,
        {"resource_id": 1, "resource_type": 0, "broker_service_url": "a"},
        "0844a20407080110001a0161",
    ),
    Case(
        Kind.ACK_RESPONSE,
        {"consumer_id": 1, "request_id": 5},
        "0826b2020408013005",
    ),
]

CASES = RECORDED + BY_HAND

ENTRY = bytes.fromhex(
    "0e01513a20af000000260a0e7374616e64616c6f6e652d302d30100018fd89d7a5a034"
    "22060a016112016232016b600568656c6c6f"
)
"""Recorded too: the body of a SEND, which a reader got unchanged behind its MESSAGE."""
ENTRY_METADATA: dict[str, Any] = {
    "producer_name": "standalone-0-0",
    "sequence_id": 0,
    "publish_time": 1_795_375_351_037,
    "properties": [{"key": "a", "value": "b"}],
    "partition_key": "k",
    "event_time": 5,
}
ENTRY_PAYLOAD = b"hello"

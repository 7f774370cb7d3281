"""What the broker says over its own protocol: greeting, topic, look-up, the right to write.

Promise: nothing is sent to the topic, nothing is created on purpose, and a lane's producer name is
never touched: the test producer has a name of its own. It must not know the admin API.

Whether a topic is there is asked without creating it, which brokers do since 3.0.6, 3.2.4 and 4.0;
an older one may say "no partitions" of a topic that is not there, and makes it for the test
producer, as it would for a run.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

from iot_producer import figures
from iot_producer.doctor.findings import Finding, Verdict, failed
from iot_producer.errors import DestinationError, IotProducerError
from iot_producer.pulsar.client import PulsarClient
from iot_producer.pulsar.commands import CommandType, PartitionsAnswer, ServerError
from iot_producer.pulsar.connection import Connection, ConnectionConfig, RefusalError
from iot_producer.pulsar.server_errors import MissingNamespaceError, explained
from iot_producer.run_journal import runs_topic

_MOST_PARTITIONS: Final = 256
_BLOCK_BYTES: Final = 1000 * 800
"""A block of the default size at its largest, before compression."""


@dataclass(frozen=True, slots=True)
class Topic:
    """What the broker knows of the topic.

    Attributes:
        name: in full.
        is_there: False: it is not.
        n_partitions: 0: it is not partitioned.
        has_namespace: False: its namespace is not there either, nor perhaps its tenant.
    """

    name: str
    is_there: bool = False
    n_partitions: int = 0
    has_namespace: bool = True

    @property
    def namespace(self) -> str:
        """``tenant/namespace``."""
        return "/".join(self.name.partition("://")[2].split("/")[:2])

    @property
    def parts(self) -> list[str]:
        """The names of its partitions, or its own."""
        n = self.n_partitions
        return [f"{self.name}-partition-{i}" for i in range(n)] if n else [self.name]


async def examine_broker(
    config: ConnectionConfig, topic: str
) -> tuple[list[Finding], Topic | None]:
    """Findings about the broker and a topic.

    Args:
        config: how to reach it.
        topic: its full name.

    Returns:
        the findings, and the topic as far as the broker told of it; None: it did not.
    """
    client = PulsarClient(config)
    try:
        return await _examine(client, topic)
    finally:
        await client.close()


async def _examine(client: PulsarClient, name: str) -> tuple[list[Finding], Topic | None]:
    security = client.config.security
    try:
        connection = await client.service()
    except DestinationError as error:
        is_ours = "who this is" in error.message
        return [failed("authentication" if is_ours else "broker", Verdict.UNREACHABLE, error)], None
    findings = [_greeted(connection), _known(security.auth_method), _largest(connection)]
    topic, finding = await _topic(connection, name)
    if topic is None:
        return [*findings, finding], None
    try:
        looked_up = await _looked_up(client, topic, connection)
    except MissingNamespaceError as error:
        # Asked for the topic, a broker only says that it is missing. All else that could be asked
        # is about what is not there.
        return [*findings, failed("topic", Verdict.HARM, error)], Topic(name, has_namespace=False)
    findings += [finding, looked_up]
    findings.append(await _journal(connection, name))
    if not topic.is_there:
        findings.append(
            Finding(
                "write",
                Verdict.NOTE,
                "the right to write was not tested: the test would create the topic",
                "create the topic, and look again",
            )
        )
        return findings, topic
    if all(finding.verdict is not Verdict.HARM for finding in findings):
        findings.append(await _may_write(client, topic))
    return findings, topic


def _greeted(connection: Connection) -> Finding:
    version = figures.one_line(connection.server_version)[:60] or "Pulsar"
    text = f"{version} answers at {connection.where}, protocol {connection.protocol_version}"
    facts = {"version": version, "protocol": connection.protocol_version}
    return Finding("broker", Verdict.OK, text, facts=facts)


def _known(method: str) -> Finding:
    text = {
        "token": "the broker accepted the token, or asks for none",
        "tls": "the broker accepted the client's certificate, or asks for none",
    }.get(method, "the broker asks for none")
    return Finding("authentication", Verdict.OK, text, facts={"method": method})


def _largest(connection: Connection) -> Finding:
    n_bytes = connection.max_message_bytes
    text = f"the broker takes messages of up to {figures.size(n_bytes)}"
    facts = {"max_message_bytes": n_bytes}
    if n_bytes >= _BLOCK_BYTES:
        return Finding("largest message", Verdict.OK, text, facts=facts)
    return Finding(
        "largest message",
        Verdict.WARNING,
        f"{text}: blocks of 1000 records are cut into several entries, which costs speed",
        "raise maxMessageSize of the broker (and of its storage), or lower --block-records",
        facts,
    )


async def _topic(connection: Connection, name: str) -> tuple[Topic | None, Finding]:
    topic, why = await _asked_for(connection, name)
    if why is not None:
        # Whether a missing one does harm depends on what the broker does about it (policies.py).
        return topic, failed("topic", Verdict.HARM if topic is None else Verdict.WARNING, why)
    assert topic is not None
    has = figures.plural(topic.n_partitions, "partition") if topic.n_partitions else "no partitions"
    facts = {"is_there": True, "n_partitions": topic.n_partitions}
    return topic, Finding("topic", Verdict.OK, f"{name} is there, with {has}", facts=facts)


async def _journal(connection: Connection, name: str) -> Finding:
    """Where lanes tell what they sent; a run goes on without it."""
    journal = runs_topic(name)
    topic, why = await _asked_for(connection, journal)
    facts = {"topic": journal, "is_there": topic is not None and topic.is_there}
    if why is None:
        text = f"{journal} is there: verify needs no report"
        return Finding("journal", Verdict.OK, text, facts=facts)
    if topic is None:
        text = f"{journal} cannot be used, so verify needs the report of each run: {why.message}"
        return Finding(
            "journal", Verdict.WARNING, text, why.hint or "keep reports: --report", facts
        )
    text = f"{journal} is not there yet: the first run creates it, or goes on without it"
    remedy = f"where neither broker nor admin API may: pulsar-admin topics create {journal}"
    return Finding("journal", Verdict.NOTE, text, remedy, facts)


async def _asked_for(
    connection: Connection, name: str
) -> tuple[Topic | None, IotProducerError | None]:
    """The topic, as far as the broker tells, and why it is not there or nobody may know."""
    try:
        answer = await connection.request(
            CommandType.PARTITIONED_METADATA, topic=name, metadata_auto_creation_enabled=False
        )
        error, said = answer.error, answer.message
        # Pulsar's proxy refuses with the answer to a look-up, where FAILED has another number.
        is_refused = answer.response != PartitionsAnswer.SUCCESS
    except RefusalError as refusal:
        is_refused, error, said = True, refusal.error, refusal.said
    except DestinationError as failure:
        return None, failure
    if not is_refused:
        return Topic(name, is_there=True, n_partitions=int(answer.partitions)), None
    why = explained(error, said, connection.where, name)
    return (Topic(name) if error == ServerError.TOPIC_NOT_FOUND else None), why


async def _looked_up(client: PulsarClient, topic: Topic, service: Connection) -> Finding:
    parts = topic.parts[:_MOST_PARTITIONS]
    try:
        found = await asyncio.gather(*(client.lookup(part) for part in parts))
    except MissingNamespaceError:
        raise
    except DestinationError as error:
        return failed("look-up", Verdict.HARM, error)
    brokers = Counter(connection.where for connection in found)
    places = ", ".join(list(brokers)[:3]) + (", …" if len(brokers) > 3 else "")
    text = f"served by {figures.plural(len(brokers), 'broker')}: {places}"
    if service.where not in brokers:
        text += f" (sent on from {service.where})"
    return Finding("look-up", Verdict.OK, text, facts={"brokers": dict(brokers)})


async def _may_write(client: PulsarClient, topic: Topic) -> Finding:
    name = f"iot-producer-doctor-{secrets.token_hex(4)}"
    parts = topic.parts[:_MOST_PARTITIONS]
    try:
        await _all_or_first_error(_make_and_close(client, part, name) for part in parts)
    except DestinationError as error:
        return failed("write", Verdict.HARM, error)
    where = f"all {len(parts)} partitions" if topic.n_partitions > 1 else "it"
    left = len(topic.parts) - len(parts)
    if left:
        where = f"the first {len(parts)} of {len(topic.parts)} partitions"
    return Finding("write", Verdict.OK, f"a producer could be made on {where}; nothing was sent")


async def _make_and_close(client: PulsarClient, part: str, name: str) -> None:
    connection = await client.lookup(part)
    number = client.new_number()
    try:
        await connection.request(
            CommandType.PRODUCER,
            topic=part,
            producer_id=number,
            producer_name=name,
            user_provided_producer_name=True,
        )
        await connection.request(CommandType.CLOSE_PRODUCER, producer_id=number)
    except RefusalError as error:
        raise explained(error.error, error.said, connection.where, part, name) from error


async def _all_or_first_error(coroutines: Any) -> None:
    """Wait for all, then raise the first failure: a producer that was made is closed first."""
    tasks: list[Coroutine[Any, Any, None]] = list(coroutines)
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome

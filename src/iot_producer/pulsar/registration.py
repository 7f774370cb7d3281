"""Making a producer on its broker, and ending it there: one attempt each.

Promise: an attempt that does not succeed leaves no producer behind that would keep the name. It
must not know entries, nor when to try again.
"""

from __future__ import annotations

from typing import Any

from iot_producer.errors import UnreachableError
from iot_producer.pulsar.commands import CommandType
from iot_producer.pulsar.connection import Connection, Handler, RefusalError
from iot_producer.pulsar.server_errors import explained


async def register(
    connection: Connection,
    handler: Handler,
    topic: str,
    number: int,
    name: str,
    epoch: int,
    *,
    is_given_name: bool,
) -> Any:
    """Make a producer on a broker.

    Args:
        connection: to the broker that serves the topic.
        handler: gets its commands.
        topic: full name, of a partition or of a topic without any.
        number: of the producer, on every connection.
        name: empty: the broker gives one.
        epoch: how often it was made before.
        is_given_name: whether the user chose the name.

    Returns:
        the broker's answer, a ``CommandProducerSuccess``.

    Raises:
        NameTakenError: somebody else has the name.
        UnreachableError: trying again may help.
        RefusedError: it does not.
    """
    connection.add_producer(number, handler)
    fields: dict[str, Any] = {"producer_name": name} if name else {}
    try:
        return await connection.request(
            CommandType.PRODUCER,
            topic=topic,
            producer_id=number,
            epoch=epoch,
            user_provided_producer_name=is_given_name,
            **fields,
        )
    except RefusalError as error:
        connection.remove_producer(number)
        raise explained(error.error, error.said, connection.where, topic, name) from error
    except BaseException:
        # The broker may make it yet: then it must not keep the name.
        connection.remove_producer(number)
        connection.tell(CommandType.CLOSE_PRODUCER, producer_id=number, request_id=0)
        raise


async def unregister(connection: Connection, number: int, timeout_s: float) -> str:
    """Close a producer on its broker, which answers when all it has taken is stored.

    Returns:
        why the broker did not answer so; empty when it did.
    """
    if not connection.is_open:
        return connection.lost_reason
    try:
        await connection.request(
            CommandType.CLOSE_PRODUCER, timeout_s=timeout_s, producer_id=number
        )
    except (RefusalError, UnreachableError) as error:
        return str(error)
    return ""

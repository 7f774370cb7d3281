"""Our reader with TLS, with tokens and through Pulsar's own proxy."""

from __future__ import annotations

import pytest
from pulsar_cases import Account, block, by_key, expected, new_topic, sink
from secured_pulsar import PRODUCER, STRANGER, SecuredPulsar

from iot_producer.clock import SystemClock
from iot_producer.errors import RefusedError
from iot_producer.pulsar.security import NO_SECURITY, SecurityConfig
from iot_producer.sources.topic import TopicSource, open_native

pytestmark = pytest.mark.integration


def sent_and_read(url: str, security: SecurityConfig) -> None:
    """What was sent to a topic, with the same settings, is what our reader finds on it."""
    topic, account, b = new_topic(), Account(), block(0, 300)
    with sink(url, topic, "native", security=security) as native:
        account.send(native, b)
        account.drain(native)
    assert len(account.confirmed()) == 300
    reader = open_native(TopicSource(url, topic, security), SystemClock())
    found = []
    try:
        for chunk in reader.chunks():
            assert chunk.keys is not None
            assert chunk.properties is not None
            assert chunk.times_ms is not None
            for i in range(chunk.n):
                around = (chunk.keys[i], dict(chunk.properties[i]), int(chunk.times_ms[i]))
                found.append((chunk.text(i), *around))
    finally:
        reader.close()
    assert by_key(found) == by_key(expected(b))


def test_tls(tls_broker: SecuredPulsar) -> None:
    sent_and_read(tls_broker.tls_url, tls_broker.tls())


def test_a_token(token_broker: SecuredPulsar) -> None:
    sent_and_read(token_broker.url, token_broker.token())
    security = token_broker.tls(token=token_broker.mint.token(PRODUCER))
    sent_and_read(token_broker.tls_url, security)


def test_through_the_proxy(pulsar_proxy: SecuredPulsar) -> None:
    sent_and_read(pulsar_proxy.url, NO_SECURITY)


def test_through_a_proxy_that_asks_for_a_token(token_proxy: SecuredPulsar) -> None:
    sent_and_read(token_proxy.url, token_proxy.token())


def test_who_may_read_the_topic_but_not_list_its_namespace(
    token_broker: SecuredPulsar, token_proxy: SecuredPulsar
) -> None:
    topic, account = new_topic(), Account()
    with sink(token_broker.url, topic, "native", security=token_broker.token()) as native:
        account.send(native, block(0, 300))
        account.drain(native)
    path = f"/admin/v2/{topic.replace('://', '/')}/permissions/reader"
    token_broker.admin.call("POST", path, ["consume"])
    for where in (token_broker, token_proxy):
        source = TopicSource(where.url, topic, token_broker.token("reader"))
        reader = open_native(source, SystemClock())
        try:
            assert sum(chunk.n for chunk in reader.chunks()) == 300
        finally:
            reader.close()


@pytest.mark.parametrize("role", [STRANGER, None])
def test_who_may_not_read(token_broker: SecuredPulsar, role: str | None) -> None:
    security = NO_SECURITY if role is None else token_broker.token(role)
    source = TopicSource(token_broker.url, new_topic(), security, give_up_after_s=0.0)
    with pytest.raises(RefusedError):
        open_native(source, SystemClock())

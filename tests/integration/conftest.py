"""Brokers for all tests that do not harm them; each is started when it is first used."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from secured_pulsar import SecuredPulsar, proxy_before, secured_broker

from iot_producer.stack import StackConfig, StackStatus, default_cache_dir, down, up


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackStatus]:
    """A real Pulsar, up as long as the tests run. Choose topic names that nobody else has."""
    config = StackConfig(
        state_dir=tmp_path_factory.mktemp("broker"), cache_dir=default_cache_dir(os.environ)
    )
    try:
        yield up(config)
    finally:
        down(config, purge=True)


@pytest.fixture(scope="session")
def tls_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredPulsar]:
    """A real Pulsar with TLS, for everybody."""
    with secured_broker(tmp_path_factory.mktemp("tls"), tokens=False) as broker:
        yield broker


@pytest.fixture(scope="session")
def token_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredPulsar]:
    """A real Pulsar that asks for tokens, with and without TLS, and gives rights by role."""
    with secured_broker(tmp_path_factory.mktemp("token"), tokens=True) as broker:
        yield broker


@pytest.fixture(scope="session")
def pulsar_proxy(
    broker: StackStatus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecuredPulsar]:
    """Pulsar's own proxy in front of ``broker``."""
    folder = tmp_path_factory.mktemp("proxy")
    with proxy_before(folder, broker.pulsar_url, broker.admin_url) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def token_proxy(
    token_broker: SecuredPulsar, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecuredPulsar]:
    """Pulsar's own proxy in front of ``token_broker``; it asks for the same tokens."""
    folder = tmp_path_factory.mktemp("token-proxy")
    broker = token_broker
    with proxy_before(folder, broker.url, broker.admin_url, mint=broker.mint) as proxy:
        yield proxy

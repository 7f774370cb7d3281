"""One broker for all tests that do not harm it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

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

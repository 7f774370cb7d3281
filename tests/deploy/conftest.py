"""What takes minutes to make, once for all tests: the image, and a broker that nobody harms."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import BASE, IMAGE, Store

from iot_producer.stack import StackConfig, StackStatus, default_cache_dir, down, up


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Podman's images and containers, with the image of the sources as they are now.

    With IOT_TEST_STORE=DIRECTORY it is kept there, and the next time only what changed is built.
    """
    kept = os.environ.get("IOT_TEST_STORE")
    made = Store(Path(kept) if kept else tmp_path_factory.mktemp("store"))
    try:
        if not made.has(BASE):
            made.make_base()
        made.build(IMAGE)
        yield made
    finally:
        if not kept:
            made.close()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackStatus]:
    """A real Pulsar that deduplicates, as long as the tests run. Choose topics nobody else has."""
    config = StackConfig(
        state_dir=tmp_path_factory.mktemp("broker"),
        cache_dir=default_cache_dir(os.environ),
        deduplication=True,
    )
    try:
        yield up(config)
    finally:
        down(config, purge=True)

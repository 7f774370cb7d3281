"""The settings of the sink and of the reader."""

from __future__ import annotations

from typing import Any

import pytest

from iot_producer.encoders.json_rows import MAX_RECORD_BYTES
from iot_producer.errors import ConfigError
from iot_producer.sinks.pulsar_config import PulsarSinkConfig
from iot_producer.sources.pulsar import PulsarReaderConfig

URL = "pulsar://127.0.0.1:6650"


def sink(**settings: Any) -> PulsarSinkConfig:
    return PulsarSinkConfig(URL, "persistent://public/default/t", **settings)


def test_the_largest_block_of_a_run_fits_into_an_entry():
    config = sink()
    assert config.max_entry_records >= 2000
    assert config.max_entry_records * MAX_RECORD_BYTES < 5 * 1024 * 1024


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"compression": "gzip"}, "compression 'gzip' is unknown"),
        ({"max_pending": 0}, "max_pending is 0"),
        ({"max_entry_bytes": 700}, "max_entry_bytes is 700"),
    ],
)
def test_the_sink_refuses_what_cannot_be(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        sink(**settings)


def test_the_sink_passes_its_patience_on():
    client = sink(give_up_after_s=None, connect_timeout_s=1.0, operation_timeout_s=2.0).client
    assert (client.give_up_after_s, client.connect_timeout_s) == (None, 1.0)
    assert client.answer_timeout_s > client.operation_timeout_s == 2.0


@pytest.mark.parametrize("name", ["chunk_records", "queue_records"])
def test_the_reader_refuses_what_cannot_be(name: str):
    with pytest.raises(ConfigError, match=f"{name} is 0"):
        PulsarReaderConfig(URL, "t", **{name: 0})

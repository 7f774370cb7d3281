from __future__ import annotations

import numpy as np
import pytest

from iot_producer.pulsar.commands import Compression
from iot_producer.pulsar.compression import restore_into
from stored_entries import COMPRESS

TEXT = b'{"device_id":"dev-0000001"}' * 50 + bytes(range(256))


@pytest.mark.parametrize("compression", list(Compression))
@pytest.mark.parametrize("text", [b"a", b"abc", TEXT])
def test_what_was_compressed_is_restored(compression: Compression, text: bytes) -> None:
    out = np.full(len(text) + 8, 0xEE, dtype=np.uint8)
    data = memoryview(COMPRESS[compression](text))
    assert restore_into(compression, data, out[: len(text)])
    assert out[: len(text)].tobytes() == text
    assert (out[len(text) :] == 0xEE).all()


@pytest.mark.parametrize("compression", list(Compression))
@pytest.mark.parametrize("wrong", [-1, 1])
def test_another_length_than_was_said(compression: Compression, wrong: int) -> None:
    out = np.zeros(len(TEXT) + wrong + 8, dtype=np.uint8)
    data = memoryview(COMPRESS[compression](TEXT))
    assert not restore_into(compression, data, out[: len(TEXT) + wrong])
    assert not out[len(TEXT) + max(wrong, 0) :].any()


@pytest.mark.parametrize("compression", [*Compression, 5, 99])
@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff" * 40, b"\x00" * 40])
def test_what_was_never_compressed(compression: int, data: bytes) -> None:
    out = np.zeros(1_000, dtype=np.uint8)
    assert not restore_into(compression, memoryview(data), out)

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from numpy.typing import NDArray

from iot_producer.encoders.words import (
    DECIMAL_1,
    DECIMAL_2,
    LOW_1,
    LOW_2,
    LOW_PRESSURE,
    PADDED,
    PRESSURE_2,
    WHOLE,
    decimal_text,
    literal_of,
    word_of,
)
from iot_producer.schema import FIELD_INDEX, FIELDS


def texts(table: NDArray[np.uint64]) -> list[str]:
    raw = [int(word).to_bytes(8, "little") for word in table]
    return [word[: word[7]].decode() for word in raw]


@pytest.mark.parametrize(
    ("table", "low", "high", "decimals"),
    [
        (DECIMAL_2, LOW_2, 10_000, 2),
        (PRESSURE_2, LOW_PRESSURE, 103_000, 2),
        (DECIMAL_1, LOW_1, 20_000, 1),
        (WHOLE, 0, 9_999, 0),
    ],
)
def test_each_table_holds_every_value_of_its_range(
    table: NDArray[np.uint64], low: int, high: int, decimals: int
):
    expected = [f"{Decimal(value).scaleb(-decimals):f}" for value in range(low, high + 1)]
    assert texts(table) == expected


def test_padded_numbers_have_four_digits():
    assert texts(PADDED) == [str(10_000 + value)[1:] for value in range(10_000)]


@pytest.mark.parametrize(
    ("names", "low", "n"),
    [
        (("temperature", "humidity", "battery_level"), LOW_2, len(DECIMAL_2)),
        (("pressure",), LOW_PRESSURE, len(PRESSURE_2)),
        (
            (
                *("co2_level", "noise_level", "light_level", "signal_strength"),
                *("memory_usage", "cpu_usage"),
            ),
            LOW_1,
            len(DECIMAL_1),
        ),
        (("motion_detected", "status", "error_count"), 0, len(WHOLE)),
    ],
)
def test_tables_cover_their_fields(names: tuple[str, ...], low: int, n: int):
    for name in names:  # the kernel looks up without a bounds check
        field = FIELDS[FIELD_INDEX[name]]
        assert low <= field.low
        assert field.high < low + n


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (-1, 2, "-0.01"),
        (-3_000, 2, "-30.00"),
        (0, 2, "0.00"),
        (5, 1, "0.5"),
        (-15, 1, "-1.5"),
        (10_000, 2, "100.00"),
        (7, 0, "7"),
    ],
)
def test_decimal_text(value: int, decimals: int, text: str):
    assert decimal_text(value, decimals) == text


def test_words_and_literals_have_their_limits():
    assert word_of("1234567").to_bytes(8, "little") == b"1234567\x07"
    with pytest.raises(ValueError, match="12345678"):
        word_of("12345678")
    n, first, second, third = literal_of("x" * 24)
    assert (n, first, second, third) == (24, *[int.from_bytes(b"x" * 8, "little")] * 3)
    with pytest.raises(ValueError, match="literal of 24"):
        literal_of("x" * 25)

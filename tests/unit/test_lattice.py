from __future__ import annotations

import numpy as np
import pytest

from iot_producer import lattice
from iot_producer.fleet import INDEX_STEP, mix
from iot_producer.lattice import (
    BELL_SIGMA,
    SMOOTH_SIGMA,
    bell,
    clamped,
    reciprocal,
    share,
    sine,
    smooth,
    word,
)

KEY, STREAM = np.uint64(0x123456789ABCDEF0), np.uint64(0x0FEDCBA987654321)


def words(n: int) -> list[np.uint64]:
    return [np.uint64(word(KEY, STREAM, index)) for index in range(n)]


def test_a_word_is_the_mixed_key_stream_and_index():
    with np.errstate(over="ignore"):
        expected = [mix(KEY ^ STREAM ^ (np.uint64(i) * INDEX_STEP)) for i in range(50)]
    assert words(50) == expected


def test_a_negative_index_has_its_word():
    with np.errstate(over="ignore"):
        expected = mix(KEY ^ STREAM ^ (np.uint64(2**64 - 3) * INDEX_STEP))
    assert np.uint64(word(KEY, STREAM, np.int64(-3))) == expected


def test_mixing_changes_half_the_bits():
    with np.errstate(over="ignore"):
        for bit in range(64):
            at = np.array([mix(w) ^ mix(w ^ np.uint64(1 << bit)) for w in words(64)])
            changed = np.unpackbits(at.view(np.uint8)).mean()
            assert 0.46 < changed < 0.54, bit


def test_shares_are_16_bits_of_a_word():
    random = np.uint64(0x1111_2222_3333_4444)
    found = [share(random, np.uint64(shift)) for shift in (0, 16, 32, 48)]
    assert found == [0x4444, 0x3333, 0x2222, 0x1111]


def test_bells_have_their_sigma_and_bounds():
    bells = np.array([bell(w) for w in words(4_000)])
    assert abs(bells.std() / BELL_SIGMA - 1) < 0.04
    assert abs(bells.mean()) < 0.05 * BELL_SIGMA
    assert bell(np.uint64(0)) == -131_070
    assert bell(np.uint64(2**64 - 1)) == 131_070


@pytest.mark.parametrize("period", [1_000, 90 * lattice.MINUTE])
def test_smooth_noise_goes_straight_between_its_points(period: int):
    for index in range(-2, 5):
        start = bell(np.uint64(word(KEY, STREAM, np.int64(index))))
        end = bell(np.uint64(word(KEY, STREAM, np.int64(index + 1))))
        for part in (0, 0.25, 0.5, 0.9):
            t = np.int64(index * period + int(part * period))
            expected = start + (end - start) * part
            assert abs(smooth(KEY, STREAM, t, period) - expected) <= 1


def test_smooth_noise_has_its_sigma_over_time():
    period = 64
    values = np.array([smooth(KEY, STREAM, np.int64(t), period) for t in range(0, 64 * 1_500, 16)])
    assert abs(values.std() / SMOOTH_SIGMA - 1) < 0.06


def test_sine_of_turns():
    turns = np.arange(0, 2**24, 2**24 // 999)
    found = np.array([sine(np.int64(turn)) for turn in turns])
    assert abs(found - np.sin(2 * np.pi * turns / 2**24) * 65_536).max() < 2
    assert sine(np.int64(-(2**22))) == -65_536
    assert sine(np.int64(2**24 + 2**22)) == 65_536


def test_clamped():
    assert [clamped(value, -3, 5) for value in (-9, -3, 0, 5, 6)] == [-3, -3, 0, 5, 5]


@pytest.mark.parametrize("divisor", [1, 3, 7, 15, 16, 600, 999, 1_000])
def test_multiplying_with_a_reciprocal_divides(divisor: int):
    bits = 30
    values = np.arange((2**bits - 1) // divisor - 100_000, (2**bits - 1) // divisor + 1)
    for part in (values[values >= 0], np.arange(100_000)):
        assert (part * reciprocal(divisor, bits) >> bits == part // divisor).all()

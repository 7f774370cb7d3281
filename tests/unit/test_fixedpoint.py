from __future__ import annotations

import math

import numpy as np

from iot_producer.fixedpoint import EXP2, EXP2_BITS, LOG2, LOG2_BITS, LOG2_VAPOUR, SINE, SINE_BITS


def test_sine_is_correctly_rounded():
    turn = np.arange(2**SINE_BITS + 1) / 2**SINE_BITS
    assert abs(SINE - np.sin(2 * np.pi * turn) * 2**16).max() < 0.501


def test_sine_is_symmetric():
    assert SINE[0] == SINE[512] == SINE[1024] == 0
    assert SINE[256] == 65_536
    assert SINE[768] == -65_536
    assert (SINE[:513] == SINE[512::-1]).all()
    assert (SINE[512:] == -SINE[:513]).all()


def test_exponential_is_correctly_rounded():
    exponent = np.arange(2**EXP2_BITS + 1) / 2**EXP2_BITS
    assert abs(EXP2 - np.exp2(exponent) * 2**30).max() < 0.501
    assert EXP2[0] == 2**30
    assert EXP2[-1] == 2**31


def test_logarithm_is_rounded_down():
    argument = 1 + np.arange(2**LOG2_BITS + 1) / 2**LOG2_BITS
    error = LOG2 - np.log2(argument) * 2**16
    assert error.max() < 1e-4
    assert error.min() > -1
    assert LOG2[0] == 0
    assert LOG2[-1] == 65_536


def test_vapour_pressure_by_magnus():
    celsius = -64 + 0.256 * np.arange(512)
    log2_vapour = 17.625 * celsius / (243.04 + celsius) / math.log(2)
    error = LOG2_VAPOUR - log2_vapour * 2**16
    assert error.max() < 1e-4
    assert error.min() > -1
    assert LOG2_VAPOUR[250] == 0  # 0 °C


def test_tables_are_of_64_bits():
    assert {table.dtype for table in (SINE, EXP2, LOG2, LOG2_VAPOUR)} == {np.dtype(np.int64)}
    assert [len(table) for table in (SINE, EXP2, LOG2, LOG2_VAPOUR)] == [1025, 257, 257, 512]

from __future__ import annotations

import json

import pytest

from iot_producer.gap import Gap, known_ids

GAP = Gap(1_000, 9_000, 7, ((1_000, -1), (5_000, 9_500)))


def test_is_read_back():
    table = json.loads(json.dumps(GAP.to_dict()))
    assert Gap.from_dict(table) == GAP
    unknown = Gap(1_000, 9_000, None, ((1_000,),))
    assert Gap.from_dict(unknown.to_dict()) == unknown


def test_is_filled_when_nothing_is_left_out():
    assert not GAP.is_filled
    assert Gap(1_000, 9_000, 0, ((1_000,),)).is_filled
    assert not Gap(1_000, 9_000, None, ((1_000,),)).is_filled


def test_what_is_known_is_what_is_not_minus_one():
    assert known_ids(((5, -1), (), (3, 0))) == [0, 3, 5]


@pytest.mark.parametrize(
    "change",
    [
        {"until_ns": 1_000},
        {"since_ns": 1_001},
        {"last_ids": [[-1]]},
        {"last_ids": [[1_000, "5"]]},
        {"last_ids": [1_000]},
        {"last_ids": None},
        {"n_messages": -1},
        {"n_messages": "7"},
        {"since_ns": None},
    ],
)
def test_a_damaged_one_is_refused(change: dict[str, object]):
    with pytest.raises(ValueError, match=r"gap|last_ids|last ids|missing"):
        Gap.from_dict({**GAP.to_dict(), **change})

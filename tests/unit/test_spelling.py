"""The nearest known name."""

from __future__ import annotations

import pytest

from iot_producer.spelling import did_you_mean, nearest


@pytest.mark.parametrize(
    ("word", "expected"),
    [("devces", "devices"), ("DEVICES", "devices"), ("sitse", "sites"), ("xyz", None), ("", None)],
)
def test_nearest(word: str, expected: str | None) -> None:
    assert nearest(word, ["devices", "sites", "seed"]) == expected


def test_the_hint_names_one_or_lists_all() -> None:
    assert did_you_mean("lz", ["lz4", "zstd"]) == "did you mean lz4?"
    assert did_you_mean("brotli", ["zstd", "lz4"]) == "known: lz4, zstd"

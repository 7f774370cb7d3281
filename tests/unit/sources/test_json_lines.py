from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from iot_producer.errors import ConfigError
from iot_producer.sources import json_lines
from iot_producer.sources.json_lines import JsonLinesReader


def read(path: Path | str) -> list[tuple[int, bytes]]:
    return [
        (chunk.partition, chunk.text(i))
        for chunk in JsonLinesReader(str(path))
        for i in range(chunk.n)
    ]


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
@pytest.mark.parametrize("size", [1, 3, 64, 1 << 20])
def test_every_line_is_a_record(
    name: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(json_lines, "READ_BYTES", size)
    lines = [b"{}", b"", b'{"a":1}', b"x" * 100]
    data = b"".join(line + b"\n" for line in lines)
    if name.endswith(".gz"):  # as the sink writes it: several members
        data = gzip.compress(data[:7]) + gzip.compress(data[7:])
    (tmp_path / name).write_bytes(data)
    assert read(tmp_path / name) == [(0, line) for line in lines]


def test_a_cut_off_last_line_counts(tmp_path: Path):
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"a":1}\n{"a"')
    assert read(path) == [(0, b'{"a":1}'), (0, b'{"a"')]
    path.write_bytes(b"")
    assert read(path) == []


def test_lanes_are_partitions_and_parts_follow_each_other(tmp_path: Path):
    for name in (
        "out.lane-00of-02-00001.jsonl",
        "out.lane-00of-02-00002.jsonl",
        "out.lane-01of-02-00001.jsonl",
        "out.lane-01of-02-00002.jsonl.partial",
        "out.lane.jsonl",
        "outer.lane-00of-02.jsonl",
        "other.jsonl",
    ):
        (tmp_path / name).write_bytes(f"{name}\n".encode())
    assert read(tmp_path / "out.jsonl") == [
        (0, b"out.lane-00of-02-00001.jsonl"),
        (0, b"out.lane-00of-02-00002.jsonl"),
        (1, b"out.lane-01of-02-00001.jsonl"),
    ]
    assert read(tmp_path / "other.jsonl") == [(0, b"other.jsonl")]


def test_mistakes_are_told(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"there is no file .*none\.jsonl"):
        JsonLinesReader(str(tmp_path / "none.jsonl"))
    with pytest.raises(ConfigError, match="cannot read the directory"):
        JsonLinesReader(str(tmp_path / "nowhere" / "none.jsonl"))
    with pytest.raises(ConfigError, match=r"out\.parquet is no file of JSON lines"):
        JsonLinesReader(str(tmp_path / "out.parquet"))
    damaged = tmp_path / "out.jsonl.gz"
    whole = gzip.compress(b"{}\n" * 1000)
    for data in (b"no gzip", whole[:-9], whole[:15] + b"\0\1\2" + whole[18:]):
        damaged.write_bytes(data)
        with pytest.raises(ConfigError, match="cannot read"):
            read(damaged)


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(json_lines, "READ_BYTES", 10)
    monkeypatch.setattr(json_lines, "_LONGEST_LINE", 50)
    (tmp_path / "out.jsonl").write_bytes(b"x" * 100)
    with pytest.raises(ConfigError, match="has a line of more than"):
        read(tmp_path / "out.jsonl")

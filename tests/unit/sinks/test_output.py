from __future__ import annotations

from pathlib import Path

import pytest
from disks import as_nobody, largest_file, small_disk

from iot_producer.errors import ConfigError, OutputExistsError, RefusedError
from iot_producer.lane import LaneSpec
from iot_producer.sinks.output import OutputFiles

ONE = LaneSpec()


def files(path: Path, lane: LaneSpec = ONE, *, rotated: bool = False, force: bool = False):
    return OutputFiles(str(path), lane, rotated=rotated, force=force)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def make(directory: Path, *those: str) -> None:
    for name in those:
        (directory / name).write_text("old")


@pytest.mark.parametrize(
    ("lane", "rotated", "expected"),
    [
        (ONE, False, ["out.jsonl", "out-00002.jsonl"]),
        (ONE, True, ["out-00001.jsonl", "out-00002.jsonl"]),
        (
            LaneSpec(3, 8),
            False,
            ["out.lane-03of-08.jsonl", "out.lane-03of-08-00002.jsonl"],
        ),
        (
            LaneSpec(99, 120),
            True,
            ["out.lane-099of-120-00001.jsonl", "out.lane-099of-120-00002.jsonl"],
        ),
    ],
)
def test_names(tmp_path, lane, rotated, expected):
    output = files(tmp_path / "out.jsonl", lane, rotated=rotated)
    for name in expected:
        part = output.open_part()
        assert (tmp_path / (name + ".partial")).exists()
        assert not (tmp_path / name).exists()
        part.complete()
        assert (tmp_path / name).exists()
    assert names(tmp_path) == sorted(expected)


@pytest.mark.parametrize("name", ["out.jsonl.gz", "out.parquet", "a.b-c.jsonl"])
def test_the_whole_ending_stays_at_the_end(tmp_path, name):
    part = files(tmp_path / name, LaneSpec(0, 2)).open_part()
    stem, ending = (name[: -len(e)], e) if name.endswith(e := ".jsonl.gz") else name.rsplit(".", 1)
    assert part.path.name == f"{stem}.lane-00of-02.{ending.lstrip('.')}"
    part.abandon()
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "old",
    [
        "out.jsonl",
        "out-00001.jsonl",
        "out-00007.jsonl",
        "out.jsonl.partial",
        "out.lane-00of-04.jsonl",
        "out.lane-01of-04-00003.jsonl.partial",
    ],
)
@pytest.mark.parametrize("rotated", [False, True])
def test_what_is_there_is_not_overwritten_without_force(tmp_path, old, rotated):
    make(tmp_path, old)
    with pytest.raises(OutputExistsError, match=old) as caught:
        files(tmp_path / "out.jsonl", rotated=rotated)
    assert "--force" in caught.value.hint
    assert (tmp_path / old).read_text() == "old"


def test_files_of_other_outputs_are_not_in_the_way(tmp_path):
    others = ["out.parquet", "out2.jsonl", "out-1.jsonl", "about.jsonl", "out.jsonl.gz", "out"]
    make(tmp_path, *others)
    files(tmp_path / "out.jsonl", force=True).open_part().complete()
    assert names(tmp_path) == sorted([*others, "out.jsonl"])


def test_lanes_of_one_run_are_not_in_each_others_way(tmp_path):
    first = files(tmp_path / "out.jsonl", LaneSpec(0, 2)).open_part()
    first.complete()
    second = files(tmp_path / "out.jsonl", LaneSpec(1, 2)).open_part()
    second.complete()
    assert names(tmp_path) == ["out.lane-00of-02.jsonl", "out.lane-01of-02.jsonl"]


def test_force_removes_the_old_output_when_the_new_one_is_complete_and_not_before(tmp_path):
    old = ["out-00001.jsonl", "out-00002.jsonl", "out.lane-00of-02.jsonl", "out.jsonl"]
    make(tmp_path, *old)
    part = files(tmp_path / "out.jsonl", rotated=True, force=True).open_part()
    part.write(b"new")
    assert names(tmp_path) == sorted([*old, "out-00001.jsonl.partial"])
    assert (tmp_path / "out-00001.jsonl").read_text() == "old"
    part.complete()
    assert names(tmp_path) == ["out-00001.jsonl"]
    assert (tmp_path / "out-00001.jsonl").read_text() == "new"


def test_a_part_that_is_abandoned_leaves_the_old_output(tmp_path):
    make(tmp_path, "out.jsonl")
    files(tmp_path / "out.jsonl", force=True).open_part().abandon()
    assert names(tmp_path) == ["out.jsonl"]
    assert (tmp_path / "out.jsonl").read_text() == "old"


def test_what_a_killed_run_left_is_named_and_replaced_with_force(tmp_path):
    make(tmp_path, "out.jsonl.partial")
    with pytest.raises(OutputExistsError) as caught:
        files(tmp_path / "out.jsonl")
    assert "killed" in caught.value.hint
    part = files(tmp_path / "out.jsonl", force=True).open_part()
    part.write(b"new")
    part.complete()
    assert (tmp_path / "out.jsonl").read_bytes() == b"new"
    assert names(tmp_path) == ["out.jsonl"]


@pytest.mark.parametrize("force", [False, True])
def test_two_runs_never_write_the_same_file(tmp_path, force):
    mine = files(tmp_path / "out.jsonl").open_part()
    mine.write(b"mine")
    with pytest.raises(RefusedError, match="another process is writing"):
        files(tmp_path / "out.jsonl", force=force)
    mine.complete()
    assert (tmp_path / "out.jsonl").read_bytes() == b"mine"


def test_two_runs_that_start_together_never_write_the_same_file(tmp_path):
    first, second = files(tmp_path / "out.jsonl"), files(tmp_path / "out.jsonl")
    part = first.open_part()
    with pytest.raises(RefusedError, match="another process is writing"):
        second.open_part()
    part.complete()


def test_a_file_that_somebody_made_meanwhile_is_not_overwritten(tmp_path):
    part = files(tmp_path / "out.jsonl").open_part()
    part.write(b"mine")
    make(tmp_path, "out.jsonl")
    with pytest.raises(OutputExistsError, match="during the run"):
        part.complete()
    assert (tmp_path / "out.jsonl").read_text() == "old"
    assert (tmp_path / "out.jsonl.partial").read_bytes() == b"mine"


def test_a_missing_directory(tmp_path):
    with pytest.raises(ConfigError, match="missing") as caught:
        files(tmp_path / "missing" / "out.jsonl")
    assert f"mkdir -p {tmp_path / 'missing'}" in caught.value.hint


def test_a_directory_of_the_outputs_name(tmp_path):
    (tmp_path / "out.jsonl").mkdir()
    with pytest.raises(ConfigError, match="is a directory"):
        files(tmp_path / "out.jsonl", force=True).open_part()


def test_a_directory_that_may_not_be_written(tmp_path):
    place = tmp_path / "readable"
    place.mkdir(mode=0o555)
    for above in (tmp_path, *tmp_path.parents):
        if above == tmp_path or above.name.startswith(("pytest-", "popen-")):
            above.chmod(0o755)
    output = files(place / "out.jsonl")
    with as_nobody(), pytest.raises(RefusedError, match="Permission denied") as caught:
        output.open_part()
    assert "may write" in caught.value.hint


def test_a_write_that_does_not_fit_is_undone(tmp_path):
    with small_disk(tmp_path, 64 * 1024) as disk:
        part = files(disk / "out.jsonl").open_part()
        part.write(b"a" * 40_000)
        with pytest.raises(RefusedError, match="No space left") as caught:
            part.write(b"b" * 40_000)
        assert "free some space" in caught.value.hint
        assert part.partial.read_bytes() == b"a" * 40_000
        part.write(b"c" * 1_000)
        part.complete()
        assert part.path.read_bytes() == b"a" * 40_000 + b"c" * 1_000


def test_a_file_above_the_limit_of_the_process(tmp_path):
    part = files(tmp_path / "out.jsonl").open_part()
    part.write(b"a" * 600)
    with largest_file(1_000), pytest.raises(RefusedError, match="too large") as caught:
        part.write(b"b" * 600)
    assert "ulimit -f" in caught.value.hint
    part.complete()
    assert part.path.read_bytes() == b"a" * 600

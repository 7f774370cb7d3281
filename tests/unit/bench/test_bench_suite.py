"""Real processes, few records: what comes out has the right shape. No figure is judged."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from iot_producer.bench import BenchOptions, render, run_bench, suite
from iot_producer.bench.load_spec import LoadSpec
from iot_producer.bench.measuring import Crew
from iot_producer.clock import ManualClock
from iot_producer.errors import ConfigError, IotProducerError
from iot_producer.fleet import FleetSpec

FLEET = FleetSpec(devices=500, customers=50, sites=20, seed=3)


def spec(stage: str, pulsar_url: str = "") -> LoadSpec:
    return LoadSpec(stage, 0, 1, FLEET, 100, 1000, pulsar_url, "bench" if pulsar_url else "")


@pytest.mark.slow
def test_a_quick_run_of_two_workers():
    said: list[str] = []
    options = BenchOptions(
        stages=("null",), workers=(2,), n_records=500, quick=True, start_up=False, fleet=FLEET
    )
    report = run_bench(options, said.append, ManualClock(1_782_050_400_000_000_000))
    assert report.date == "2026-06-21T14:00:00.000Z"
    assert (report.ok, report.left_out, report.start_up) == (True, (), ())
    (found,) = report.stages
    assert (found.stage, found.workers, len(found.rounds)) == ("null", 2, 3)
    assert all(r.n_records == 1000 and r.cpu_s > 0 and r.wall_s > 0 for r in found.rounds)
    # A Python with numba needs 100 MB; a figure inherited from this process would be larger still.
    assert 50e6 < found.peak_rss_bytes < 2e9
    assert said[0] == "null, 2 workers: 3 rounds of 1,000 records"
    assert said[1].endswith(" records/s")
    assert "the worker's whole loop, to null:" in render(report)


def test_what_a_process_raises_is_raised_here_and_none_is_left():
    with pytest.raises(ConfigError, match="unknown scheme"), Crew([spec("native", "qulsar://h")]):
        pass
    assert multiprocessing.active_children() == []


def test_a_process_that_dies_is_an_error_with_its_code():
    with Crew([spec("blocks")]) as crew:
        crew._members[0][0].kill()
        with pytest.raises(IotProducerError, match=r"a measured process died \(signal 9\)"):
            crew.round(100)


def test_a_stage_that_cannot_be_measured_is_left_out_with_its_reason():
    said: list[str] = []
    # Without HOME nobody knows where the server would be.
    stages = ("native", "official", "pulsar-perf")
    options = BenchOptions(stages=stages, start_up=False, fleet=FLEET, environ={})
    report = run_bench(options, said.append)
    assert report.stages == ()
    assert report.ok
    # All share one broker: what is wrong with it is found once and told for each.
    assert tuple(stage for stage, _ in report.left_out) == stages
    (reason,) = {reason for _, reason in report.left_out}
    assert "HOME" in reason
    assert said == [f"{stage}: left out: {reason}" for stage in stages]


def test_a_stage_that_fails_does_not_take_the_others_with_it(monkeypatch: pytest.MonkeyPatch):
    def measured(options: object, stage: suite.StageSpec, *_: object) -> object:
        raise IotProducerError(f"{stage.name} broke", "mend it")

    monkeypatch.setattr(suite, "_measured", measured)
    options = BenchOptions(stages=("blocks", "values"), start_up=False, fleet=FLEET)
    report = run_bench(options, lambda _: None)
    assert report.failed == (
        ("blocks", "blocks broke (mend it)"),
        ("values", "values broke (mend it)"),
    )


def git(directory: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    command = ["git", "-C", str(directory), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_that_of_the_checkout_and_says_whether_the_sources_were_changed(
    tmp_path: Path,
):
    assert suite._commit(tmp_path) == "unknown"
    git(tmp_path, "init")
    (tmp_path / "src").mkdir()
    source = tmp_path / "src" / "a.py"
    source.write_text("1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    head = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert suite._commit(tmp_path.resolve()) == head
    (tmp_path / "notes").write_text("not a source\n")
    assert suite._commit(tmp_path.resolve()) == head
    source.write_text("2\n")
    assert suite._commit(tmp_path.resolve()) == f"{head}-dirty"
    # A package that is installed below somebody's checkout is not theirs.
    (tmp_path / "lib").mkdir()
    assert suite._commit((tmp_path / "lib").resolve()) == "unknown"


def test_nothing_heavy_is_loaded_by_whoever_only_asks():
    code = "import sys, iot_producer.bench; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

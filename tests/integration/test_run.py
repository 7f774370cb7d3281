"""Runs in real processes: their end by plan, by signal, by error; their report; what stays."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from program import PATIENCE_S, PROGRAM, Running, environment, records, run, running

from iot_producer.blocks import DATA_VERSION, Plan, block_at
from iot_producer.encoders.json_rows import JsonEncoder
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.lane import LaneSpec, lane_of
from iot_producer.report import RunReport
from iot_producer.schedule import MaxRate, schedule_from_spec
from needed import cannot_run

pytestmark = pytest.mark.integration

START = "2026-07-01T12:00:00Z"
POOL = ("--devices", "200", "--seed", "7")
LOG = ("--stats-interval", "200ms", "--log-format", "json")


def report_of(path: Path) -> RunReport:
    return RunReport.from_json(path.read_text(), DATA_VERSION)


def recomputed(report: RunReport) -> list[bytes]:
    """The records that a report says were confirmed, made again from it alone; sorted."""
    fleet = FleetSpec(**report.fleet)  # type: ignore[arg-type]
    encoder = JsonEncoder(fleet_of(fleet))
    schedule = schedule_from_spec(report.schedule)
    texts = []
    for lane in report.lanes:
        spec = LaneSpec(lane.index, report.n_lanes)
        if isinstance(schedule, MaxRate):
            assert lane.blocks is not None
            members, first, blocks = lane_of(fleet.devices, spec), 0, []
            for n, start_ns in lane.blocks.tolist():
                blocks.append(block_at(members, first, n, start_ns))
                first += n
            assert lane.ranges.confirmed.to_list() == [[0, first]]
        else:
            plan = Plan(fleet, spec, schedule, report.start_ns)
            blocks = [b for r in lane.ranges.confirmed for b in plan.blocks(*r, 1000)]
        texts += [t for b in blocks for t in encoder.encode(b.devices, b.times_ms).split()]
    return sorted(texts)


def no_trace(text: str) -> bool:
    return "Traceback" not in text and "Error:" not in text


class TestToTheEnd:
    def test_any_number_of_workers_makes_the_same_records(self, tmp_path: Path):
        made = {}
        for workers in (1, 3):
            name = f"w{workers}"
            done = run(
                "run", *POOL, "--to", f"{name}.jsonl", "--start", START, "--messages", "5000",
                "--workers", str(workers), "--report", f"{name}.json",
                cwd=tmp_path,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (0, "")
            made[workers] = records(tmp_path, f"{name}*.jsonl")
            report = report_of(tmp_path / f"{name}.json")
            assert report.tally.complete
            assert report.stop_reason == "the end of the plan"
            assert len(report.lanes) == report.n_lanes == workers
            assert recomputed(report) == made[workers]
            assert sum(map(len, made[workers])) == report.raw_bytes - 5000  # line ends
        assert len(made[1]) == 5000
        assert made[1] == made[3]
        assert len(list(tmp_path.glob("w3.lane-*of-03.jsonl"))) == 3
        assert not list(tmp_path.glob("*.partial"))

    def test_shards_in_pods_of_their_own_make_them_too(self, tmp_path: Path):
        for shard in ("0/2", "1/2"):
            done = run(
                "run", *POOL, "--to", f"s{shard[0]}.jsonl", "--start", START, "--rate", "500",
                "--messages", "1000", "--shard", shard,
                cwd=tmp_path,
            )  # fmt: skip
            assert done.returncode == 0
        whole = run(
            "run", *POOL, "--to", "whole.jsonl", "--start", START, "--rate", "1000",
            "--messages", "2000",
            cwd=tmp_path,
        )  # fmt: skip
        assert whole.returncode == 0
        assert records(tmp_path, "s*.jsonl") == records(tmp_path, "whole.jsonl")

    def test_the_report_of_a_run_at_the_maximum_rate_recomputes_its_records(self, tmp_path: Path):
        done = run(
            "run", "--devices", "10", "--to", "max.jsonl", "--rate", "max", "--messages", "300",
            "--workers", "2", "--report", "max.json", "--warm-up", "15ms",
            cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0
        report = report_of(tmp_path / "max.json")
        made = records(tmp_path, "max.lane*.jsonl")
        assert recomputed(report) == made
        keys = {(r["device_id"], r["time"]) for r in map(json.loads, made)}
        assert len(keys) == 300
        # How soon the first block is made is the machine's; which messages are early is not.
        warm_ns = report.start_ns + 15_000_000
        blocks = [each for lane in report.lanes for each in lane.blocks.tolist()]
        assert report.n_warm_up == sum(min(max(warm_ns - start, 0), n) for n, start in blocks)
        assert report.latencies.lag.n == 300 - report.n_warm_up

    def test_the_warm_up_is_counted_in_the_report(self, tmp_path: Path):
        done = run(
            "run", *POOL, "--to", "null:", "--start", START, "--messages", "1000",
            "--warm-up", "100ms", "--workers", "2", "--report", "r.json",
            cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0
        report = report_of(tmp_path / "r.json")
        assert report.n_warm_up == 100
        assert report.tally.confirmed == 1000
        assert report.latencies.lag.n == report.latencies.response.n == 900

    def test_what_is_too_late_is_dropped_or_ends_the_run(self, tmp_path: Path):
        late = ("run", *POOL, "--to", "null:", "--start", START, "--messages", "1000")
        dropped = run(*late, "--on-overload", "drop", "--report", "drop.json", cwd=tmp_path)
        assert dropped.returncode == 1
        report = report_of(tmp_path / "drop.json")
        assert report.tally.not_sent == report.tally.skipped == 1000
        assert report.lanes[0].ranges.not_sent_reasons == {"dropped: more than 1 s late": 1000}

        failed = run(*late, "--on-overload", "fail", "--report", "fail.json", cwd=tmp_path)
        assert failed.returncode == 1
        assert "error: lane 0 is more than 1 s behind its schedule" in failed.stderr
        assert "--on-overload catch-up" in failed.stderr
        report = report_of(tmp_path / "fail.json")
        assert report.tally.not_sent == 1000
        assert report.stop_reason == report.error == report.lanes[0].error

    def test_parquet_and_chdb_hold_as_many_rows(self, tmp_path: Path):
        pytest.importorskip("chdb")
        to = tmp_path / "out.parquet"
        common = ("run", *POOL, "--start", START, "--messages", "1000")
        assert run(*common, "--to", str(to)).returncode == 0
        from pyarrow import parquet

        assert parquet.read_metadata(to).num_rows == 1000
        done = run(*common, "--to", f"chdb://{tmp_path}/db", "--report", f"{tmp_path}/chdb.json")
        assert (done.returncode, done.stderr) == (0, "")
        query = (
            "import chdb.session, sys\n"
            "session = chdb.session.Session(sys.argv[1])\n"
            "print(session.query('SELECT count() FROM benchmark.sensors_local', 'TSV'), end='')"
        )
        found = subprocess.run(
            [PROGRAM[0], "-c", query, str(tmp_path / "db")],
            capture_output=True, text=True, check=True, timeout=PATIENCE_S,
        )  # fmt: skip
        assert found.stdout.strip() == "1000"


@pytest.fixture
def endless(tmp_path: Path):
    """A run without an end, to files, with three workers."""
    with running(
        tmp_path, "run", *POOL, *LOG, "--to", str(tmp_path / "out.jsonl"), "--rate", "2000",
        "--workers", "3", "--report", str(tmp_path / "r.json"),
    ) as program:  # fmt: skip
        yield program


class TestSignals:
    def check_drained(self, program: Running, tmp_path: Path, reason: str) -> None:
        assert program.left_behind() == []
        assert no_trace(program.stderr())
        report = report_of(tmp_path / "r.json")
        assert report.tally.complete
        assert report.tally.confirmed > 0
        assert report.stop_reason == reason
        assert recomputed(report) == records(tmp_path, "out*.jsonl")

    @pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
    def test_a_request_to_end_drains(self, endless: Running, tmp_path: Path, name: str):
        endless.wait_until_sending()
        endless.process.send_signal(signal.Signals[name])
        assert endless.end() == 0
        self.check_drained(endless, tmp_path, name)

    def test_ctrl_c_drains(self, endless: Running, tmp_path: Path):
        endless.wait_until_sending()
        endless.ctrl_c()
        assert endless.end() == 130
        self.check_drained(endless, tmp_path, "SIGINT")

    def test_a_second_ctrl_c_ends_a_drain_that_is_stuck(self, tmp_path: Path):
        # Nobody reads the pipe: the worker hangs in a write.
        with running(
            tmp_path, "run", *POOL, *LOG, "--to", "-", "--rate", "max", "--drain-timeout", "1h",
            "--report", str(tmp_path / "r.json"),
        ) as program:  # fmt: skip
            _wait_for_text(program, '"sent": ')
            program.ctrl_c()
            _wait_for_text(program, "SIGINT: waiting for confirmations")
            program.ctrl_c()
            program.process.wait(PATIENCE_S)
            assert program.process.returncode == 130
            assert program.left_behind() == []
            assert no_trace(program.stderr())
        report = report_of(tmp_path / "r.json")
        assert report.tally.unconfirmed > 0
        assert report.tally.scheduled == report.tally.confirmed + report.tally.unconfirmed
        assert report.stop_reason == "SIGINT"

    def test_ctrl_c_at_any_moment(self, tmp_path: Path):
        """From the first instruction on: exit code 130, no stack trace, no process left."""
        for step in range(16):
            with running(
                tmp_path, "run", *POOL, *LOG, "--to", str(tmp_path / "out.jsonl"), "--workers",
                "2", "--force", "--report", str(tmp_path / "r.json"),
            ) as program:  # fmt: skip
                # Python's own first 20 ms are not ours.
                _wait_for_handler(program.process.pid)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    program.process.wait(step * 0.12)
                program.ctrl_c()
                assert program.end() == 130, step
                assert program.left_behind() == []
                assert no_trace(program.stderr()), (step, program.stderr())
            assert not list(tmp_path.glob("*.partial")), step
            assert not list(tmp_path.glob(".*.partial")), step

    def test_a_run_that_never_began_leaves_what_was_there(self, tmp_path: Path):
        out = tmp_path / "out.jsonl"
        out.write_text("old\n")
        with running(
            tmp_path, "run", *LOG, "--to", str(out), "--force", "--start", "2199-01-01"
        ) as program:
            program.wait_for(lambda event: event["event"] == "stats")
            program.ctrl_c()
            assert program.end() == 130
        assert out.read_text() == "old\n"
        assert [p.name for p in tmp_path.glob("out*")] == ["out.jsonl"]


def _wait_for_text(program: Running, text: str) -> None:
    """Until standard error holds a text (it is a file, so there is nothing to wait on)."""
    for _ in range(600):
        if text in program.stderr():
            return
        try:
            program.process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError(f"{text!r} never came: {program.stderr()}")


def _wait_for_handler(pid: int) -> None:
    """Until the program has its own signal handlers: it installs that of SIGTERM last."""
    bit = 1 << (signal.SIGTERM - 1)
    while True:
        status = Path(f"/proc/{pid}/status").read_text()
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
        if int(caught.split()[1], 16) & bit:
            return


class TestDeaths:
    def test_a_worker_that_is_killed(self, endless: Running, tmp_path: Path):
        endless.wait_until_sending()
        endless.workers()[1].kill()
        assert endless.end() == 1
        assert endless.left_behind() == []
        assert no_trace(endless.stderr())
        assert "died: signal 9" in endless.stderr()
        report = report_of(tmp_path / "r.json")
        assert report.error is not None
        assert "died: signal 9" in report.error
        assert len(report.lanes) == 3
        dead = [lane for lane in report.lanes if lane.error]
        assert len(dead) == 1
        assert dead[0].tally.confirmed == 0
        assert dead[0].tally.unconfirmed == dead[0].tally.scheduled > 0
        for lane in report.lanes:
            assert lane.error or lane.tally.complete
        found = records(tmp_path, "out.lane-*of-03.jsonl")
        assert recomputed(report) == found

    def test_a_parent_that_is_killed(self, endless: Running, tmp_path: Path):
        endless.wait_until_sending()
        endless.process.kill()
        assert endless.left_behind() == []
        # The workers drained: their files are complete.
        assert len(list(tmp_path.glob("out.lane-*of-03.jsonl"))) == 3
        assert no_trace(endless.stderr())

    def test_a_parent_that_is_killed_while_a_worker_hangs(self, tmp_path: Path):
        with running(
            tmp_path, "run", *POOL, *LOG, "--to", "-", "--rate", "max", "--drain-timeout", "100ms"
        ) as program:
            _wait_for_text(program, '"sent": ')
            program.process.kill()
            assert program.left_behind() == []

    def test_a_parent_that_is_killed_before_the_run_begins(self, tmp_path: Path):
        with running(
            tmp_path, "run", *POOL, "--to", str(tmp_path / "out.jsonl"), "--workers", "2"
        ) as program:
            while len(program.workers()) < 2:
                assert program.process.poll() is None
            program.process.kill()
            assert program.left_behind() == []


class TestOutputs:
    @pytest.mark.parametrize(
        "arguments",
        [
            ("preview", "-n", "100000"),
            ("run", "--to", "-", "--rate", "max", "--messages", "1000000"),
            ("run", "--to", "null:", "--rate", "100", *LOG),
            ("schema",),
        ],
        ids=["preview", "records", "log", "schema"],
    )
    def test_a_reader_that_has_seen_enough(self, tmp_path: Path, arguments: tuple[str, ...]):
        read, write = os.pipe()
        with running(tmp_path, *arguments, stdout=write) as program:
            os.close(write)
            with os.fdopen(read, "rb") as lines:
                assert lines.readline().startswith(b"{")
            code = program.end()
            assert program.left_behind() == []
            assert no_trace(program.stderr())
            assert "Exception ignored" not in program.stderr()
        if "-" in arguments:
            # Records that were due could not be sent.
            assert code == 3
            assert "the program that reads standard output has ended" in program.stderr()
        else:
            assert (code, program.stderr()) == (0, "")

    @pytest.mark.parametrize("arguments", [("preview",), ("run", "--to", "-"), ("--help",)])
    def test_standard_output_on_a_full_disk(self, tmp_path: Path, arguments: tuple[str, ...]):
        with open("/dev/full", "w") as full, running(tmp_path, *arguments, stdout=full) as program:
            assert program.end() == 3
            assert no_trace(program.stderr())
            assert "Exception ignored" not in program.stderr()
            assert "No space left on device" in program.stderr()

    def test_a_report_that_is_there_is_not_overwritten_without_force(self, tmp_path: Path):
        report = tmp_path / "r.json"
        report.write_text("mine")
        arguments = ("run", "--to", "null:", "--messages", "10", "--report", str(report))
        done = run(*arguments)
        assert done.returncode == 2
        assert "exists" in done.stderr
        assert "--force" in done.stderr
        assert report.read_text() == "mine"
        assert run(*arguments, "--force").returncode == 0
        assert report_of(report).tally.confirmed == 10

    @pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.parquet"])
    def test_files_that_may_not_grow(self, tmp_path: Path, name: str):
        """A full disk, as far as the program can tell."""
        limit = 100_000 if name == "out.parquet" else 900_000

        def small_files() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        done = subprocess.run(
            [*PROGRAM, "run", *POOL, "--to", name, "--start", START, "--messages", "20000",
             "--report", "r.json"],
            cwd=tmp_path, env=environment(), preexec_fn=small_files,
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 3
        assert no_trace(done.stderr)
        assert "error: cannot write" in done.stderr
        assert "File too large" in done.stderr
        report = report_of(tmp_path / "r.json")
        assert report.error is not None
        assert not report.tally.complete
        if name == "out.jsonl":
            assert recomputed(report) == records(tmp_path, "out.jsonl*")

    def test_a_full_disk(self, tmp_path: Path):
        disk = tmp_path / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
        made = subprocess.run(mount, capture_output=True, text=True, check=False)
        if made.returncode:
            cannot_run(f"no small file system can be mounted here: {made.stderr.strip()}")
        try:
            done = run(
                "run", *POOL, "--to", str(disk / "out.jsonl"), "--start", START, "--messages",
                "20000", "--report", str(tmp_path / "r.json"),
            )  # fmt: skip
            assert done.returncode == 3
            assert no_trace(done.stderr)
            assert "No space left on device" in done.stderr
            assert "free some space" in done.stderr
            report = report_of(tmp_path / "r.json")
            assert 0 < report.tally.confirmed < report.tally.scheduled
            assert recomputed(report) == records(disk, "out.jsonl*")
        finally:
            subprocess.run(["umount", str(disk)], check=True)

    def test_a_report_that_cannot_be_written_in_the_end(self, tmp_path: Path):
        folder = tmp_path / "reports"
        folder.mkdir()
        with running(
            tmp_path, "run", *POOL, *LOG, "--to", "null:", "--report", str(folder / "r.json")
        ) as program:
            program.wait_until_sending()
            folder.rmdir()
            program.process.terminate()
            assert program.end() == 3
            assert no_trace(program.stderr())
            assert "error: cannot write" in program.stderr()


def test_workers_are_told_apart_from_other_children(endless: Running):
    endless.wait_until_sending()
    assert len(endless.workers()) == 3
    assert all(psutil.pid_exists(worker.pid) for worker in endless.workers())

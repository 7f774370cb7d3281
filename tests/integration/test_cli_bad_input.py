"""What people get wrong: an exit code that says whose fault it is, what is wrong, what to do."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from program import environment, run, running

from iot_producer.pulsar.admin import PulsarAdmin
from iot_producer.stack import StackConfig, StackStatus, default_cache_dir, down, up

pytestmark = pytest.mark.integration

NULL = ("run", "--to", "null:", "--messages", "10")


def check(done: subprocess.CompletedProcess[str], code: int, *patterns: str) -> None:
    """One sentence of what is wrong and one of what to do, both findable, and no stack trace."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    found = re.search(r"^error: (.+)\n {7}(.+)$|^Error: (.+)$", done.stderr, re.MULTILINE)
    assert found, done.stderr
    for pattern in patterns:
        assert re.search(pattern, done.stderr), done.stderr


@pytest.mark.parametrize(
    ("arguments", "patterns"),
    [
        (("run", "--rat", "5"), ("No such option '--rat'", "--rate")),
        (("run", "--device", "5", "--to"), ("--device",)),
        (("run", "extra"), ("unexpected extra argument",)),
        (("run", "--rate"), ("requires an argument",)),
        (("prewiew",), ("No such command 'prewiew'", "Did you mean 'preview'")),
        (("stack", "upp"), ("No such command 'upp'", "Did you mean 'up'")),
        ((*NULL, "--rate", "0"), ("--rate must be above 0: '0'", "Write messages per second")),
        ((*NULL, "--rate", "-1"), ("--rate must not be negative: '-1'",)),
        ((*NULL, "--rate", "fast"), ("--rate is not a rate: 'fast'",)),
        ((*NULL, "--rate", "nan"), ("--rate is not a rate: 'nan'",)),
        ((*NULL, "--rate", str(10**12)), ("--rate is above 1000000000 a second", "at most")),
        ((*NULL, "--devices", "0"), ("--devices is too small: 0", "from 1 to 10000000")),
        ((*NULL, "--devices", "-1"), ("--devices is negative: -1",)),
        (
            (*NULL, "--devices", "5", "--customers", "6"),
            ("--customers 6 is more than --devices 5", "lower customers or raise devices"),
        ),
        ((*NULL, "--devices", "5", "--sites", "6"), ("--sites 6 is more than --devices 5",)),
        (
            (*NULL, "--devices", "2", "--rate", "2001"),
            ("2001 records a second of 2 devices", "raise DEVICES to 3, or lower the rate"),
        ),
        ((*NULL, "--shard", "3/3"), ("--shard does not exist: '3/3'", "the last one of 3 is 2/3")),
        ((*NULL, "--devices", "2", "--workers", "3"), ("2 devices", "lower WORKERS")),
        ((*NULL, "--start", "yesterday"), ("--start is not a time: 'yesterday'", "ISO 8601")),
        ((*NULL, "--duration", "0s"), ("--duration 0s is no time at all", "give more than 0")),
        ((*NULL, "--duration", "5 parsecs"), ("--duration", "5 parsecs")),
        ((*NULL, "--messages", "0"), ("--messages is too small: 0",)),
        ((*NULL, "--on-overload", "dorp"), ("--on-overload does not know 'dorp'", "drop")),
        ((*NULL, "--config", "steady"), ("there is no workload 'steady'", "steady-1k")),
        ((*NULL, "--config", "no.toml"), ("no.toml: No such file", "steady-1k")),
        (("run", "--to", "pulsr://h:1"), ("unknown scheme 'pulsr'", "did you mean pulsar://")),
        (("run", "--to", "kafka://h:1"), ("unknown scheme 'kafka'", "known: pulsar://")),
        (("run", "--to", "pulsar://"), ("'' is not a host", "write host or host:port")),
        (("run", "--to", "pulsar://h:99999"), ("'99999' is not a port", "1 … 65535")),
        (("run", "--to", "pulsar://h:x"), ("'x' is not a port",)),
        (
            ("run", "--to", "pulsar://h", "--tls-trust-store", "ca.pem"),
            ("--tls-trust-store ca.pem asks for TLS", "pulsar+ssl://"),
        ),
        (("run", "--to", "clickhouse://h"), ("does not name a table", "/database.table")),
        (("run", "--to", "chdb://db"), ("does not name a directory", "three slashes")),
        (("run", "--to", "out.csv"), ("'out.csv' is not a destination", "known: ")),
        (("run", "--to", "out.jsnl"), ("did you mean .jsonl instead of .jsnl",)),
        (("run", "--topic", "a b"), ("'a b' holds the character ' '", "letters, digits")),
        (("run", "--topic", "a/b"), ("is not a topic name", "persistent://tenant/namespace/topic")),
        (("run", "--topic", "non-persistent://a/b/c"), ("keeps nothing",)),
        (("run", "--to", "no/such/out.jsonl"), ("there is no directory no/such", "mkdir -p")),
        (("run", "--to", "file/out.jsonl"), ("cannot write in file: Not a directory", "choose")),
        (("run", "--to", "/proc/out.jsonl"), ("cannot write in /proc", "choose a directory")),
        ((*NULL, "--report", "no/r.json"), ("there is no directory no", "mkdir -p no")),
        ((*NULL, "--report", "/proc/r.json"), ("cannot write in /proc", "choose a directory")),
        ((*NULL, "--report", "folder"), ("--report folder is a directory", "name of a file")),
        ((*NULL, "--report", "file"), ("the report file exists", "--force")),
        (("run", "--to", "old.jsonl"), ("output exists already", "old.jsonl", "--force")),
        (("run", "--to", "chdb:///x/y", "--workers", "2"), ("only one process can open",)),
        (("run", "--to", "-", "--workers", "2"), ("would mix on standard output",)),
        (("preview", "-n", "0"), ("-n is too small: 0",)),
        (("schema", "--as", "xml"), ("--as does not know 'xml'", "json-schema")),
        (("verify", "--from", "x.jsonl"), ("needs the report of the run", "--report run.json")),
        (("verify", "--report", "no.json"), ("there is no report no.json",)),
        (("verify", "--report", "file"), ("the report is no JSON: it is damaged or cut off",)),
        (("verify", "--report", "folder"), ("there is no report (*.json) in folder",)),
        (("verify", "--report", "array"), ("not a run report of iot-producer",)),
        (("stack", "env", "--name", "a b"), ("a b",)),
    ],
    ids=lambda value: " ".join(value)[-40:] if value and isinstance(value, tuple) else None,
)
def test_usage(tmp_path: Path, arguments: tuple[str, ...], patterns: tuple[str, ...]) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "array").write_text("{}")
    (tmp_path / "old.jsonl").write_text("mine\n")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    done = run(*arguments, cwd=tmp_path)
    check(done, 2, *map(re.escape, patterns))
    assert done.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == (tmp_path / "old.jsonl").read_text().strip()


@pytest.mark.parametrize(
    ("name", "value", "patterns"),
    [
        ("DEVICES", "0", ("DEVICES is too small: 0",)),
        ("MESSAGES_PER_SECOND", "0", ("MESSAGES_PER_SECOND must be above 0",)),
        ("SHARD", "1", ("SHARD is not a shard: '1'",)),
        ("WORKERS", "many", ("WORKERS is not a whole number: 'many'",)),
        ("PULSAR_URL", "http://h:8080", ("PULSAR_URL", "unknown scheme 'http'")),
        ("PULSAR_TOPIC", "a//b", ("PULSAR_TOPIC", "is not a topic name")),
        ("PULSAR_TOKEN", "secret no token", ("PULSAR_TOKEN holds white space",)),
        ("PULSAR_TOKEN_FILE", "/no/secret", ("/no/secret cannot be read: No such file",)),
    ],
)
def test_variables(name: str, value: str, patterns: tuple[str, ...]) -> None:
    done = run("run", "--messages", "10", **{name: value})
    check(done, 2, *map(re.escape, patterns))
    assert "secret no token" not in done.stderr


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        ("[run]\nraet = 5", ("unknown key 'run.raet'", "did you mean run.rate?")),
        ("[rnu]\nrate = 5", ("unknown key 'rnu'", "did you mean run?")),
        ("rate = 5", ("unknown key 'rate'", "did you mean run.rate")),
        ("[fleet]\nrate = 5", ("unknown key 'fleet.rate'", "did you mean run.rate?")),
        ("[run]\nrate = 0", ("run.rate in bad.toml must be above 0: 0",)),
        ("[fleet]\ndevices = 'x'", ("fleet.devices in bad.toml is not a whole number: 'x'",)),
        ("[schedule]\nkind = 'rampp'", ("schedule.kind is unknown: 'rampp'", "ramp")),
        ("[schedule]\nkind = 'ramp'\nform = 1", ("unknown key in the schedule", "from")),
        ("[run", ("bad.toml is not TOML",)),
    ],
)
def test_toml(tmp_path: Path, text: str, patterns: tuple[str, ...]) -> None:
    (tmp_path / "bad.toml").write_text(text)
    check(run(*NULL, "--config", "bad.toml", cwd=tmp_path), 2, *map(re.escape, patterns))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    made = run("run", "--to", "out.jsonl", "--messages", "100", "--report", "r.json", cwd=folder)
    assert made.returncode == 0
    return folder / "r.json"


class TestVerify:
    def test_a_report_that_was_changed(self, report: Path, tmp_path: Path):
        changed = tmp_path / "changed.json"
        changed.write_text(report.read_text().replace('"seed":1', '"seed":2', 1))
        changed.write_text(re.sub(r'"seed": ?1\b', '"seed":2', report.read_text()))
        assert changed.read_text() != report.read_text()
        check(run("verify", "--report", str(changed)), 2, "changed or damaged", "checksum")

    def test_a_report_that_is_cut_off(self, report: Path, tmp_path: Path):
        cut = tmp_path / "cut.json"
        cut.write_text(report.read_text()[:500])
        check(run("verify", "--report", str(cut)), 2, "is no JSON: it is damaged or cut off")

    def test_a_report_of_another_data_version(self, report: Path, tmp_path: Path):
        from iot_producer.report_text import checksum_of, rendered

        body = json.loads(report.read_text())
        del body["checksum"]
        body["data_version"] = 99
        body["tool_version"] = "9.9"
        other = tmp_path / "other.json"
        other.write_text(rendered({**body, "checksum": checksum_of(body)}, ""))
        done = run("verify", "--report", str(other))
        check(done, 2, "data version 99", "this program makes version 1", "that wrote it: 9.9")

    def test_files_that_are_gone(self, report: Path, tmp_path: Path):
        done = run("verify", "--report", str(report), "--from", "gone.jsonl", cwd=tmp_path)
        check(done, done.returncode, "gone.jsonl")
        assert done.returncode in (2, 3)

    def test_what_cannot_be_verified(self, report: Path):
        check(run("verify", "--report", str(report), "--from", "null:"), 2, "cannot be verified")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and nobody else gets meanwhile."""
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are accepted and never answered."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


SHORT = ("--messages", "10", "--give-up-after", "1s")


class TestDestinations:
    def test_a_host_that_does_not_resolve(self):
        done = run("run", "--to", "pulsar://no.such.host.invalid:6650", *SHORT)
        check(
            done, 3, "'no.such.host.invalid' does not resolve; given up after", "check PULSAR_URL"
        )

    def test_a_port_that_nobody_listens_on(self, closed_port: int):
        done = run("run", "--to", f"pulsar://127.0.0.1:{closed_port}", *SHORT)
        check(done, 3, f"nobody listens on 127.0.0.1:{closed_port}", "given up after")
        assert "trying again in" in done.stdout  # with backoff

    def test_a_broker_that_never_answers(self, silent_port: int):
        done = run("run", "--to", f"pulsar://127.0.0.1:{silent_port}", *SHORT)
        check(done, 3, f"127.0.0.1:{silent_port} does not answer", "is the broker up")

    def test_ctrl_c_while_it_connects(self, closed_port: int, tmp_path: Path):
        with running(
            tmp_path, "run", "--to", f"pulsar://127.0.0.1:{closed_port}", "--log-format", "json",
            "--give-up-after", "never",
        ) as program:  # fmt: skip
            program.wait_for(lambda event: "trying again" in event.get("message", ""))
            program.ctrl_c()
            assert program.end() == 130
            assert program.left_behind() == []
            assert "Traceback" not in program.stderr()

    def test_a_clickhouse_that_is_not_there(self, closed_port: int):
        done = run("run", "--to", f"clickhouse://127.0.0.1:{closed_port}/a.b", *SHORT)
        check(done, 3, "nobody listens there", "check host and port")

    def test_a_directory_that_chdb_cannot_make(self):
        pytest.importorskip("chdb")
        check(run("run", "--to", "chdb:///proc/db", *SHORT), 3, "/proc/db", "directory")

    def test_an_admin_api_that_is_not_there(self, closed_port: int):
        url = f"http://127.0.0.1:{closed_port}"
        done = run("run", "--create-topic", "2", "--admin-url", url, *SHORT)
        check(done, 3, f"the admin API at {url} does not answer", "PULSAR_ADMIN_URL")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackStatus]:
    pool = StackConfig(
        tmp_path_factory.mktemp("stack"),
        default_cache_dir(os.environ),
        broker_port=0,
        admin_port=0,
    )
    status = up(pool, lambda _: None)
    try:
        yield status
    finally:
        down(pool, purge=True)


class TestRealBroker:
    def test_a_topic_that_is_missing_where_topics_are_not_made(self, broker: StackStatus):
        admin = PulsarAdmin(broker.admin_url)
        admin.call("PUT", "/admin/v2/namespaces/public/strict", {})
        admin.set_policy("public/strict", "autoTopicCreation", {"allowAutoTopicCreation": False})
        topic = ("--pulsar-url", broker.pulsar_url, "--topic", "public/strict/missing")
        done = run("run", *topic, *SHORT)
        check(done, 3, "public/strict/missing", "--create-topic")
        made = run("run", *topic, *SHORT, "--admin-url", broker.admin_url, "--create-topic", "2")
        assert (made.returncode, made.stderr) == (0, "")

    def test_a_topic_that_is_there_stays_as_it_is(self, broker: StackStatus):
        admin = PulsarAdmin(broker.admin_url)
        topic = ("--pulsar-url", broker.pulsar_url, "--topic", "public/default/there-already")
        create = ("--admin-url", broker.admin_url, "--create-topic")
        for n_partitions in ("2", "2", "3", "0"):  # as a pod that is started again
            done = run("run", *topic, *SHORT, *create, n_partitions)
            assert done.returncode == 0
            assert admin.n_partitions("persistent://public/default/there-already") == 2
            assert done.stderr == ""
            said = f"with 2 partitions, not {n_partitions}: it stays so"
            assert (said in done.stdout) == (n_partitions != "2")

    def test_a_namespace_that_is_missing(self, broker: StackStatus):
        topic = ("--pulsar-url", broker.pulsar_url, "--topic", "public/nowhere/topic")
        check(run("run", *topic, *SHORT), 3, "public/nowhere")

    def test_a_broker_that_stops_answering(self, broker: StackStatus, tmp_path: Path):
        assert broker.pid is not None
        report = tmp_path / "r.json"
        with running(
            tmp_path, "run", "--log-format", "json", "--stats-interval", "200ms", "--report",
            str(report), "--give-up-after", "2s", "--drain-timeout", "2s",
            "--pulsar-url", broker.pulsar_url, "--topic", "silent",
        ) as program:  # fmt: skip
            program.wait_until_sending()
            os.kill(broker.pid, signal.SIGSTOP)
            try:
                assert program.end() == 3
            finally:
                os.kill(broker.pid, signal.SIGCONT)
            assert program.left_behind() == []
            assert "Traceback" not in program.stderr()
            assert "error: " in program.stderr()
        tally = json.loads(report.read_text())["tally"]
        assert tally["confirmed"] > 0
        assert tally["unconfirmed"] > 0


class TestHelp:
    COMMANDS = (
        ("run",), ("preview",), ("verify",), ("demo",), ("bench",), ("schema",), ("stack",),
        ("stack", "up"), ("stack", "down"), ("stack", "status"), ("stack", "env"),
    )  # fmt: skip

    @pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
    @pytest.mark.parametrize("flag", ["-h", "--help"])
    def test_each_command_teaches_by_example(self, command: tuple[str, ...], flag: str):
        done = run(*command, flag)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"Usage: iot-producer {' '.join(command)}" in done.stdout
        example = r"^ +(eval \"\$\()?iot-producer " + " ".join(command[:1])
        assert re.search(example, done.stdout, re.MULTILINE)

    def test_without_a_command_there_is_help(self):
        for arguments in ((), ("-h",), ("--help",)):
            done = run(*arguments)
            assert (done.returncode, done.stderr) == (0, "")
            for command in self.COMMANDS:
                assert command[0] in done.stdout
        assert run("stack").stdout == run("stack", "--help").stdout

    def test_the_version(self):
        from iot_producer import __version__

        assert run("--version").stdout == f"iot-producer {__version__}\n"

    @pytest.mark.parametrize(
        "arguments", [("--help",), ("run", "--help"), ("run", "--rate", "0"), ("verify", "-h")]
    )
    def test_help_and_usage_errors_load_nothing_heavy(self, arguments: tuple[str, ...]):
        """What makes them quick; the time itself is measured by the benchmark."""
        code = (
            "import sys\n"
            "from iot_producer.cli import main\n"
            "try:\n"
            "    main(sys.argv[1:])\n"
            "finally:\n"
            "    heavy = {'numpy', 'numba', 'pulsar', 'pyarrow', 'rich', 'psutil', 'chdb'}\n"
            "    print('heavy:', sorted(heavy & set(sys.modules)))\n"
        )
        import sys

        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True, text=True, env=environment(), check=False, timeout=60,
        )  # fmt: skip
        assert "heavy: []" in done.stdout


def test_the_state_of_a_stack_for_people_and_machines(tmp_path: Path) -> None:
    home = ("--state-dir", str(tmp_path))
    done = run("stack", "status", *home)
    assert done.returncode == 1
    assert done.stdout.startswith("stack default is down\n")
    assert "iot-producer stack up" in done.stdout
    found = json.loads(run("stack", "status", "--json", *home).stdout)
    assert (found["name"], found["state"], found["pid"]) == ("default", "down", None)
    done = run("stack", "env", *home)
    check(done, 3, "stack 'default' is down", "start it: iot-producer stack up")


def test_ctrl_c_in_a_preview(tmp_path: Path) -> None:
    with running(tmp_path, "preview", "-n", "1000000") as program:
        assert program.process.stdout is not None
        assert program.process.stdout.readline().startswith("{")
        program.ctrl_c()
        assert program.end() == 130
        assert program.stderr() == "interrupted\n"

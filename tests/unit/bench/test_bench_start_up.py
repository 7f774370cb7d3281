"""The help and a usage error are real commands; what goes wrong is told instead of timed."""

from __future__ import annotations

import os

import pytest

from iot_producer.bench import start_up
from iot_producer.bench.start_up import StartUpError, _seconds_of, _Timed, measure_start_up


@pytest.mark.parametrize(
    "command",
    [
        _Timed("help", ("--help",), 0.5),
        _Timed("help", ("--help",), 0.5, until_first_line=True),
        _Timed("usage", ("run", "--rate", "0"), 0.5, exit_code=2),
    ],
)
def test_a_command_is_timed_to_its_end_or_to_its_first_line(command: _Timed):
    seconds, cpu_seconds = _seconds_of(command, os.environ)
    assert seconds > 0
    assert cpu_seconds > 0


def test_another_exit_code_than_expected_is_no_measurement():
    with pytest.raises(StartUpError, match="exit code 2: "):
        _seconds_of(_Timed("usage", ("run", "--rate", "0"), 0.5), os.environ)


def test_tries_bars_and_variables(monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[str, dict[str, str]]] = []

    def seconds_of(command: _Timed, environ: dict[str, str]) -> tuple[float, float]:
        seen.append((command.name, environ))
        if command.name == "a usage error":
            raise StartUpError("exit code 1: broken")
        return float(len(seen)), 10.0 - len(seen)

    monkeypatch.setattr(start_up, "_seconds_of", seconds_of)
    said: list[str] = []
    environ = {
        "PATH": "/bin",
        "HOME": "/home/x",
        "NUMBA_CACHE_DIR": "/c",
        "XDG_CACHE_HOME": "/y",
        "DEVICES": "3",
        "MESSAGES_PER_SECOND": "1",
    }
    results = measure_start_up(environ, said.append, 2)
    assert [(r.name, len(r.seconds), r.bar_s, r.error) for r in results] == [
        ("--help", 2, 0.5, ""),
        ("a usage error", 0, 0.5, "exit code 1: broken"),
        ("first record, cold (kernels are compiled)", 1, 15.0, ""),
        ("first record, warm", 2, 2.5, ""),
    ]
    assert (results[0].best_s, results[0].best_cpu_s) == (1.0, 8.0)
    for _, given in seen:
        # Neither the user's settings nor the user's kernels: a cache of its own, the same for all.
        cache = given["XDG_CACHE_HOME"]
        assert cache == seen[0][1]["XDG_CACHE_HOME"]
        assert cache != "/y"
        assert not os.path.exists(cache)
        assert given == {"PATH": "/bin", "HOME": "/home/x", "XDG_CACHE_HOME": cache}
    assert "    not measured: exit code 1: broken" in said

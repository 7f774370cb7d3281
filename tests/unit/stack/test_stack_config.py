"""Settings of a stack, its folders, and what it exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from iot_producer.errors import ConfigError, UnreachableError
from iot_producer.stack.stack_config import (
    StackConfig,
    StackStatus,
    default_cache_dir,
    default_state_dir,
)


def config(**settings: Any) -> StackConfig:
    return StackConfig(state_dir=Path("/state"), cache_dir=Path("/cache"), **settings)


def test_the_home_is_the_folder_of_the_name() -> None:
    assert config(name="two").home == Path("/state/two")


def test_a_relative_state_dir_becomes_absolute() -> None:
    home = StackConfig(state_dir=Path("some"), cache_dir=Path("c")).home
    assert home == Path.cwd() / "some" / "default"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "../x"}, "'../x'"),
        ({"name": ""}, "''"),
        ({"name": "a" * 64}, "a" * 64),
        ({"broker_port": 65_536}, "broker_port 65536"),
        ({"admin_port": -1}, "admin_port -1"),
        ({"broker_port": 7000, "admin_port": 7000}, "port 7000"),
        ({"heap_mb": 127}, "heap_mb 127"),
        ({"direct_mb": 10}, "direct_mb 10"),
        ({"retention_mb": 0}, "retention_mb 0"),
        ({"retention_minutes": 0}, "retention_minutes 0"),
        ({"ready_timeout_s": 0}, "ready_timeout_s 0"),
        ({"extra": {"a=b": "c"}}, "extra setting 'a=b'"),
        ({"extra": {"a": "b\nc=d"}}, "extra setting 'a'"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**settings)
    assert said in caught.value.message


def test_port_zero_may_be_given_twice() -> None:
    assert config(broker_port=0, admin_port=0).broker_port == 0


@pytest.mark.parametrize("path", ["/with space", "/with#hash", "/with%percent", "/with:colon"])
def test_a_path_that_the_server_cannot_use_is_refused(path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        StackConfig(state_dir=Path(path), cache_dir=Path("/cache"))
    assert path in caught.value.message
    assert "--state-dir" in caught.value.hint


def test_a_path_with_letters_of_any_script_is_taken() -> None:
    state_dir = Path("/home/zoë/.local/state")
    assert StackConfig(state_dir=state_dir, cache_dir=Path("/c")).home == state_dir / "default"


@pytest.mark.parametrize(
    ("environ", "cache", "state"),
    [
        ({"HOME": "/h"}, "/h/.cache/iot-producer", "/h/.local/state/iot-producer"),
        (
            {"HOME": "/h", "XDG_CACHE_HOME": "/c", "XDG_STATE_HOME": "/s"},
            "/c/iot-producer",
            "/s/iot-producer",
        ),
        (
            {"HOME": "/h", "XDG_CACHE_HOME": "rel", "XDG_STATE_HOME": ""},
            "/h/.cache/iot-producer",
            "/h/.local/state/iot-producer",
        ),
    ],
)
def test_default_folders(environ: dict[str, str], cache: str, state: str) -> None:
    assert default_cache_dir(environ) == Path(cache)
    assert default_state_dir(environ) == Path(state)


def test_without_any_home_there_is_no_default_folder() -> None:
    with pytest.raises(ConfigError, match="HOME"):
        default_cache_dir({})


def test_the_environment_of_a_stack_that_is_up() -> None:
    status = StackStatus("default", "up", "pulsar://127.0.0.1:1", "http://127.0.0.1:2")
    assert status.env() == {
        "PULSAR_URL": "pulsar://127.0.0.1:1",
        "PULSAR_ADMIN_URL": "http://127.0.0.1:2",
    }


@pytest.mark.parametrize("state", ["down", "starting"])
def test_a_stack_that_is_not_up_has_no_environment(state: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        StackStatus("x", state).env()
    assert f"'x' is {state}" in caught.value.message
    assert "stack up" in caught.value.hint

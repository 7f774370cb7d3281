"""The command line that is made from the table."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from iot_producer.flags import SettingsCommand
from iot_producer.options import COMMANDS, Group, options_of


def invoke(command: str, *arguments: str) -> tuple[int, str, dict[str, object]]:
    """Exit code, output and the flags that were given."""
    given: dict[str, object] = {}

    @click.command(cls=SettingsCommand, settings_of=command)
    def made(**flags: object) -> None:
        """Do it."""
        given.update({name: value for name, value in flags.items() if value is not None})

    result = CliRunner().invoke(made, arguments, terminal_width=200)
    return result.exit_code, result.output, given


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_shows_every_option_with_variable_and_default(command: str) -> None:
    code, output, _ = invoke(command, "--help")
    assert code == 0
    words = " ".join(output.split())
    for option in options_of(command):
        assert option.flag in words
        assert f"[{option.variable}; default: {option.default_text(command)}]" in words
    groups = [group.value for group in Group if f"\n{group.value}:\n" in output]
    assert groups == [
        group.value for group in Group if any(o.group is group for o in options_of(command))
    ]


def test_what_is_given_passes_as_text_and_the_rest_as_none() -> None:
    assert invoke("run") == (0, "", {})
    code, output, given = invoke(
        "run", "--rate", "max", "--workload", "bursts", "--rotate-bytes", "1MB", "--devices=x"
    )
    assert (code, output) == (0, "")
    assert given == {"rate": "max", "config": "bursts", "rotate_bytes": "1MB", "devices": "x"}


def test_switches_are_on_off_or_not_given() -> None:
    _, _, given = invoke("run", "--force", "--no-live", "--quiet")
    assert given == {"force": True, "live": False, "quiet": True}


def test_an_unknown_flag_names_the_nearest_one() -> None:
    code, output, _ = invoke("run", "--devces", "5")
    assert code == 2
    assert "--devces" in output
    assert "--devices" in output
    code, output, _ = invoke("preview", "-n", "3", "--report", "x")
    assert code == 2
    assert "No such option" in output

"""The generated page of settings."""

from __future__ import annotations

import tomllib

import pytest

from iot_producer.errors import ConfigError
from iot_producer.options import OPTIONS
from iot_producer.reference import SCHEDULE_EXAMPLES, markdown_reference
from iot_producer.schedule import schedule_from_toml


def test_the_page_has_a_row_for_every_option() -> None:
    lines = markdown_reference().splitlines()
    for option in OPTIONS:
        rows = [line for line in lines if f"| `{option.variable}` |" in line]
        assert len(rows) == 1, option.name
        # A | inside a cell would shift the columns.
        assert rows[0].replace("\\|", "").count("|") == 7
        assert all(f"`{flag}`" in rows[0] for flag in option.flags)
    rate = next(line for line in lines if "`MESSAGES_PER_SECOND` |" in line)
    assert rate.startswith(
        "| `--rate` RATE\\|max | `MESSAGES_PER_SECOND` | `run.rate` | `1000`; demo: `5000` |"
    )


@pytest.mark.parametrize(("name", "example", "sentence"), SCHEDULE_EXAMPLES)
def test_the_examples_of_schedules_work(name: str, example: str, sentence: str) -> None:
    schedule = schedule_from_toml(tomllib.loads(example))
    assert schedule.to_spec()["kind"] == name
    assert sentence.endswith(".")
    assert f"```toml\n[schedule]\n{example}\n```" in markdown_reference()


def test_there_is_an_example_of_every_kind_of_schedule() -> None:
    with pytest.raises(ConfigError) as caught:
        schedule_from_toml({"kind": "?"})
    known = caught.value.hint.removeprefix("known: ").split(", ")
    assert sorted(known) == sorted(name for name, _, _ in SCHEDULE_EXAMPLES)

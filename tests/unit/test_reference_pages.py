"""docs/reference/ says what the code says; `make docs` writes it again."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from iot_producer.cli import cli
from iot_producer.reference_pages import pages
from iot_producer.schema import FIELDS

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_page_is_what_the_code_says(name: str) -> None:
    assert (REFERENCE / name).read_text(encoding="utf-8") == pages()[name], "run: make docs"


def test_no_page_is_left_over() -> None:
    assert {path.name for path in REFERENCE.glob("*.md")} == set(pages())


def test_the_readme_has_the_table_of_fields() -> None:
    readme = (REFERENCE.parents[1] / "README.md").read_text(encoding="utf-8")
    for field in FIELDS:
        assert f"`{field.name}`" in readme


def test_each_command_has_help_and_an_example() -> None:
    for name, command in cli.commands.items():
        text = command.get_help(click.Context(command, info_name=name))
        assert "iot-producer " in text, name

"""THE table of options: every setting of every command, with its flag, variable and TOML key.

Promise: no other module lists settings. The command line, the environment variables, the keys of
the TOML file, the error messages and the reference in docs/ all derive from `OPTIONS`. This module
must not know values: parsing is in settings.py, checks across settings in config.py. It imports
nothing heavy, so ``--help`` is quick.

A setting that changes the data belongs to the fleet spec; it is marked ``changes_data``, and such
settings are all of `Group.FLEET`. All others change only the run.

Variables that the old producer had, or that name a thing others know too, have plain names; all the
rest begin with ``IOT_PRODUCER_``. Kubernetes itself sets ``IOT_PRODUCER_PORT…`` and
``IOT_PRODUCER_SERVICE_…`` when a Service is called iot-producer, so no option has such a name, and
unknown variables are not an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from iot_producer.option import COMMANDS, Group, Kind, Option
from iot_producer.run_options import RUN_OPTIONS
from iot_producer.tool_options import TOOL_OPTIONS

__all__ = [
    "BY_KEY",
    "BY_NAME",
    "COMMANDS",
    "DESCRIPTION_KEY",
    "OPTIONS",
    "SCHEDULE_TABLE",
    "Group",
    "Kind",
    "Option",
    "options_of",
]

OPTIONS: Final[tuple[Option, ...]] = (*RUN_OPTIONS, *TOOL_OPTIONS)
BY_NAME: Final = {option.name: option for option in OPTIONS}
BY_KEY: Final = {option.key: option for option in OPTIONS if option.key}

SCHEDULE_TABLE: Final = "schedule"
"""The TOML table that `schedule.schedule_from_toml` reads; its keys are listed there."""

DESCRIPTION_KEY: Final = "description"
"""A top-level TOML key for people; the program shows it and makes nothing of it."""


def options_of(command: str) -> Iterator[Option]:
    """The options of a command, in the order of the help."""
    order = list(Group)
    found = [option for option in OPTIONS if command in option.commands]
    yield from sorted(found, key=lambda option: order.index(option.group))

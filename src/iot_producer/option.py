"""What an option is: its kind, its chapter of the help, its flag, variable and TOML key.

Promise: an `Option` says all there is to say about a setting apart from its value. This module must
not know which options there are (options.py), nor how values are read (settings.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

COMMANDS: Final = (
    "run",
    "preview",
    "verify",
    "doctor",
    "demo",
    "bench",
    "schema",
    "stack up",
    "stack down",
    "stack status",
    "stack env",
)


class Kind(Enum):
    """How a setting is written; the value is its metavar in the help."""

    TEXT = "TEXT"
    DESTINATION = "URL"
    ADMIN_URL = "http[s]://HOST:PORT"
    LISTEN = "[HOST:]PORT|off"
    TOPIC = "TOPIC"
    NUMBER = "N"
    RATE = "RATE|max"
    DURATION = "DURATION"
    DURATION_OR_NEVER = "DURATION|never"
    SIZE = "SIZE"
    START = "TIME|now"
    SHARD = "i/n"
    PATH = "PATH"
    SECRET = "…"  # noqa: S105 - a kind of setting
    CHOICE = "CHOICE"
    SWITCH = ""


class Group(StrEnum):
    """The chapters of the help and of the reference."""

    DESTINATION = "Destination"
    SECURITY = "Security"
    FLEET = "Fleet (changes the data)"
    LOAD = "Load"
    PIPELINE = "Pipeline"
    PATIENCE = "Patience"
    OUTPUT = "Output"
    STACK = "Local stack"


@dataclass(frozen=True, slots=True)
class Option:
    """One setting.

    Attributes:
        name: what the code calls it.
        flags: its flags, the one to teach first; none for a secret, which would stand in the list
            of processes for all to read.
        variable: its environment variable.
        key: its key in the TOML file, ``section.key``; empty for the setting that names the file,
            and for a secret.
        kind: how it is written.
        group: its chapter.
        help: one sentence.
        commands: the commands that have it.
        default: what it is when nobody says, as it would be written; None when there is none.
        default_note: the default in words, where `default` is None or needs words.
        defaults: (command, default) where a command's differs.
        choices: of `Kind.CHOICE`.
        repeats: the commands in which the flag may be given several times; its values are the lines
            of one text.
        least, most: bounds of `Kind.NUMBER`, both included.
    """

    name: str
    flags: tuple[str, ...]
    variable: str
    key: str
    kind: Kind
    group: Group
    help: str
    commands: tuple[str, ...] = ("run",)
    default: str | None = None
    default_note: str = ""
    defaults: tuple[tuple[str, str], ...] = ()
    choices: tuple[str, ...] = ()
    repeats: tuple[str, ...] = ()
    least: int = 0
    most: int = 2**63 - 1

    @property
    def changes_data(self) -> bool:
        """Whether it belongs to the fleet spec."""
        return self.group is Group.FLEET

    @property
    def metavar(self) -> str:
        """What stands for its value in the help."""
        return "|".join(self.choices) if self.choices else self.kind.value

    @property
    def flag(self) -> str:
        """The flag to teach; the variable where there is none."""
        return self.flags[0] if self.flags else self.variable

    @property
    def off_flag(self) -> str:
        """``--no-…`` of a switch, by which a flag overrides a variable; empty for others."""
        return f"--no-{self.flag.removeprefix('--')}" if self.kind is Kind.SWITCH else ""

    def default_in(self, command: str) -> str | None:
        """The default in a command."""
        return dict(self.defaults).get(command, self.default)

    def default_text(self, command: str) -> str:
        """The default in a command, for people."""
        own = dict(self.defaults).get(command)
        return own or self.default_note or self.default or ""

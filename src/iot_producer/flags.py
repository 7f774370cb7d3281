"""The command line's options, made from the table in options.py.

Promise: a command shows exactly the options that the table gives it, by chapter, each with its
variable and its default; a setting that has no flag is shown as its variable. Values pass through
as text: settings.py reads them, so that a flag, a variable and a TOML key make the same mistakes in
the same words. This module must not know values.
"""

from __future__ import annotations

from typing import Any

import click

from iot_producer.options import Group, Kind, Option, options_of


class SettingFlag(click.Option):
    """A flag of an `Option`; its value is text (a switch's is bool), or None when not given."""

    def __init__(self, option: Option, command: str) -> None:
        self.setting = option
        text = _help(option, command)
        names = [*option.flags, option.name]
        if option.kind is Kind.SWITCH:
            names = [f"{option.flag}/{option.off_flag}", option.name]
            super().__init__(names, is_flag=True, default=None, help=text)
        elif command in option.repeats:
            super().__init__(
                names,
                type=str,
                multiple=True,
                callback=_as_lines,
                metavar=option.metavar,
                help=text,
            )
        else:
            super().__init__(names, type=str, default=None, metavar=option.metavar, help=text)


def _help(option: Option, command: str) -> str:
    return f"{option.help}  [{option.variable}; default: {option.default_text(command)}]"


class SettingsCommand(click.Command):
    """A command whose options come from the table.

    Args:
        settings_of: the command's name in the table: ``run``, ``stack up``.
    """

    def __init__(self, *args: Any, settings_of: str, **kwargs: Any) -> None:
        self._settings_of = settings_of
        flags: list[click.Parameter] = [
            SettingFlag(option, settings_of) for option in options_of(settings_of) if option.flags
        ]
        kwargs["params"] = [*(kwargs.get("params") or []), *flags]
        super().__init__(*args, **kwargs)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, a chapter for each group."""
        chapters: dict[str, list[tuple[str, str]]] = {group.value: [] for group in Group}
        others = "Options"
        chapters[others] = []
        for param in self.get_params(ctx):
            row = param.get_help_record(ctx)
            if row is not None:
                group = param.setting.group if isinstance(param, SettingFlag) else others
                chapters[group].append(row)
        for option in options_of(self._settings_of):
            if not option.flags:
                row = f"{option.variable}={option.metavar}", _help(option, self._settings_of)
                chapters[option.group.value].append(row)
        for title, rows in chapters.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _as_lines(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> str | None:
    """The values of a flag that was given several times, as one text; None without any."""
    return "\n".join(values) if values else None

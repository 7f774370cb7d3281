"""The reference of all settings as Markdown, for docs/reference/.

Promise: nothing in it is written by hand that the table in options.py knows; a test fails when the
copy in docs/ drifts. It must not know how settings are read.
"""

from __future__ import annotations

from typing import Final

from iot_producer.options import (
    DESCRIPTION_KEY,
    OPTIONS,
    SCHEDULE_TABLE,
    Group,
    Option,
)

SCHEDULE_EXAMPLES: Final = (
    ("constant", 'kind = "constant"\nrate = 1000', "The same rate all the time."),
    (
        "ramp",
        'kind = "ramp"\nfrom = 1000\nto = "50k"\nover = "10m"',
        "From one rate to another on a straight line; the last rate goes on.",
    ),
    (
        "steps",
        (
            'kind = "steps"\n'
            'steps = [{ rate = 1000, for = "1m" }, { rate = 5000, for = "1m" }]\n'
            "repeat = false"
        ),
        "One rate after another; `repeat` begins again after the last one.",
    ),
    (
        "wave",
        'kind = "wave"\nlow = 500\nhigh = 2000\nperiod = "24h"\npeak_at = "15h"',
        "Up and down for ever; `peak_at` counts from the start of the run.",
    ),
    (
        "bursts",
        'kind = "bursts"\nbase = 1000\nburst = 10000\nevery = "1m"\nfor = "5s"',
        "A base rate; each period ends with a burst.",
    ),
    ("max", 'kind = "max"', "As fast as the destination takes it; not a plan of times."),
)
"""Each kind of ``[schedule]``: name, an example that can be used as it is, and a sentence."""

_HEAD: Final = """\
# Settings

Generated from `src/iot_producer/options.py` by `markdown_reference()`; do not edit.

Every setting has a flag, an environment variable and a key in the TOML file of `--config`. The
first of these that says something wins: flag, variable, TOML file, default. A variable that is set
to nothing counts as not set. A token has a variable and a file, but no flag and no key: the list of
processes and files under version control are for all to read. A switch is on with its flag, off
with `--no-…`, and yes or no elsewhere. Unknown flags and TOML keys are errors; unknown variables
are not.

A rate is written `1000`, `0.5`, `1/3`, `50k` or `1M` (records a second), a duration `250ms`, `20s`,
`5m`, `1h30m` or `1d` (a plain number is seconds), a size `256MB` or `1GiB`.

Only the settings of the fleet change the data; all others change the run alone.
"""

_TAIL: Final = """\
## Other variables

| variable | what becomes of it |
|---|---|
| `JAVA_OPTS` | of the old producer: ignored, with one warning |
| `XDG_CACHE_HOME`, `XDG_STATE_HOME` | where the directories of the local stack are by default |
"""


def markdown_reference() -> str:
    """The page, ending in a newline."""
    parts = [_HEAD]
    for group in Group:
        rows = [_row(option) for option in OPTIONS if option.group is group]
        parts.append(
            f"## {group.value}\n\n"
            "| flag | variable | TOML key | default | meaning | commands |\n"
            "|---|---|---|---|---|---|\n" + "\n".join(rows) + "\n"
        )
    parts += [_schedules(), _TAIL]
    return "\n".join(parts)


def _row(option: Option) -> str:
    if not option.flags:
        return _cells(option, "–")
    flags = ", ".join(f"`{flag}`" for flag in option.flags)
    metavar = option.metavar.replace("|", "\\|")
    if option.off_flag:
        flags += f", `{option.off_flag}`"
    elif metavar:
        flags += f" {metavar}"
    return _cells(option, flags)


def _cells(option: Option, flags: str) -> str:
    return " | ".join(
        (
            f"| {flags}",
            f"`{option.variable}`",
            f"`{option.key}`" if option.key else "–",
            _default(option),
            option.help,
            f"{', '.join(option.commands)} |",
        )
    )


def _default(option: Option) -> str:
    text = option.default_note or f"`{option.default}`"
    others = [f"{command}: `{default}`" for command, default in option.defaults]
    return "; ".join((text, *others))


def _schedules() -> str:
    text = (
        f"## The table `[{SCHEDULE_TABLE}]` of the TOML file\n\n"
        "Rates are those of one pod; with `SHARD=i/n` the plan's are n times as high. The key "
        f"`{DESCRIPTION_KEY}` at the top of a file is for people.\n"
    )
    for name, example, sentence in SCHEDULE_EXAMPLES:
        text += f"\n`{name}`: {sentence}\n\n```toml\n[{SCHEDULE_TABLE}]\n{example}\n```\n"
    return text

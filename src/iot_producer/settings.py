"""What was set, and where: each option's value from flag, variable, TOML file or default.

Promise: the first of flag, environment variable, TOML file and default that says something wins,
and every value that comes out is read by its kind and inside its bounds; what cannot be read raises
`ConfigError` that names the place where it was written. Pure: flags, environment and TOML are
passed in. This module must not know how settings depend on each other (config.py).

A variable that is set to nothing counts as not set, as in most of Kubernetes' templates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from typing import Any, Final, TypeVar

from iot_producer.destination import parse_admin_url, parse_listen_address, parse_topic
from iot_producer.errors import ConfigError
from iot_producer.options import (
    BY_KEY,
    BY_NAME,
    DESCRIPTION_KEY,
    SCHEDULE_TABLE,
    Kind,
    Option,
    options_of,
)
from iot_producer.quantities import parse_duration, parse_rate
from iot_producer.spelling import did_you_mean, nearest

_T = TypeVar("_T")

TOML_FILE: Final = "the TOML file"

_SIZE_UNITS: Final = {
    "": 1,
    "B": 1,
    **{f"{letter}B": 1000**i for i, letter in enumerate("kMGT", 1)},
    "KB": 1000,
    **{f"{letter}iB": 1024**i for i, letter in enumerate("KMGT", 1)},
}
_YES: Final = ("1", "true", "yes", "on")
_NO: Final = ("0", "false", "no", "off")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_YEAR: Final = 2000
_LAST_YEAR: Final = 2199
_MAX_SHARDS: Final = 100_000


class Level(IntEnum):
    """Where a setting came from; a higher level wins."""

    DEFAULT = 0
    TOML = 1
    VARIABLE = 2
    FLAG = 3


@dataclass(frozen=True, slots=True)
class Setting:
    """One option with its value.

    Attributes:
        option: which.
        level: what kind of place it came from.
        origin: that place by name: ``--rate``, ``MESSAGES_PER_SECOND``, ``run.rate in x.toml``,
            ``default``.
        written: the value as it was written; None where there is none. It may hold a secret.
        value: the value as its kind says (`settle`); None where there is none.
    """

    option: Option
    level: Level
    origin: str
    written: Any = field(repr=False)
    value: Any = field(repr=False)


def settle(
    command: str,
    flags: Mapping[str, str | bool | None],
    environ: Mapping[str, str],
    toml: Mapping[str, Any] | None = None,
    toml_name: str = TOML_FILE,
) -> dict[str, Setting]:
    """The settings of a command by name.

    Values are by kind: numbers and sizes (bytes) ``int``; rates `Fraction` a second or the text
    ``max``; durations ``int`` ns; ``never``, ``now`` and ``off`` None; start ``int`` ns since the
    epoch; shard a pair of ints; where to listen a host and a port; switches ``bool``; all others
    ``str``, topics in full.

    Args:
        command: one of `options.COMMANDS`.
        flags: by option name, what was given; None or a missing name means not given.
        environ: the environment variables.
        toml: the document of the TOML file.
        toml_name: what error messages call that file.

    Raises:
        ConfigError: a value cannot be read, or the TOML file has an unknown key.
    """
    from_toml = _flat(toml, toml_name) if toml else {}
    settings = {}
    for option in options_of(command):
        level, origin, written = _first(option, command, flags, environ, from_toml, toml_name)
        value = None if written is None else _READERS[option.kind](option, written, origin)
        settings[option.name] = Setting(option, level, origin, written, value)
    return settings


def settle_config(flags: Mapping[str, str | bool | None], environ: Mapping[str, str]) -> str | None:
    """The TOML file or workload that ``--config`` or its variable names: it must be read first.

    Raises:
        ConfigError: it is empty.
    """
    option = BY_NAME["config"]
    _, origin, written = _first(option, "run", flags, environ, {}, TOML_FILE)
    return None if written is None else _read_text(option, written, origin)


def _first(
    option: Option,
    command: str,
    flags: Mapping[str, str | bool | None],
    environ: Mapping[str, str],
    from_toml: Mapping[str, Any],
    toml_name: str,
) -> tuple[Level, str, Any]:
    flag = flags.get(option.name)
    if flag is not None:
        return Level.FLAG, option.off_flag if flag is False else option.flag, flag
    variable = environ.get(option.variable, "").strip()
    if variable:
        return Level.VARIABLE, option.variable, variable
    if option.key in from_toml:
        return Level.TOML, f"{option.key} in {toml_name}", from_toml[option.key]
    return Level.DEFAULT, "default", option.default_in(command)


def _flat(document: Mapping[str, Any], toml_name: str) -> dict[str, Any]:
    """The keys of a TOML document as ``section.key``, all of them known."""
    found: dict[str, Any] = {}
    sections = {key.partition(".")[0] for key in BY_KEY}
    for name, value in document.items():
        if name == SCHEDULE_TABLE:
            if not isinstance(value, Mapping):
                raise ConfigError(
                    f"{toml_name}: {SCHEDULE_TABLE} is not a table",
                    f"write [{SCHEDULE_TABLE}] and its keys below it",
                )
        elif name == DESCRIPTION_KEY:
            if not isinstance(value, str):
                raise ConfigError(f"{toml_name}: {DESCRIPTION_KEY} is not a text", "quote it")
        elif name not in sections:
            short = {key.partition(".")[2]: key for key in BY_KEY}
            known = {*sections, SCHEDULE_TABLE, DESCRIPTION_KEY}
            inside = short.get(name) or short.get(nearest(name, short) or "")
            hint = did_you_mean(name, known)
            if inside is not None and nearest(name, known) is None:
                table, _, key = inside.partition(".")
                hint = f"did you mean {inside}: the key {key} in the table [{table}]?"
            raise ConfigError(f"{toml_name}: unknown key {name!r}", hint)
        elif not isinstance(value, Mapping):
            raise ConfigError(
                f"{toml_name}: {name} is not a table", f"write [{name}] and its keys below it"
            )
        else:
            for key, inner in value.items():
                found[_known_key(f"{name}.{key}", toml_name)] = inner
    return found


def _known_key(key: str, toml_name: str) -> str:
    if key in BY_KEY:
        return key
    section, _, name = key.partition(".")
    for other in BY_KEY:
        if other.partition(".")[2] == name:
            raise ConfigError(f"{toml_name}: unknown key {key!r}", f"did you mean {other}?")
    near = nearest(name, (o.partition(".")[2] for o in BY_KEY if o.startswith(f"{section}.")))
    siblings = sorted(other for other in BY_KEY if other.startswith(f"{section}."))
    hint = f"did you mean {section}.{near}?" if near else f"known: {', '.join(siblings)}"
    raise ConfigError(f"{toml_name}: unknown key {key!r}", hint)


def _read_text(option: Option, written: Any, origin: str) -> str:
    if not isinstance(written, str):
        raise ConfigError(f"{origin} is not a text: {written!r}", "put it in quotes")
    if not written.strip() or "\0" in written:
        raise ConfigError(f"{origin} is empty", f"give a value: {option.help}")
    return written


def _read_number(option: Option, written: Any, origin: str) -> int:
    text = str(written).strip()
    hint = f"write a whole number from {option.least} to {option.most}"
    if isinstance(written, bool) or not re.fullmatch(r"[+-]?[0-9]{1,30}(_[0-9]{1,9})*", text):
        raise ConfigError(f"{origin} is not a whole number: {_shown(written)}", hint)
    number = int(text)
    if number < option.least:
        problem = "is negative" if number < 0 else "is too small"
        raise ConfigError(f"{origin} {problem}: {number}", hint)
    if number > option.most:
        raise ConfigError(f"{origin} is too large: {number}", hint)
    return number


def _read_rate(option: Option, written: Any, origin: str) -> Any:
    if isinstance(written, str) and written.strip().lower() == "max":
        return "max"
    return parse_rate(written, origin)


def _read_duration(option: Option, written: Any, origin: str) -> int:
    return parse_duration(written, origin)


def _read_duration_or_never(option: Option, written: Any, origin: str) -> int | None:
    if isinstance(written, str) and written.strip().lower() == "never":
        return None
    try:
        return parse_duration(written, origin)
    except ConfigError as error:
        raise ConfigError(error.message, f"{error.hint} Or write never.") from None


def _read_size(option: Option, written: Any, origin: str) -> int:
    found = re.fullmatch(r"([0-9]{1,15})(?:\.([0-9]{1,9}))?\s*([A-Za-z]*)", str(written).strip())
    if isinstance(written, bool) or not found or found[3] not in _SIZE_UNITS:
        raise ConfigError(
            f"{origin} is not a size: {_shown(written)}",
            "write bytes, or a number with kB, MB, GB, KiB, MiB or GiB: 256MB",
        )
    decimals = found[2] or ""
    n_bytes: int = int(found[1] + decimals) * _SIZE_UNITS[found[3]] // 10 ** len(decimals)
    least = max(option.least, 1)
    if not least <= n_bytes <= option.most:
        problem = "small" if n_bytes < least else "large"
        raise ConfigError(
            f"{origin} is too {problem}: {_shown(written)}",
            f"give at least {least} bytes, and less than 8 EiB",
        )
    return n_bytes


def _read_start(option: Option, written: Any, origin: str) -> int | None:
    if isinstance(written, str):
        if written.strip().lower() == "now":
            return None
        try:
            moment: Any = datetime.fromisoformat(written.strip())
        except ValueError:
            moment = None
    else:
        moment = written
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    if not isinstance(moment, datetime):
        raise ConfigError(
            f"{origin} is not a time: {_shown(written)}",
            "write now, or ISO 8601 such as 2026-11-22T08:00:00Z (UTC unless it says otherwise)",
        )
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ConfigError(
            f"{origin} is out of range: {_shown(written)}",
            f"give a time from {_FIRST_YEAR} to {_LAST_YEAR}",
        )
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1) * 1000


def _read_shard(option: Option, written: Any, origin: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", str(written).strip())
    if not found:
        raise ConfigError(
            f"{origin} is not a shard: {_shown(written)}",
            "write i/n, the i-th of n shards counted from 0: 0/3, 1/3 and 2/3",
        )
    index, n = int(found[1]), int(found[2])
    if not 1 <= n <= _MAX_SHARDS:
        raise ConfigError(f"{origin} has {n} shards: {_shown(written)}", "n is 1 … 100000")
    if index >= n:
        raise ConfigError(
            f"{origin} does not exist: {_shown(written)}",
            f"shards count from 0, so the last one of {n} is {n - 1}/{n}",
        )
    return index, n


def _read_choice(option: Option, written: Any, origin: str) -> str:
    text = _read_text(option, written, origin).strip().lower()
    if text not in option.choices:
        raise ConfigError(
            f"{origin} does not know {_shown(written)}", did_you_mean(text, option.choices)
        )
    return text


def _read_switch(option: Option, written: Any, origin: str) -> bool:
    if isinstance(written, bool):
        return written
    text = str(written).strip().lower()
    if text not in (*_YES, *_NO):
        raise ConfigError(
            f"{origin} is neither yes nor no: {_shown(written)}",
            f"yes is one of {', '.join(_YES)}; no is one of {', '.join(_NO)}",
        )
    return text in _YES


def _read_topic(option: Option, written: Any, origin: str) -> str:
    return at(origin, parse_topic, _read_text(option, written, origin))


def _read_admin_url(option: Option, written: Any, origin: str) -> str:
    return at(origin, parse_admin_url, _read_text(option, written, origin))


def _read_listen(option: Option, written: Any, origin: str) -> tuple[str, int] | None:
    text = str(written) if type(written) is int else _read_text(option, written, origin)
    return at(origin, parse_listen_address, text)


def at(origin: str, parse: Callable[..., _T], *values: Any) -> _T:
    """Call ``parse``, and name the place where its values were written if it cannot read them."""
    try:
        return parse(*values)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error.message}", error.hint) from None


def _shown(written: Any) -> str:
    text = repr(written) if isinstance(written, str) else str(written)
    return text if len(text) <= 60 else f"{text[:60]}…"


_READERS: Final[dict[Kind, Callable[[Option, Any, str], Any]]] = {
    Kind.TEXT: _read_text,
    Kind.DESTINATION: _read_text,
    Kind.PATH: _read_text,
    Kind.SECRET: _read_text,
    Kind.ADMIN_URL: _read_admin_url,
    Kind.LISTEN: _read_listen,
    Kind.TOPIC: _read_topic,
    Kind.NUMBER: _read_number,
    Kind.RATE: _read_rate,
    Kind.DURATION: _read_duration,
    Kind.DURATION_OR_NEVER: _read_duration_or_never,
    Kind.SIZE: _read_size,
    Kind.START: _read_start,
    Kind.SHARD: _read_shard,
    Kind.CHOICE: _read_choice,
    Kind.SWITCH: _read_switch,
}

"""A `RunConfig` from flags, environment and TOML: read, resolved and checked, once.

Promise: what this module lets pass is consistent, so no other module checks a setting again; and it
is the one place that reads the environment (`read_environment`) and the TOML file (`load_run`).
`resolve_run` itself is pure. It must not know how anything is carried out: no connections, no
clock; of the file system only whether an output could be written (`check_outputs`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iot_producer.broker_settings import (
    admin_url_of,
    destination_of,
    given,
    security_of,
    shown,
)
from iot_producer.destination import Destination, Scheme
from iot_producer.errors import ConfigError, OutputExistsError
from iot_producer.options import SCHEDULE_TABLE
from iot_producer.pulsar.security import NO_SECURITY, check_security
from iot_producer.run_config import RunConfig, Source
from iot_producer.settings import TOML_FILE, Level, Setting, at, settle, settle_config
from iot_producer.workloads import read_toml, workload_names

# fleet.py and schedule.py load numpy, which takes 0.25 s: most usage errors are found before it is
# needed, so they are imported where they are used.
if TYPE_CHECKING:
    from iot_producer.fleet import FleetSpec
    from iot_producer.schedule import MaxRate, Schedule

__all__ = [
    "RunConfig",
    "Source",
    "check_outputs",
    "load_run",
    "read_environment",
    "read_toml",
    "resolve_run",
    "workload_names",
]

MAX_RECORDS_PER_DEVICE_AND_S: Final = 1000
"""Event times have milliseconds: above it, two records of one device would share theirs."""

GIVE_UP_ON_TERMINAL_NS: Final = 30 * 10**9


def resolve_run(
    flags: Mapping[str, str | bool | None],
    environ: Mapping[str, str],
    toml: Mapping[str, Any] | None = None,
    is_terminal: bool = False,
    *,
    command: str = "run",
    toml_name: str = TOML_FILE,
) -> RunConfig:
    """The settings of a run from flags, environment variables and a TOML document.

    Args:
        flags: by option name (options.py), what was given; None or missing means not given.
        environ: the environment variables.
        toml: the document of the TOML file, or None without one.
        is_terminal: whether a person looks on; decides log format, live view and patience.
        command: the command whose defaults hold (demo's rate is another).
        toml_name: what messages call the TOML file.

    Raises:
        ConfigError: a setting cannot be read, or settings contradict each other.
    """
    settings = settle("run", flags, environ, toml, toml_name)
    if command != "run":
        settings |= settle(command, flags, environ, toml, toml_name)
    warnings: list[str] = []
    if environ.get("JAVA_OPTS", "").strip():
        warnings.append("JAVA_OPTS is ignored: this producer runs without Java")

    def value(name: str) -> Any:
        return settings[name].value

    destination = destination_of(settings, warnings)
    security = NO_SECURITY
    if destination.scheme is Scheme.PULSAR and command == "run":  # demo has a broker of its own
        security = security_of(settings, environ, destination, warnings)
    fleet = _fleet(settings)
    shard, n_shards = value("shard") or (0, 1)
    for name in ("duration", "max_lag", "stats_interval"):
        if value(name) == 0:
            raise ConfigError(f"{given(settings[name])} is no time at all", "give more than 0")
    schedule = _schedule(settings, toml, toml_name, n_shards, fleet, warnings)
    if n_shards * value("workers") > fleet.devices:
        raise ConfigError(
            f"{n_shards} shards of {value('workers')} workers are more than the "
            f"{fleet.devices} devices: a worker would have none",
            "lower WORKERS or the n of SHARD=i/n, or raise DEVICES",
        )
    _check_workers(destination, value("workers"))
    if value("duration") is not None and value("warm_up") >= value("duration"):
        raise ConfigError(
            f"{given(settings['warm_up'])} is not shorter than {given(settings['duration'])}: "
            "nothing would be measured",
            "shorten the warm-up or run for longer",
        )
    patience = settings["give_up_after"]
    if patience.level is Level.DEFAULT:
        give_up_after_ns = GIVE_UP_ON_TERMINAL_NS if is_terminal else None
    else:
        give_up_after_ns = patience.value
    live = value("live")
    log_format = value("log_format")
    return RunConfig(
        destination=destination,
        fleet=fleet,
        schedule=schedule,
        shard=shard,
        n_shards=n_shards,
        shard_is_given=value("shard") is not None,
        workers=value("workers"),
        start_ns=value("start"),
        duration_ns=value("duration"),
        n_messages=value("messages"),
        warm_up_ns=value("warm_up"),
        on_overload=value("on_overload"),
        max_lag_ns=value("max_lag"),
        block_records=_block_records(settings),
        linger_ns=value("linger"),
        client=value("client"),
        compression=value("compression"),
        max_pending=value("max_pending"),
        rotate_bytes=_only_for("a file", destination.is_file, settings["rotate_bytes"], warnings),
        create_topic=_only_for(
            "Pulsar", destination.scheme is Scheme.PULSAR, settings["create_topic"], warnings
        ),
        admin_url=admin_url_of(destination, settings["admin_url"]),
        security=security,
        on_gap=value("on_gap"),
        max_gap_ns=value("max_gap"),
        give_up_after_ns=give_up_after_ns,
        drain_timeout_ns=value("drain_timeout"),
        report=Path(value("report")) if value("report") else None,
        dry_run=value("dry_run"),
        force=value("force"),
        log_format=("human" if is_terminal else "json") if log_format == "auto" else log_format,
        live=not value("quiet") and (is_terminal if live is None else live),
        quiet=value("quiet"),
        stats_interval_ns=value("stats_interval"),
        metrics=value("metrics"),
        sources=tuple(_source(setting, command) for setting in settings.values()),
        warnings=tuple(warnings),
    )


def load_run(
    flags: Mapping[str, str | bool | None], is_terminal: bool, *, command: str = "run"
) -> RunConfig:
    """`resolve_run` with this process's environment and the TOML file that is named in either.

    Raises:
        ConfigError: see `resolve_run`, `read_toml`, `check_outputs` and `check_security`.
        OutputExistsError: see `check_outputs`.
    """
    environ = read_environment()
    named = settle_config(flags, environ)
    toml, name = read_toml(named) if named else (None, TOML_FILE)
    config = resolve_run(flags, environ, toml, is_terminal, command=command, toml_name=name)
    check_outputs(config)
    check_security(config.security)
    return config


def read_environment() -> dict[str, str]:
    """The environment variables of this process."""
    return dict(os.environ)


def check_outputs(config: RunConfig) -> None:
    """Find out before the run whether its report and its files could be written.

    Whether an output file of the destination exists is for its sink to say: it knows their names.

    Raises:
        ConfigError: a directory is missing, is none, or cannot be written.
        OutputExistsError: the report exists, without ``--force``.
    """
    if config.destination.is_file:
        _check_directory(Path(config.destination.path).parent, f"--to {config.destination.path}")
    report = config.report
    if report is None:
        return
    _check_directory(report.parent, f"--report {report}")
    if report.is_dir():
        raise ConfigError(f"--report {report} is a directory", "give the name of a file")
    if report.is_file() and not config.force:
        raise OutputExistsError(
            f"the report {report} exists", "give another name, or --force to overwrite it"
        )


def _check_directory(directory: Path, origin: str) -> None:
    # Trying is the only answer that counts: permissions say little about root or a read-only disk.
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=directory):
            return
    except FileNotFoundError as error:
        if directory.exists():
            raise _unwritable(directory, origin, error) from error
        raise ConfigError(
            f"{origin}: there is no directory {directory}", f"make it first: mkdir -p {directory}"
        ) from error
    except OSError as error:
        raise _unwritable(directory, origin, error) from error


def _unwritable(directory: Path, origin: str, error: OSError) -> ConfigError:
    return ConfigError(
        f"{origin}: cannot write in {directory}: {error.strerror}",
        "choose a directory that can be written",
    )


def _fleet(settings: Mapping[str, Setting]) -> FleetSpec:
    from iot_producer.fleet import FleetSpec

    devices = settings["devices"]
    counts = {}
    usual = FleetSpec()
    for name, default in (("customers", usual.customers), ("sites", usual.sites)):
        setting = settings[name]
        if setting.value is None:
            counts[name] = min(default, devices.value)
            continue
        if setting.value > devices.value:
            raise ConfigError(
                f"{given(setting)} is more than {given(devices)}",
                f"each of the {name} has at least one device: lower {name} or raise devices",
            )
        counts[name] = setting.value
    return FleetSpec(devices=devices.value, seed=settings["seed"].value, **counts)


def _schedule(
    settings: Mapping[str, Setting],
    toml: Mapping[str, Any] | None,
    toml_name: str,
    n_shards: int,
    fleet: FleetSpec,
    warnings: list[str],
) -> Schedule | MaxRate:
    """The schedule of the whole plan, with its limits."""
    from iot_producer.schedule import (
        MaxRate,
        limit,
        scale,
        schedule_from_rate,
        schedule_from_toml,
    )

    rate = settings["rate"]
    origin = rate.origin
    if toml and SCHEDULE_TABLE in toml:
        if rate.level is Level.TOML:
            raise ConfigError(
                f"{toml_name} has both run.rate and a [{SCHEDULE_TABLE}]", "remove one of them"
            )
        if rate.level > Level.TOML:
            warnings.append(f"{given(rate)} replaces the [{SCHEDULE_TABLE}] of {toml_name}")
    if rate.level is Level.DEFAULT and toml and SCHEDULE_TABLE in toml:
        origin = f"[{SCHEDULE_TABLE}] in {toml_name}"
        pod = at(toml_name, schedule_from_toml, toml[SCHEDULE_TABLE])
    else:
        pod = schedule_from_rate(rate.value)
    plan: Schedule | MaxRate = at(origin, scale, pod, n_shards)
    if not isinstance(plan, MaxRate):
        per_device = plan.peak_per_s / fleet.devices
        if per_device > MAX_RECORDS_PER_DEVICE_AND_S:
            raise ConfigError(
                f"{origin} asks for {_decimal(plan.peak_per_s)} records a second of "
                f"{fleet.devices} devices, {_decimal(per_device)} of each: times have "
                "milliseconds, so records of one device would share theirs above "
                f"{MAX_RECORDS_PER_DEVICE_AND_S}",
                f"raise DEVICES to {-(-plan.peak_per_s // MAX_RECORDS_PER_DEVICE_AND_S)}, "
                "or lower the rate",
            )
    n_messages = settings["messages"].value
    return limit(
        plan,
        None if n_messages is None else n_messages * n_shards,
        settings["duration"].value,
    )


def _decimal(number: Fraction) -> str:
    return str(number) if number.denominator == 1 else f"{float(number):.1f}"


def _check_workers(destination: Destination, workers: int) -> None:
    if workers == 1:
        return
    if destination.scheme is Scheme.CHDB:
        raise ConfigError(
            f"WORKERS is {workers}, but only one process can open {destination}",
            "use one worker, or a ClickHouse server",
        )
    if destination.scheme is Scheme.STDOUT:
        raise ConfigError(
            f"WORKERS is {workers}, but their lines would mix on standard output",
            "use one worker, or a file",
        )


def _block_records(settings: Mapping[str, Setting]) -> int:
    block, pending = settings["block_records"], settings["max_pending"]
    n_block, n_pending = int(block.value), int(pending.value)
    if n_block > n_pending and block.level is not Level.DEFAULT:
        raise ConfigError(
            f"{given(pending)} is less than {given(block)}: no full block could be sent",
            "allow at least one block to be pending",
        )
    return min(n_block, n_pending)


def _only_for(what: str, is_such: bool, setting: Setting, warnings: list[str]) -> Any:
    """The setting's value where it means something; a warning where it was given in vain."""
    if is_such or setting.value is None:
        return setting.value
    warnings.append(f"{setting.origin} is ignored: the destination is not {what}")
    return None


def _source(setting: Setting, command: str) -> Source:
    option = setting.option
    if setting.value is None and setting.written is None:
        return Source(option.flag, option.default_text(command), setting.origin)
    return Source(option.flag, shown(setting), setting.origin)

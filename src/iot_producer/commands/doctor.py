"""``iot-producer doctor``: wiring of the examination."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from iot_producer.commands.outputs import say
from iot_producer.flags import SettingsCommand


@click.command(cls=SettingsCommand, settings_of="doctor")
def doctor(**flags: Any) -> None:
    """Find out whether a run could work and would be exact; each finding with its remedy.

    Takes the same settings as run. Nothing is sent, nothing is changed. Exit code 1 if something
    will do harm, 3 if there is nobody to talk to.

    \b
    iot-producer doctor
    iot-producer doctor --to pulsar+ssl://broker:6651 --tls-trust-store ca.pem
    iot-producer doctor --json
    """  # noqa: D301
    from iot_producer.broker_settings import admin_url_of, destination_of, security_of
    from iot_producer.commands.kernels import prepare_kernels
    from iot_producer.config import read_environment
    from iot_producer.destination import Scheme
    from iot_producer.errors import ConfigError
    from iot_producer.kernel_cache import entry_kernel
    from iot_producer.pulsar.security import check_security
    from iot_producer.settings import settle

    environ = read_environment()
    settings = settle("doctor", flags, environ)
    warnings: list[str] = []
    destination = destination_of(settings, warnings)
    if destination.scheme is not Scheme.PULSAR:
        raise ConfigError(
            f"doctor examines Pulsar, not {destination}",
            "give pulsar://host:6650; a run finds out about other destinations before it begins",
        )
    security = security_of(settings, environ, destination, warnings)
    check_security(security)
    for warning in warnings:
        say(f"warning: {warning}")
    if not settings["timeout"].value:
        raise ConfigError(f"{settings['timeout'].origin} is no time at all", "give more than 0")
    is_cold = prepare_kernels(entry_kernel("lz4"))
    from iot_producer.doctor.examination import DoctorConfig, examine
    from iot_producer.doctor.text import render

    report = examine(
        DoctorConfig(
            destination,
            security,
            admin_url_of(destination, settings["admin_url"]),
            settings["timeout"].value / 1e9,
            kernels_are_warm=not is_cold,
        )
    )
    if settings["json"].value:
        click.echo(json.dumps(report.to_dict(), indent=2))
    else:
        click.echo(render(report))
    sys.exit(report.exit_code)

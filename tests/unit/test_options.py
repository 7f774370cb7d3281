"""The table of options keeps its own promises."""

from __future__ import annotations

import re

import pytest

from iot_producer.options import BY_KEY, COMMANDS, OPTIONS, Group, Kind, Option, options_of
from iot_producer.settings import settle

# product.md, "The command line" and its table of variables.
NAMED_IN_THE_PRODUCT = {
    "--to": "IOT_PRODUCER_TO",
    "--rate": "MESSAGES_PER_SECOND",
    "--pulsar-url": "PULSAR_URL",
    "--topic": "PULSAR_TOPIC",
    "--seed": "SEED",
    "--devices": "DEVICES",
    "--customers": "CUSTOMERS",
    "--sites": "SITES",
    "--workers": "WORKERS",
    "--shard": "SHARD",
    "--config": "IOT_PRODUCER_CONFIG",
    "--duration": "IOT_PRODUCER_DURATION",
    "--messages": "IOT_PRODUCER_MESSAGES",
    "--report": "IOT_PRODUCER_REPORT",
    "--dry-run": "IOT_PRODUCER_DRY_RUN",
    "--block-records": "IOT_PRODUCER_BLOCK_RECORDS",
    "--linger": "IOT_PRODUCER_LINGER",
    "--compression": "IOT_PRODUCER_COMPRESSION",
    "--max-pending": "IOT_PRODUCER_MAX_PENDING",
    "--create-topic": "IOT_PRODUCER_CREATE_TOPIC",
    "--give-up-after": "IOT_PRODUCER_GIVE_UP_AFTER",
    "--drain-timeout": "IOT_PRODUCER_DRAIN_TIMEOUT",
    "--warm-up": "IOT_PRODUCER_WARM_UP",
    "--on-overload": "IOT_PRODUCER_ON_OVERLOAD",
    "--admin-url": "PULSAR_ADMIN_URL",
    "--client": "IOT_PRODUCER_CLIENT",
    "--on-gap": "IOT_PRODUCER_ON_GAP",
    "--max-gap": "IOT_PRODUCER_MAX_GAP",
    "--token-file": "PULSAR_TOKEN_FILE",
    "--tls-trust-store": "PULSAR_TLS_TRUST_STORE",
    "--tls-certificate": "PULSAR_TLS_CERTIFICATE",
    "--tls-key": "PULSAR_TLS_KEY",
    "--tls-verify-host": "PULSAR_TLS_VERIFY_HOST",
}


def test_run_has_everything_that_the_product_names() -> None:
    of_run = {option.flag: option.variable for option in options_of("run")}
    assert {flag: of_run.get(flag) for flag in NAMED_IN_THE_PRODUCT} == NAMED_IN_THE_PRODUCT


def test_only_the_fleet_changes_the_data() -> None:
    changing = {option.name for option in OPTIONS if option.changes_data}
    assert changing == {"devices", "customers", "sites", "seed"}


def test_names_are_given_once() -> None:
    for names in (
        [option.name for option in OPTIONS],
        [option.variable for option in OPTIONS],
        [option.key for option in OPTIONS if option.key],
    ):
        assert sorted(names) == sorted(set(names))
    for command in COMMANDS:
        flags = [
            flag
            for option in options_of(command)
            for flag in (*option.flags, option.off_flag)
            if flag
        ]
        assert sorted(flags) == sorted(set(flags)), command


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_is_complete(option: Option) -> None:
    assert all(re.fullmatch(r"--[a-z][a-z-]+|-[a-z]", flag) for flag in option.flags)
    assert re.fullmatch(r"[A-Z][A-Z_]+", option.variable)
    # Only the setting that names the TOML file cannot stand in it.
    # A secret stands in neither a file nor the list of processes.
    is_secret = option.kind is Kind.SECRET
    assert re.fullmatch(r"[a-z]+\.[a-z_]+", option.key) or option.name == "config" or is_secret
    assert bool(option.flags) != is_secret
    assert not (is_secret and option.key)
    assert re.fullmatch(r"[A-Z].*\.", option.help)
    assert {*option.commands} - {*COMMANDS} == set()
    assert option.commands
    assert {command for command, _ in option.defaults} <= set(option.commands)
    assert bool(option.choices) == (option.kind is Kind.CHOICE)
    assert all(option.default_text(command) for command in option.commands)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_no_variable_is_one_that_kubernetes_sets_for_a_service_of_our_name(option: Option) -> None:
    # A Service iot-producer with a port 8080 named metrics makes these in every pod beside it.
    assert not re.fullmatch(
        r"IOT_PRODUCER_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_.*)?)", option.variable
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_the_defaults_of_every_command_can_be_read(command: str) -> None:
    settings = settle(command, {}, {})
    assert list(settings) == [option.name for option in options_of(command)]
    for setting in settings.values():
        written = setting.option.default_in(command)
        readable = written is not None and written not in ("now", "never")
        assert (setting.value is not None) == readable


def test_the_default_of_a_command_goes_before_that_of_the_others() -> None:
    duration = BY_KEY["run.duration"]
    assert duration.default_text("run") == "until stopped"
    assert duration.default_text("demo") == "20s"


def test_options_come_by_chapter() -> None:
    groups = [option.group for option in options_of("run")]
    assert groups == sorted(groups, key=list(Group).index)
    assert BY_KEY["fleet.devices"].flag == "--devices"

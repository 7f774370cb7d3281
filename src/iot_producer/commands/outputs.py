"""What commands say on standard error, and what becomes of output that nobody reads."""

from __future__ import annotations

import os
from contextlib import suppress

import click

from iot_producer.errors import IotProducerError


def say(text: str) -> None:
    """A line on standard error."""
    with suppress(OSError):  # nobody reads it any more
        click.echo(text, err=True)


def complain(error: IotProducerError) -> None:
    """What is wrong, and what to do."""
    say(f"error: {error.message}")
    if error.hint:
        say(f"       {error.hint}")


def mute_stdout() -> None:
    """What is still in the buffer of a broken pipe or a full disk goes nowhere, without a word."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

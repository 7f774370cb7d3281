"""What is in the image, and that it needs nothing to be written and nothing to be compiled."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from containers import DOCKERFILE, IMAGE, LIKE_A_POD, ROOT, Store
from judges import judge

from iot_producer import __version__

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(2_400)]

MOST_BYTES = 250_000_000
# What is compiled is told by numba's events; what a dispatcher has loaded, by its statistics.
LOADS_ALL = """
import os, runpy
from iot_producer.commands.kernels import prepare_kernels
prepare_kernels()
from numba.core import event
with event.install_recorder("numba:compile") as compiled:
    script = runpy.run_path("/compile_kernels.py")
    script["call_all"](__import__("pathlib").Path("/dev/shm"))
names, missed = [], []
for name, kernel in script["kernels"]():
    names.append(name)
    if not kernel.stats.cache_hits or kernel.stats.cache_misses:
        missed.append(name)
print(len(names), missed, len(compiled.buffer), os.environ["NUMBA_CACHE_LOCATOR_CLASSES"])
"""
HASWELL = (
    "fpu sse sse2 ht lm pni ssse3 fma cx16 movbe popcnt xsave avx f16c lahf_lm abm sse4_1 sse4_2 "
    "bmi1 avx2 bmi2"
)


def test_hadolint_has_nothing_to_say():
    done = subprocess.run(
        [judge("hadolint"), str(DOCKERFILE)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_both_stages_have_the_one_pinned_base():
    text = DOCKERFILE.read_text()
    assert re.search(
        r"^ARG BASE_IMAGE=\S+python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}$", text, re.M
    )
    bases = re.findall(r"^FROM (\S+)", text, re.M)
    assert bases == ["${BASE_IMAGE}", "libraries", "${BASE_IMAGE}"]
    assert "# syntax" not in text, "it would be pulled"


def test_how_it_is_started(store: Store):
    image = store.image(IMAGE)
    config = image["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["iot-producer"]
    assert config["Cmd"] == ["run"]
    assert list(config["ExposedPorts"]) == ["8080/tcp"]
    assert config["StopSignal"] == "SIGTERM"
    env = dict(each.split("=", 1) for each in config["Env"])
    assert env["IOT_PRODUCER_METRICS"] == "0.0.0.0:8080"
    assert (env["NUMBA_CPU_NAME"], env["NUMBA_CPU_FEATURES"]) == ("x86-64-v3", "")
    assert config["Labels"]["org.opencontainers.image.title"] == "iot-producer"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert image["Healthcheck"]["Test"][-1] == "/opt/program/healthcheck.py"


def test_it_is_small(store: Store):
    layers = store.compressed_bytes(IMAGE)
    assert sum(layers) <= MOST_BYTES
    # A change of the program is all that has to be pushed and pulled again.
    assert layers[-1] < 6_000_000


def test_the_program_runs_as_nobody_and_can_write_nowhere(store: Store):
    look = (
        "id -u; id -g; for d in / /tmp /run /var/tmp /opt/program; do touch $d/x || echo no; done"
    )
    said = store.inside("sh", "-c", f"({look}) 2>/dev/null")
    assert said.split() == ["10001", "10001", "no", "no", "no", "no", "no"]
    assert store.inside("iot-producer", "--version") == f"iot-producer {__version__}\n"


def test_nothing_is_in_it_that_a_run_does_not_need(store: Store):
    look = (
        "import importlib.util, shutil, sys, pathlib;"
        "print([n for n in ('gcc', 'cc', 'g++', 'make', 'ld') if shutil.which(n)]);"
        "print([n for n in ('pip', 'setuptools', 'hatchling', 'pytest', 'pyarrow')"
        " if importlib.util.find_spec(n)]);"
        "packages = pathlib.Path(sys.prefix) / 'lib';"
        "print(sorted({p.name for p in packages.rglob('tests') if p.is_dir()}));"
        "print([str(p) for p in map(pathlib.Path, ('/etc/pip.conf', '/build', '/run/secrets/ca',"
        " '/opt/program/compile_kernels.py')) if p.exists()])"
    )
    assert store.inside("/opt/libraries/bin/python3", "-c", look).splitlines() == ["[]"] * 4


def test_all_bytecode_is_there(store: Store):
    """What is imported from source would be compiled at each start of a read-only container."""
    said = store.inside(
        "/opt/libraries/bin/python3", "-c",
        "from iot_producer.commands.kernels import prepare_kernels; prepare_kernels();"
        "import iot_producer.commands.run, iot_producer.supervisor, iot_producer.worker_process,"
        "iot_producer.sinks.pulsar_native, iot_producer.metrics, numba, numpy, asyncio, sys;"
        "print(sorted({m.__cached__ for m in list(sys.modules.values())"
        " if getattr(m, '__cached__', None)"
        " and not __import__('os').path.exists(m.__cached__)}))",
    )  # fmt: skip
    assert said == "[]\n"


def test_its_libraries_are_those_of_the_lock(store: Store):
    lock = (ROOT / "requirements" / "runtime.txt").read_text()
    pinned = {
        name.lower().replace("_", "-"): version
        for name, version, marker in re.findall(r"^(\S+?)==(\S+)(.*)\\$", lock, re.M)
        if "python_full_version >=" not in marker
    }
    look = (
        "import json; from importlib.metadata import distributions;"
        "print(json.dumps({d.name.lower().replace('_', '-'): d.version for d in distributions()}))"
    )
    found = json.loads(store.inside("/opt/libraries/bin/python3", "-c", look))
    assert found.pop("iot-producer") == __version__
    del pinned["setuptools"]  # asked for by a library's build tool, and taken out
    assert found == pinned


def test_no_kernel_is_compiled_in_the_container(store: Store):
    script = ROOT / "deploy" / "docker" / "compile_kernels.py"
    said = store.podman(
        "run", "--rm", *LIKE_A_POD, f"--volume={script}:/compile_kernels.py:ro",
        "--entrypoint=/opt/libraries/bin/python3", IMAGE, "-c", LOADS_ALL,
    ).stdout  # fmt: skip
    assert said == "16 [] 0 iot_producer.compiled.PrebuiltKernels\n"


def test_a_kernel_that_is_not_there_is_compiled_and_the_run_goes_on(store: Store):
    """For another CPU than the image's: slow to start, but no reason to fail."""
    done = store.podman(
        "run", "--rm", *LIKE_A_POD, "--env=NUMBA_CPU_NAME=x86-64-v2", IMAGE,
        "run", "--to", "null:", "--messages", "100", "--metrics", "off",
    )  # fmt: skip
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["confirmed"] == 100


@pytest.mark.parametrize(
    ("flags", "code"), [(HASWELL, 0), (HASWELL.replace(" avx2", "").replace(" bmi2", ""), 2)]
)
def test_a_cpu_without_its_instructions_is_told_so(
    store: Store, tmp_path: Path, flags: str, code: int
):
    cpu = tmp_path / "cpuinfo"
    cpu.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    done = store.podman(
        "run", "--rm", *LIKE_A_POD, f"--volume={cpu}:/proc/cpuinfo:ro", IMAGE,
        "run", "--to", "null:", "--messages", "10", "--metrics", "off", check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    if code:
        assert "compiled for x86-64-v3, and this CPU lacks avx2, bmi2" in done.stderr
        assert "CPU_TARGET=x86-64-v2" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("address", "code"), [("off", 0), ("", 0), ("0.0.0.0:1", 1), ("1", 1)])
def test_its_health_check_asks_where_the_endpoint_is(address: str, code: int):
    """Nobody listens on port 1; where the endpoint is off there is nobody to ask."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "docker" / "healthcheck.py")],
        env={"IOT_PRODUCER_METRICS": address}, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, b"")

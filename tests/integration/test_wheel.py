"""The wheel: what is in it, and that it runs in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from program import environment

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(out), str(ROOT)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin directory of an environment with the wheel; its dependencies are those of this one.

    They come from a path file: nothing is downloaded, and nothing of the checkout is on the path.
    """
    home = tmp_path_factory.mktemp("env")
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, timeout=120)
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run(
        [*pip, "--no-index", "--disable-pip-version-check", str(wheel)], check=True, timeout=120
    )
    (packages,) = (home / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def run(programs: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(programs / "iot-producer"), *arguments],
        cwd=cwd, env=environment(), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_it_holds_the_package_and_the_workloads_and_nothing_else(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"iot_producer"}
    inside = {name.removeprefix("iot_producer/") for name in names}
    sources = ROOT / "src" / "iot_producer"
    modules = {str(path.relative_to(sources)) for path in sources.rglob("*.py")}
    workloads = {f"workloads/{path.name}" for path in (ROOT / "workloads").glob("*.toml")}
    assert len(workloads) >= 3
    assert {name for name in inside if ".dist-info/" not in name} == {
        *modules,
        *workloads,
        "py.typed",
    }
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_its_metadata(wheel: Path):
    from iot_producer import __version__

    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    lines = archive.read(name).decode().splitlines()
    assert f"Version: {__version__}" in lines
    assert "Requires-Python: >=3.11" in lines
    assert "License-Expression: Apache-2.0" in lines
    for package in ("click", "hdrhistogram", "numba", "numpy", "pulsar-client", "rich"):
        assert any(line.startswith(f"Requires-Dist: {package}") for line in lines)


def test_it_is_the_wheel_that_runs(programs: Path, tmp_path: Path):
    where = subprocess.run(
        [str(programs / "python"), "-c", "import iot_producer; print(iot_producer.__file__)"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(where.stdout.strip()).is_relative_to(programs.parent)


def test_version(programs: Path, tmp_path: Path):
    from iot_producer import __version__

    done = run(programs, tmp_path, "--version")
    assert (done.returncode, done.stdout) == (0, f"iot-producer {__version__}\n")


def test_preview(programs: Path, tmp_path: Path):
    done = run(programs, tmp_path, "preview", "-n", "1", "--start", "2026-07-01")
    assert (done.returncode, done.stderr) == (0, "")
    record = json.loads(done.stdout)
    assert len(record) == 25
    assert record["time"] == "2026-07-01 00:00:00.000"


def test_a_run_of_a_workload_that_comes_with_it(programs: Path, tmp_path: Path):
    done = run(
        programs, tmp_path, "run", "--to", "null:", "--messages", "10", "--config", "steady-1k",
        "--workers", "2", "--report", "r.json",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["tally"]["confirmed"] == 10
    assert report["plan"]["schedule"] == {"kind": "constant", "rate": "1000", "n_messages": 10}
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]

from __future__ import annotations

import ast
import importlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import iot_producer
from iot_producer import kernel_cache
from iot_producer.kernel_cache import (
    KERNEL_MODULES,
    LOCATORS,
    PREBUILT,
    VARIABLE,
    entry_kernel,
    is_warm,
    kernel_cache_dir,
    kernel_hash,
    prepare,
    user_cache_dir,
)

PACKAGE = Path(iot_producer.__file__).parent


DECORATORS = {"entry", "inlined", "intrinsic", "njit"}


@dataclass
class Module:
    """What the top level of a source file defines: by name, or imported from the package."""

    defined: dict[str, list[ast.stmt]]
    imported: dict[str, tuple[str, str | None]]  # name → (file, name there or None for all of it)
    compiled: set[str]


def file_of(dotted: str) -> str | None:
    """The source file of a module of the package, below it."""
    parts = dotted.split(".")
    if parts[0] != "iot_producer" or len(parts) == 1:
        return None
    path = Path(*parts[1:]).with_suffix(".py")
    return path.as_posix() if (PACKAGE / path).exists() else None


def names_in(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


@cache
def module(file: str) -> Module:
    found = Module({}, {}, set())
    tree = ast.parse((PACKAGE / file).read_text())
    for node in ast.walk(tree):  # imports inside functions count too
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                name = alias.asname or alias.name
                whole = file_of(f"{node.module}.{alias.name}")
                source = file_of(node.module)
                if whole:
                    found.imported[name] = (whole, None)
                elif source:
                    found.imported[name] = (source, alias.name)
        elif isinstance(node, ast.Import):
            assert not any(file_of(alias.name) for alias in node.names), "import names instead"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = {node.name}
            if any(DECORATORS & names_in(decorator) for decorator in node.decorator_list):
                found.compiled.add(node.name)
        else:
            names = {
                part.id
                for part in ast.walk(node)
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
            }
            called = {
                part.func.id
                for part in ast.walk(node)
                if isinstance(part, ast.Call) and isinstance(part.func, ast.Name)
            }
            if called & DECORATORS:
                found.compiled |= names
            # if, try: what they define is defined by all of them
            names |= {p.name for p in ast.walk(node) if isinstance(p, ast.FunctionDef)}
        for name in names:
            found.defined.setdefault(name, []).append(node)
    return found


def needed_by_kernels() -> set[str]:
    """Files with a name that a compiled function uses, or that what it uses is made from."""
    waiting: list[tuple[str, str]] = [
        ("compiled.py", name) for name in module("compiled.py").defined
    ]
    for path in PACKAGE.rglob("*.py"):
        file = path.relative_to(PACKAGE).as_posix()
        waiting += [(file, name) for name in module(file).compiled]
    found: set[tuple[str, str]] = set()
    while waiting:
        file, name = waiting.pop()
        if (file, name) in found:
            continue
        found.add((file, name))
        for node in module(file).defined.get(name, []):
            for used in names_in(node):
                if used in module(file).imported:
                    source, there = module(file).imported[used]
                    waiting += [(source, n) for n in ([there] if there else module(source).defined)]
                elif used in module(file).defined:
                    waiting.append((file, used))
    return {file for file, _ in found}


def test_the_walk_sees_what_kernels_use():
    assert "add_records" in module("record_sums.py").compiled
    assert "_mix" in module("lattice.py").compiled
    assert module("fleet.py").imported["fixedpoint"] == ("fixedpoint.py", None)
    assert module("lattice.py").imported["SINE"] == ("fixedpoint.py", "SINE")
    assert {"encoders/words.py", "schema.py", "fixedpoint.py", "fleet.py"} <= needed_by_kernels()


def test_every_module_that_kernels_depend_on_is_in_the_hash():
    missing = needed_by_kernels() - set(KERNEL_MODULES)
    assert missing == set(), f"add to KERNEL_MODULES: {sorted(missing)}"


def test_nothing_else_is_in_the_hash():
    assert set(KERNEL_MODULES) - needed_by_kernels() == set()
    assert list(KERNEL_MODULES) == sorted(set(KERNEL_MODULES))


@pytest.mark.parametrize("name", KERNEL_MODULES)
def test_a_change_in_any_kernel_module_changes_the_directory(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    copy = tmp_path / "iot_producer"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(kernel_cache, "__file__", str(copy / "kernel_cache.py"))
    before = kernel_hash()
    with (copy / name).open("a") as file:
        file.write("# changed\n")
    assert kernel_hash() != before


def test_another_numba_has_another_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = kernel_cache_dir(tmp_path)
    monkeypatch.setattr(kernel_cache, "_version_of", lambda name: f"{name} 99")
    assert kernel_cache_dir(tmp_path) != before
    assert kernel_cache_dir(tmp_path).parent == before.parent == tmp_path / "kernels"


def test_prepare_makes_the_directory_and_tells_numba(tmp_path: Path):
    environ: dict[str, str] = {}
    found = prepare(tmp_path / "new", environ)
    assert found == kernel_cache_dir(tmp_path / "new")
    assert found is not None
    assert list(found.iterdir()) == []
    assert environ == {VARIABLE: str(found)}


def test_what_the_user_has_set_stays(tmp_path: Path):
    environ = {VARIABLE: str(tmp_path / "mine")}
    assert prepare(tmp_path, environ) == tmp_path / "mine"
    assert environ == {VARIABLE: str(tmp_path / "mine")}
    assert not (tmp_path / "kernels").exists()


@pytest.mark.parametrize("locators", ["", "somebody.elses.Locator"])
def test_what_is_set_and_cannot_be_written_is_only_read(tmp_path: Path, locators: str):
    mine = not_a_directory(tmp_path, "cache")
    environ = {VARIABLE: str(mine)} | ({LOCATORS: locators} if locators else {})
    assert prepare(tmp_path / "other", environ) == mine
    assert environ == {VARIABLE: str(mine), LOCATORS: locators or PREBUILT}
    assert not (tmp_path / "other").exists()


def not_a_directory(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.write_text("a file is in the way; root may write everywhere else")
    return path / "below"


def test_a_directory_that_cannot_be_written_is_replaced_by_a_private_temporary_one(tmp_path: Path):
    environ = {"TMPDIR": str(tmp_path)}
    found = prepare(not_a_directory(tmp_path, "cache"), environ)
    private = tmp_path / f"iot-producer-{os.getuid()}"
    assert found == private / "kernels" / kernel_hash()
    assert private.stat().st_mode & 0o777 == 0o700
    assert environ[VARIABLE] == str(found)


@pytest.mark.parametrize("trap", ["link", "open to others"])
def test_a_temporary_directory_of_somebody_else_is_not_trusted(tmp_path: Path, trap: str):
    theirs = tmp_path / f"iot-producer-{os.getuid()}"
    if trap == "link":
        (tmp_path / "elsewhere").mkdir()
        theirs.symlink_to(tmp_path / "elsewhere")
    else:
        theirs.mkdir()
        theirs.chmod(0o777)
    environ = {"TMPDIR": str(tmp_path)}
    assert prepare(not_a_directory(tmp_path, "cache"), environ) is None
    assert VARIABLE not in environ


def test_without_any_directory_there_is_no_cache(tmp_path: Path):
    environ = {"TMPDIR": str(not_a_directory(tmp_path, "tmp"))}
    assert prepare(not_a_directory(tmp_path, "cache"), environ) is None
    assert VARIABLE not in environ


def test_old_directories_are_removed_but_the_newest_and_those_in_use(tmp_path: Path):
    base = tmp_path / "kernels"
    now_s = 2_000_000_000
    ages_days = {"a": 0.5, "b": 0.9, "c": 3, "d": 4, "e": 5, "f": 6}
    for name, age in ages_days.items():
        (base / name / "deep").mkdir(parents=True)
        os.utime(base / name, (now_s, now_s - age * 86_400))
    current = base / "current"
    current.mkdir()
    os.utime(current, (now_s, now_s))
    kernel_cache._remove_old(base, current)
    assert {path.name for path in base.iterdir()} == {"current", "a", "b", "c"}


def test_directories_that_may_be_in_use_are_never_removed(tmp_path: Path):
    base = tmp_path / "kernels"
    for name in "abcdefg":
        (base / name).mkdir(parents=True)
    kernel_cache._remove_old(base, base / "a")
    assert len(list(base.iterdir())) == 7


def test_warm_once_the_main_kernel_is_there(tmp_path: Path):
    assert not is_warm(tmp_path)
    assert not is_warm(tmp_path / "missing")
    assert not is_warm(None)
    (tmp_path / "iot_producer_1").mkdir()
    (tmp_path / "iot_producer_1" / "signals._fill-1.py311.1.nbc").touch()
    assert not is_warm(tmp_path)
    (tmp_path / "iot_producer_1" / "json_rows.write_rows-150.py311.1.nbc").touch()
    assert is_warm(tmp_path)
    assert not is_warm(tmp_path, entry_kernel("lz4"))
    (tmp_path / "iot_producer_1" / "entry_lz4.write_lz4_entry-97.py311.1.nbc").touch()
    assert is_warm(tmp_path, entry_kernel("lz4"))


@pytest.mark.parametrize("compression", ["lz4", "zstd", "none"])
def test_this_process_is_warm_after_it_has_made_an_entry(compression: str):
    from iot_producer.fleet import FleetSpec
    from iot_producer.pulsar.entry import warm_up_entry

    warm_up_entry(FleetSpec(10, 10, 10), compression)
    assert is_warm(Path(os.environ[VARIABLE]), entry_kernel(compression))


def test_this_process_is_warm_after_it_has_encoded():
    import numpy as np

    from iot_producer.encoders.json_rows import JsonEncoder
    from iot_producer.fleet import FleetSpec, fleet_of

    encoder = JsonEncoder(fleet_of(FleetSpec(10, 10, 10)))
    encoder.encode(np.zeros(1, np.int32), np.zeros(1, np.int64))
    assert is_warm(Path(os.environ[VARIABLE]))


def test_cache_of_the_user():
    assert user_cache_dir({"XDG_CACHE_HOME": "/x", "HOME": "/h"}) == Path("/x/iot-producer")
    assert user_cache_dir({"HOME": "/h"}) == Path("/h/.cache/iot-producer")
    relative = {"XDG_CACHE_HOME": "x", "HOME": "/h"}
    assert user_cache_dir(relative) == Path("/h/.cache/iot-producer")


def test_it_imports_neither_numba_nor_numpy():
    program = (
        "import sys, iot_producer.kernel_cache;"
        "print(sorted({'numba', 'numpy', 'llvmlite'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_numba_uses_the_directory():
    config = importlib.import_module("numba").config
    assert os.environ[VARIABLE] == config.CACHE_DIR

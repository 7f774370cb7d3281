"""The download: whole, checked, once; or not there at all."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from iot_producer.errors import ConfigError, DestinationError, RefusedError, UnreachableError
from iot_producer.stack.distribution import PULSAR, DistributionSpec, fetch, find

FILES = {"lib/a.jar": b"a" * 1000, "conf/standalone.conf": b"k=v\n", "README": b""}


def archive() -> bytes:
    """A small archive like the real one: a single folder on top."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in FILES.items():
            member = tarfile.TarInfo(f"apache-thing-1.0/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


WHOLE = archive()
SPEC = DistributionSpec(
    "org.example", "thing", "1.0", "bin", "tar.gz", len(WHOLE), hashlib.sha256(WHOLE).hexdigest(), 1
)


class Registry:
    """Hands out bytes in two pieces, and counts how often it was asked."""

    def __init__(self, content: bytes = WHOLE, then: BaseException | None = None) -> None:
        self.content = content
        self.then = then
        self.n_asked = 0

    def __call__(self, spec: DistributionSpec, folder: Path, add: Callable[[int], None]) -> Path:
        self.n_asked += 1
        target = folder / "nested" / "archive"
        target.parent.mkdir()
        half = len(self.content) // 2
        with target.open("wb") as file:
            for piece in (self.content[:half], self.content[half:]):
                file.write(piece)
                add(len(piece))
                if self.then is not None:
                    raise self.then
        return target


def silent(line: str) -> None:
    """Say nothing."""


def unseen(done: int, total: int) -> None:
    """Show nothing."""


def get(cache: Path, registry: Registry, spec: DistributionSpec = SPEC) -> Path:
    return fetch(cache, silent, unseen, spec, registry)


def rests(cache: Path) -> list[str]:
    """What lies beside the distribution, apart from the lock."""
    return sorted(p.name for p in (cache / "thing").iterdir() if p.name not in (".lock", "1.0"))


def test_it_is_fetched_once_and_unpacked_whole(tmp_path: Path) -> None:
    registry = Registry()
    assert find(tmp_path, SPEC) is None
    home = get(tmp_path, registry)
    assert {name: (home / name).read_bytes() for name in FILES} == FILES
    assert get(tmp_path, registry) == home == find(tmp_path, SPEC)
    assert registry.n_asked == 1
    assert rests(tmp_path) == []


def test_progress_goes_from_nothing_to_the_known_size(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    said: list[str] = []
    fetch(tmp_path, said.append, lambda *p: seen.append(p), SPEC, Registry())
    n = len(WHOLE)
    assert seen == [(0, n), (n // 2, n), (n, n)]
    assert said[0] == "fetching thing 1.0, 0 MB, once"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (WHOLE[:-1], f"{len(WHOLE) - 1} bytes instead of {len(WHOLE)}"),
        (WHOLE[:-1] + bytes([WHOLE[-1] ^ 1]), "sha256"),
        (b"", "0 bytes"),
        (WHOLE + b"x", f"{len(WHOLE) + 1} bytes"),
    ],
)
def test_what_is_not_whole_is_refused_and_the_next_attempt_starts_clean(
    tmp_path: Path, content: bytes, said: str
) -> None:
    with pytest.raises(DestinationError) as caught:
        get(tmp_path, Registry(content))
    assert said in caught.value.message
    assert find(tmp_path, SPEC) is None
    assert rests(tmp_path) == []
    assert get(tmp_path, Registry()) == find(tmp_path, SPEC)


def test_an_archive_that_cannot_be_unpacked_is_an_error_of_ours(tmp_path: Path) -> None:
    content = b"no archive at all"
    spec = replace(SPEC, n_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(DestinationError, match="cannot be unpacked"):
        get(tmp_path, Registry(content), spec)
    assert rests(tmp_path) == []


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), SystemExit(143)])
def test_an_interrupted_download_leaves_nothing(tmp_path: Path, interrupt: BaseException) -> None:
    with pytest.raises(type(interrupt)):
        get(tmp_path, Registry(then=interrupt))
    assert rests(tmp_path) == []
    assert find(tmp_path, SPEC) is None


def test_the_rest_of_a_process_that_was_killed_is_removed(tmp_path: Path) -> None:
    dead = tmp_path / "thing" / ".staging-dead"
    dead.mkdir(parents=True)
    (dead / "half").write_bytes(b"x")
    get(tmp_path, Registry())
    assert rests(tmp_path) == []


@pytest.mark.parametrize("damage", ["cut", "missing", "no manifest", "bad manifest"])
def test_a_damaged_folder_is_found_out_and_replaced(tmp_path: Path, damage: str) -> None:
    home = get(tmp_path, Registry())
    if damage == "cut":
        (home / "lib/a.jar").write_bytes(b"a")
    elif damage == "missing":
        (home / "lib/a.jar").unlink()
    elif damage == "no manifest":
        (home / ".files.json").unlink()
    else:
        (home / ".files.json").write_text(json.dumps(["a list"]))
    assert find(tmp_path, SPEC) is None
    again = Registry()
    get(tmp_path, again)
    assert again.n_asked == 1
    assert (home / "lib/a.jar").read_bytes() == FILES["lib/a.jar"]
    assert rests(tmp_path) == []


def test_two_at_once_fetch_once(tmp_path: Path) -> None:
    came = threading.Event()
    go = threading.Event()
    said: list[str] = []

    class Slow(Registry):
        def __call__(
            self, spec: DistributionSpec, folder: Path, add: Callable[[int], None]
        ) -> Path:
            came.set()
            assert go.wait(60)
            return super().__call__(spec, folder, add)

    def waiting(line: str) -> None:
        said.append(line)
        go.set()

    registry = Slow()
    found: list[Path] = []
    first = threading.Thread(target=lambda: found.append(get(tmp_path, registry)))
    first.start()
    assert came.wait(60)
    found.append(fetch(tmp_path, waiting, unseen, SPEC, registry))
    first.join(60)
    assert registry.n_asked == 1
    assert found == [tmp_path / "thing" / "1.0"] * 2
    assert said == ["waiting for another process that fetches thing 1.0"]


def test_a_disk_that_fills_up_is_told(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "x"))
    with pytest.raises(RefusedError) as caught:
        get(tmp_path, Registry(then=full))
    assert caught.value.message == f"the disk is full: {tmp_path / 'x'}"
    assert "--cache-dir" in caught.value.hint
    assert rests(tmp_path) == []


def test_too_small_a_disk_is_told_before_the_download(tmp_path: Path) -> None:
    registry = Registry()
    with pytest.raises(RefusedError, match="1000000000000 MB of disk"):
        get(tmp_path, registry, replace(SPEC, unpacked_bytes=10**18))
    assert registry.n_asked == 0


def test_a_cache_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught:
        get(tmp_path / "file", Registry())
    assert str(tmp_path / "file") in caught.value.message


def test_offline_with_nothing_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Port 1 of the loopback address: nobody listens there, so the real client gets nowhere.
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UnreachableError) as caught:
        fetch(tmp_path, silent, unseen, SPEC)
    assert "thing 1.0 is not here yet and cannot be fetched" in caught.value.message
    assert "\n" not in caught.value.message
    assert "connect this machine" in caught.value.hint
    assert rests(tmp_path) == []


def test_the_pinned_archive() -> None:
    assert str(PULSAR) == "pulsar-server-distribution 4.0.8"
    assert PULSAR.n_bytes == 245_494_718
    assert PULSAR.sha256 == "35c7d064c9e0928edbf2e708989faba0379662f98aa84ce0d4190c59efb6765e"

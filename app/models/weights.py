"""The pinned weights on this machine: what is there, getting the rest, and refusing what is not the same to the byte.

Everything is collected in one `.partial` file, which any source continues where another (or a killed run) stopped. Only a file
whose sha256 matches gets the name under which it is served.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from app.errors import OrdermendError
from app.models.local_settings import Weights

_BLOCK = 4 * 1024 * 1024
_SPARE_BYTES = 64 * 1024 * 1024


class WeightsUnavailable(OrdermendError):
    """The model's file could not be had, or is not the pinned one. The message says why and what to do."""


class FetchedElsewhere(WeightsUnavailable):
    """Another process is fetching the same file."""


class SourceFailed(Exception):
    """One source cannot deliver; what it delivered so far is kept for the next."""


@dataclass(frozen=True, slots=True)
class Progress:
    """`what` is a short sentence for a person: where the bytes come from, or that they are being checked."""

    done_bytes: int
    total_bytes: int
    what: str

    @property
    def percent(self) -> int:
        return self.done_bytes * 100 // self.total_bytes


class Source(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def scratch_bytes(self) -> int:
        """Room it needs beside the file itself."""

    def fill(self, partial: Path) -> Iterator[Progress]:
        """Bring the file to its whole length, continuing with what is there. Closing the iterator stops it.

        Raises SourceFailed, and OSError where the disk does not take it."""


class Presence(StrEnum):
    ABSENT = "absent"
    PARTIAL = "partial"
    UNVERIFIED = "unverified"
    VERIFIED = "verified"


@dataclass(frozen=True, slots=True)
class Holding:
    """What this machine has of the weights."""

    path: Path
    presence: Presence
    present_bytes: int
    total_bytes: int


def holding(weights: Weights, folder: Path) -> Holding:
    """Looks at names, sizes and the receipt of an earlier check; reads no weights."""
    path, partial = folder / weights.file, partial_of(weights, folder)
    if path.is_file():
        presence = Presence.VERIFIED if _receipt_of(path) == _receipt(path, weights.sha256) else Presence.UNVERIFIED
        return Holding(path, presence, path.stat().st_size, weights.bytes)
    size = partial.stat().st_size if partial.is_file() else 0
    return Holding(path, Presence.PARTIAL if size else Presence.ABSENT, size, weights.bytes)


def partial_of(weights: Weights, folder: Path) -> Path:
    return folder / f"{weights.file}.partial"


def fetch(
    weights: Weights, sources: Sequence[Source], folder: Path, *, free_bytes: Callable[[Path], int] | None = None
) -> Iterator[Progress]:
    """Get the file from the first source that has it, checked and complete. Nothing happens until the progress is read.

    Closing the iterator, or killing the process, keeps what has arrived for the next time. Raises WeightsUnavailable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            yield from _keep_or_drop(weights, folder)
            if holding(weights, folder).presence is not Presence.VERIFIED:
                yield from _from_any(weights, sources, folder, free_bytes or _free_bytes)
    except OSError as error:
        raise WeightsUnavailable(_in_words(error, folder)) from error


def verify(weights: Weights, folder: Path) -> Iterator[Progress]:
    """Read the file that is there and leave a receipt, once. Raises WeightsUnavailable when it is not the pinned one."""
    path = folder / weights.file
    if holding(weights, folder).presence is Presence.VERIFIED:
        return
    if not path.is_file():
        raise WeightsUnavailable(f"{path} is not there; `ordermend model fetch` gets it")
    found = yield from _digest(path, f"checking {path.name}")
    if found != weights.sha256:
        raise WeightsUnavailable(
            f"{path} is not the pinned file (its sha256 is {found[:12]}…, not {weights.sha256[:12]}…), so it is not used;"
            " `ordermend model fetch` replaces it"
        )
    _write_receipt(path, weights)


def _keep_or_drop(weights: Weights, folder: Path) -> Iterator[Progress]:
    """A file that somebody put there is as good as a fetched one, if it is the same."""
    if holding(weights, folder).presence is not Presence.UNVERIFIED:
        return
    try:
        yield from verify(weights, folder)
    except WeightsUnavailable:
        path = folder / weights.file
        path.unlink()
        yield Progress(0, weights.bytes, f"deleted {path.name}: it was not the pinned file")


def _from_any(weights: Weights, sources: Sequence[Source], folder: Path, free_bytes: Callable[[Path], int]) -> Iterator[Progress]:
    partial, failures = partial_of(weights, folder), list[str]()
    for source in sources:
        _make_sure_it_fits(weights, source, folder, free_bytes)
        try:
            yield from source.fill(partial)
            yield from _accept(weights, partial, folder / weights.file)
        except SourceFailed as error:
            failures.append(f"{source.name}: {error}")
            yield Progress(_size(partial), weights.bytes, failures[-1])
        else:
            return
    told = "\n".join(f"  {failure}" for failure in failures)
    raise WeightsUnavailable(
        f"The model could not be fetched:\n{told}\nWhat has arrived is kept; run `ordermend model fetch` again to continue,"
        f" or put {weights.file} into {folder} yourself."
    )


def _accept(weights: Weights, partial: Path, path: Path) -> Iterator[Progress]:
    """Give the file its name if it is the pinned one, or delete it. Raises SourceFailed."""
    size = _size(partial)
    found = "" if size != weights.bytes else (yield from _digest(partial, "checking"))
    if found != weights.sha256:
        partial.unlink(missing_ok=True)
        why = f"it has {size} bytes, not {weights.bytes}" if size != weights.bytes else f"its sha256 is {found}"
        raise SourceFailed(f"what it delivered is not the pinned file ({why}) and was deleted")
    (path.parent / f"{weights.name}.NOTICE.txt").write_text(weights.notice, encoding="utf-8")
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    partial.replace(path)
    _write_receipt(path, weights)
    yield Progress(weights.bytes, weights.bytes, "verified")


def _make_sure_it_fits(weights: Weights, source: Source, folder: Path, free_bytes: Callable[[Path], int]) -> None:
    needed = weights.bytes - _size(partial_of(weights, folder)) + source.scratch_bytes + _SPARE_BYTES
    free = free_bytes(folder)
    if free < needed:
        raise WeightsUnavailable(
            f"{folder} has {_mb(free)} free and the model needs {_mb(needed)} more; make room, or set ORDERMEND_DATA_DIR"
            " to a folder on a larger disk"
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One fetch at a time; a killed one holds nothing."""
    with (folder / ".fetching").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FetchedElsewhere("Another process is fetching the model; `ordermend model status` shows how far it is.") from None
        yield


def _digest(path: Path, what: str) -> Generator[Progress, None, str]:
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            yield Progress(done, total, what)
    return digest.hexdigest()


def _receipt(path: Path, sha256: str) -> dict[str, object]:
    """A changed file has another size or another time of change, and counts as unchecked again."""
    seen = path.stat()
    return {"sha256": sha256, "bytes": seen.st_size, "mtime_ns": seen.st_mtime_ns}


def _receipt_of(path: Path) -> object:
    try:
        return json.loads(_receipt_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _receipt_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.verified.json")


def _write_receipt(path: Path, weights: Weights) -> None:
    _receipt_path(path).write_text(json.dumps(_receipt(path, weights.sha256)), encoding="utf-8")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _in_words(error: OSError, folder: Path) -> str:
    if error.errno == errno.ENOSPC:
        return f"The disk of {folder} is full; make room and run `ordermend model fetch` again, it continues where it stopped."
    return f"{error.filename or folder}: {error.strerror or error}; check the folder, or set ORDERMEND_DATA_DIR to another"


def _mb(count: int) -> str:
    return f"{count / 1_000_000:,.0f} MB"

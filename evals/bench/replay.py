"""How fast a changed policy is replayed over recorded rulings on disk, as a ratio to the gate asked one case at a time.

    python -m evals.bench.replay --out replay.json

A million rulings over four months are written as segments into a temporary folder: thirty thousand different ones, drawn once, and
again and again in another order, at other times. Another process of one thread reads them, asks both policies, and reports.
"""

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.bench.drawn_rulings import BEGIN, draw_rulings
from guardrails.policy.load import load_policy
from guardrails.policy.tables import Policy
from guardrails.replay.recorded import RecordedRuling, rule_again
from guardrails.replay.report import Report, replay
from guardrails.replay.segment_bytes import Packed, pack, pack_numbers, unpack
from guardrails.replay.segment_shapes import EPOCH
from guardrails.replay.segment_writing import encode_segment
from guardrails.replay.segments import Segment

POLICY = Path(__file__).parents[2] / "config" / "policy.yaml"
RULINGS, DISTINCT, LIVE, ROUNDS = 1_000_000, 30_000, 3_000, 3

CHANGES = (
    ("high_value: {USD: 500.00, EUR: 450.00", "high_value: {USD: 400.00, EUR: 500.00"),
    ("- when: risk.level == 'high'", "- when: risk.level in ['high', 'medium']"),
    ("min_confidence: 0.85", "min_confidence: 0.90"),
    ("- when: inventory.available < 0", "- when: inventory.available <= 0"),
    ("hold: {covers: [hold.], one_of: [hold.ours], max_age: 24h}", "hold: {covers: [hold.], one_of: [hold.ours], max_age: 12h}"),
    ("resubmit_fulfilment: {count: 200}", "resubmit_fulfilment: {count: 40}"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("replay.json"), help="where to write the figures")
    parser.add_argument("--read", type=Path, help="replay the segments of this folder and print what it took")
    asked = parser.parse_args()
    if asked.read:
        sys.stdout.write(json.dumps(_replay_folder(asked.read)))
        return
    asked.out.write_text(json.dumps(measure(), indent=2) + "\n")


def measure(rulings: int = RULINGS, distinct: int = DISTINCT) -> list[dict[str, Any]]:
    """The figures. They hold for this machine; the ratio to the live gate is what can be compared."""
    old = load_policy(POLICY.read_text(), POLICY.name)
    drawn = draw_rulings(distinct, old)
    live = _live_per_second(drawn, old)
    with TemporaryDirectory() as folder:
        size = write_segments(Path(folder), drawn, rulings)
        read = subprocess.run(  # noqa: S603  # our own module, on a folder of ours
            [sys.executable, "-m", "evals.bench.replay", "--read", folder],
            capture_output=True,
            text=True,
            check=True,
            env=_ONE_THREAD,
        )
    took = json.loads(read.stdout)
    per_second = took["rulings"] / took["seconds"]
    gate = "the gate, one case at a time, one policy"
    by_cpu = took["rulings"] / took["cpu_seconds"]
    return [
        _figure(
            "replay.rulings_per_s", per_second, "rulings/s, from disk, old and new policy, one core, best of three", gate, live
        ),
        _figure(
            "replay.rulings_per_cpu_s", by_cpu, "rulings/s of computing, without waiting for the disk or other programs", gate, live
        ),
        _figure("replay.peak_mb", took["peak_mb"], "MB, the whole process at most", "what it may take", 1_024),
        _figure("replay.bytes_per_ruling", size / took["rulings"], "bytes on disk", "what it may take", 400),
    ]


def _figure(name: str, value: float, unit: str, yardstick: str, yardstick_value: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value),
        "unit": unit,
        "yardstick": yardstick,
        "yardstick_value": round(yardstick_value),
        "ratio": round(value / yardstick_value, 3),
    }


_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": ":".join(sys.path)}


def _live_per_second(drawn: Sequence[RecordedRuling], policy: Policy) -> float:
    began = perf_counter()
    for ruling in drawn[:LIVE]:
        rule_again(ruling, policy)
    return min(LIVE, len(drawn)) / (perf_counter() - began)


# --- on disk ---


def write_segments(folder: Path, drawn: Sequence[RecordedRuling], rulings: int) -> int:
    """Writes a file per segment: where its columns lie, then their bytes. Returns the bytes of all.

    Encoding a million rulings one by one would take many minutes; each segment holds those drawn in another order, at other times."""
    columns = encode_segment(drawn)
    count, size = -(-rulings // len(drawn)), 0
    for number in range(count):
        changed_columns = _varied(columns, len(drawn), number, count)
        head = json.dumps([[name, len(data)] for name, data in changed_columns.items()]).encode()
        path = folder / f"{number:09}.segment"
        path.write_bytes(len(head).to_bytes(4, "big") + head + b"".join(changed_columns.values()))
        size += path.stat().st_size
    return size


def _varied(columns: Mapping[str, bytes], size: int, number: int, count: int) -> dict[str, bytes]:
    draw = np.random.default_rng(number)
    order = draw.permutation(size)
    span = timedelta(days=120) / count
    at = np.sort(draw.integers(0, span // timedelta(microseconds=1), size)) + (BEGIN + span * number - EPOCH) // timedelta(
        microseconds=1
    )
    changed_columns = {name: _reordered(name, data, order) for name, data in columns.items()}
    head = {**unpack(columns["segment"], "segment").head, "first_at": int(at[0]), "last_at": int(at[-1])}
    return {**changed_columns, "segment": pack(head, {}), "at": pack_numbers(at)}


def _reordered(name: str, data: bytes, order: NDArray[np.int64]) -> bytes:
    """The column with its rows in this order; amounts of `order.total` change by up to nine units as well."""
    packed = unpack(data, name)
    if name == "actions":
        return _reordered_actions(packed, order)
    arrays = {part: array[order] if len(array) == len(order) else _texts(array, order) for part, array in packed.arrays.items()}
    if name == "field:order.total" and "steps" in arrays:
        arrays["steps"] = arrays["steps"] + (order % 900).astype(arrays["steps"].dtype)
    return pack(packed.head, arrays)


def _texts(array: NDArray[Any], order: NDArray[np.int64]) -> NDArray[Any]:
    return array.reshape(len(order), -1)[order].reshape(-1)


def _reordered_actions(packed: Packed, order: NDArray[np.int64]) -> bytes:
    place = np.argsort(order)
    arrays, start = {part: array.copy() for part, array in packed.arrays.items()}, 0
    for _, _, count in packed.head["groups"]:
        group = slice(start, start + count)
        rows = place[packed.arrays["rows"][group]]
        by_row = np.argsort(rows)
        for part, array in arrays.items():
            array[group] = packed.arrays[part][group][by_row]
        arrays["rows"][group] = rows[by_row]
        start += count
    return pack(packed.head, arrays)


class _OnDisk(Mapping[str, bytes]):
    """The columns of one file, each read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        start = 4 + (length := int.from_bytes(self._file.read(4), "big"))
        self._places: dict[str, tuple[int, int]] = {}
        for name, size in json.loads(self._file.read(length)):
            self._places[name] = (start, size)
            start += size

    def __getitem__(self, name: str) -> bytes:
        start, size = self._places[name]
        self._file.seek(start)
        return self._file.read(size)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _replay_folder(folder: Path) -> dict[str, Any]:
    text = POLICY.read_text()
    old = load_policy(text, POLICY.name)
    new = load_policy(changed(text), "changed.yaml")
    rounds = [_replayed(folder, old, new) for _ in range(ROUNDS)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report, _ = rounds[0]
    return {
        "rulings": report.rulings,
        "seconds": min(item.seconds or 0.0 for item, _ in rounds),
        "cpu_seconds": min(seconds for _, seconds in rounds),
        "peak_mb": peak,
        "flipped": report.loosened + report.tightened,
    }


def _replayed(folder: Path, old: Policy, new: Policy) -> tuple[Report, float]:
    """The report, and the seconds of computing that it took."""
    began = process_time()
    segments = (Segment(_OnDisk(path)) for path in sorted(folder.glob("*.segment")))
    return replay(segments, old, new, stopwatch=perf_counter), process_time() - began


def changed(text: str) -> str:
    """The policy's text with a few limits and lines changed, and without its examples, which say what the shipped one does."""
    for before, after in CHANGES:
        if before not in text:
            raise ValueError(f"the policy no longer says {before!r}; change something else")
        text = text.replace(before, after)
    return text[: text.index("\nexamples:")] if "\nexamples:" in text else text


if __name__ == "__main__":
    main()

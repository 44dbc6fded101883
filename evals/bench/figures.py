"""One figure of a benchmark with its yardstick from the same run, and the file that holds them."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` and `yardstick_value` are both in `unit`; `ratio` compares them in the direction that the name says."""

    name: str
    value: float
    unit: str
    yardstick: str
    yardstick_value: float
    ratio: float


def write(figures: Sequence[Figure], path: Path) -> None:
    """Writes `{"machine", "at", "figures"}`. Raises ValueError when two figures have one name."""
    names = [figure.name for figure in figures]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"a figure has a name of its own; twice there: {', '.join(twice)}")
    results = {
        "machine": machine(),
        "at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "figures": [asdict(figure) for figure in figures],
    }
    path.write_text(json.dumps(results, indent=2, allow_nan=False) + "\n")


def machine() -> dict[str, Any]:
    """What a reader needs to judge the figures by; nothing that names the machine or a place on it."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
    }

"""Notes about how far the local model is in each process of this user, so that `ordermend model status` can say it."""

import contextlib
import os
from pathlib import Path

_FOLDER = Path("models") / "standing"


def note_standing(data_dir: Path, sentence: str) -> None:
    """Losing a note loses nothing else: a full disk must not stop who writes it."""
    with contextlib.suppress(OSError):
        folder = data_dir / _FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f"{os.getpid()}.new"
        fresh.write_text(sentence, encoding="utf-8")
        fresh.replace(folder / f"{os.getpid()}.txt")


def withdraw_standing(data_dir: Path) -> None:
    with contextlib.suppress(OSError):
        (data_dir / _FOLDER / f"{os.getpid()}.txt").unlink(missing_ok=True)


def standings(data_dir: Path) -> dict[int, str]:
    """By process; those that live."""
    found = {}
    for note in sorted((data_dir / _FOLDER).glob("*.txt")):
        try:
            os.kill(int(note.stem), 0)
            found[int(note.stem)] = note.read_text(encoding="utf-8")
        except ProcessLookupError:
            note.unlink(missing_ok=True)
        except (OSError, ValueError):
            continue
    return found

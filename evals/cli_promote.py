"""`ordermend eval promote CASE`: a reviewed case of the live database, added to a dataset of one's own."""

import json
import sys
from pathlib import Path

from app.cli_settings import settings_now
from app.cli_world import in_world
from app.models.rules import RulesClassifier
from app.world import World
from evals.cli import OK
from evals.promote import Promoted, promote, with_case
from evals.pseudonyms import Pseudonyms, private, read_or_make_key

FOLDER, FILE, KEY = "evals", "promoted.jsonl", "pseudonyms.key"


def main_promote(case_id: str, to: Path | None, as_json: bool) -> int:
    """Raises NotFound for no such case, NotReviewed for one that nobody has decided, and OSError for a file that cannot be written."""
    folder = settings_now().data_dir / FOLDER
    path = to or folder / FILE
    names = Pseudonyms(read_or_make_key(folder / KEY))

    async def step(world: World) -> Promoted:
        return await promote(world, case_id, names, RulesClassifier(world.owners))

    promoted = in_world(step)
    added = add(path, promoted)
    told = {"id": promoted.case.id, "file": str(path), "added": added, "differs": list(promoted.differs)}
    sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n" if as_json else _text(promoted, path, added))
    return OK


def add(path: Path, promoted: Promoted) -> bool:
    """False where this very case stands in the file already. The file is replaced as a whole or not at all."""
    before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    after = with_case(before, promoted)
    if after == before:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    with open(fresh, "w", encoding="utf-8", opener=private) as file:
        file.write("\n".join(after) + "\n")
    fresh.replace(path)
    return True


def _text(promoted: Promoted, path: Path, added: bool) -> str:
    expected = promoted.case.expected
    lines = [
        f"{path}: {promoted.case.id} {'added' if added else 'stood there already'}",
        f"expected: {expected.category}, {expected.owner}, {expected.verdict}; "
        f"mandatory: {', '.join(sorted(expected.mandatory_review)) or 'nothing'}; "
        f"never by itself: {', '.join(sorted(expected.never_automate)) or 'nothing'}",
    ]
    if promoted.differs:
        lines.append(
            f"The suite reads it otherwise than it was read live: {', '.join(promoted.differs)}. Look at it before you rely on it."
        )
    return "\n".join(lines) + "\n"

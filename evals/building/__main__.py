"""`python -m evals.building [FOLDER]`: writes every pack, by default into evals/datasets."""

import sys
from pathlib import Path

from evals.building.packs import FOLDER, PACKS
from evals.building.telling import pack


def main(folder: Path) -> None:
    for name, (prefix, cases) in PACKS.items():
        (folder / name).write_text(pack(prefix, cases()), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)

"""What the columns of a segment hold once they are read."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from guardrails.facts import UNKNOWN
from guardrails.replay.segment_bytes import Whole
from guardrails.taxonomy import Action, Verdict

FROM_PROPOSAL: Final = frozenset(
    ["case.category", "case.confidence", "case.grounded_evidence", "case.untrusted_instructions", "case.classifier_failed"]
)
"""The fields that the gate computes from the proposal."""

FORMAT: Final = 1
LARGEST_SEGMENT: Final = 65_536
"""Rulings in one segment at most: what is computed about them then stays in the cache."""

ABSENT, EMPTY, FIRST_VALUE = 0, 1, 2
"""The codes of a column: nobody has said anything, the answer was unknown, and then its values."""

VERDICTS: Final = tuple(Verdict)
"""Verdicts by the number that stands for them, which is their strictness."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NO_TIME: Final = -(2**60)
"""The distance of a fact that has no usable time: later than all others, since nobody can say it is not."""


class RowKind(IntEnum):
    COLUMNS = 0
    WHOLE = 1
    """Kept as JSON, and ruled on by the gate itself."""
    BROKEN = 2
    """The facts have no digest, so that the gate blocks whatever the policy says."""
    LOST = 3
    """A value could not be kept at all: it cannot be replayed."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A code per row; `same` is the code of all rows, where they have one. The values begin at code `first`."""

    codes: Whole
    same: int | None
    values: tuple[Any, ...]
    first: int = FIRST_VALUE

    @property
    def meanings(self) -> tuple[Any, ...]:
        """What each code stands for; of a field the first two are None (nobody has said anything) and UNKNOWN."""
        return (None, UNKNOWN, *self.values) if self.first else self.values


@dataclass(frozen=True, slots=True)
class Numbers:
    """`numbers` and `currencies` (codes into `listed`) mean something where the state is USABLE."""

    states: NDArray[np.uint8]
    numbers: NDArray[np.int64]
    currencies: Whole
    listed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ActionRows:
    """The `nth` action of one name in each of `rows`, which rise. Amounts count where `stated`."""

    action: Action
    nth: int
    rows: Whole
    positions: Whole
    verdicts: NDArray[np.uint8]
    stated: NDArray[np.uint8]
    amounts: NDArray[np.int64]
    currencies: Whole
    listed: tuple[str, ...]

"""Watching what was certified: an alarm that may be read after every audited case."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class DriftAlarm:
    """A bet against "at most a share `alpha` is wrong", placed on every audited case in turn (an e-process, Ville 1939). While
    that is true, the stake ever grows to 1/`delta` with probability at most delta, however long one watches. `feared` is the
    error rate at which the alarm is quickest."""

    alpha: float
    feared: float
    delta: float
    log_stake: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < self.feared < 1 or not 0 < self.delta < 1:
            raise ValueError("a drift alarm needs 0 < alpha < feared < 1 and 0 < delta < 1")

    def after(self, *, wrong: bool) -> "DriftAlarm":
        """The alarm after one more audited case. Once it has sounded it goes on sounding: somebody has to look and begin anew."""
        if self.sounded:
            return self
        odds = self.feared / self.alpha if wrong else (1 - self.feared) / (1 - self.alpha)
        return replace(self, log_stake=self.log_stake + math.log(odds))

    @property
    def stake(self) -> float:
        """What the bet stands at; 1 before the first case. Capped, so that it can always be written down."""
        return math.exp(min(self.log_stake, 100.0))

    @property
    def sounded(self) -> bool:
        """True: stop automating."""
        return self.log_stake >= -math.log(self.delta)

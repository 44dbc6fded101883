"""A classifier that changes while the program runs: rules at first, the local model once it has shown that it can answer."""

from dataclasses import dataclass
from enum import StrEnum

from app.classify import Classifier, Diagnosis, Explains, Question, explainer_of


class Stage(StrEnum):
    STARTING = "starting"
    FETCHING = "fetching"
    CHECKING = "checking"
    LOADING = "loading"
    TESTING = "testing"
    READY = "ready"
    NOT_INSTALLED = "not_installed"
    FAILED = "failed"


_IN_WORDS = {
    Stage.STARTING: "is about to start",
    Stage.FETCHING: "is being fetched",
    Stage.CHECKING: "is being checked",
    Stage.LOADING: "is being loaded",
    Stage.TESTING: "is being tested",
    Stage.READY: "is ready",
    Stage.NOT_INSTALLED: "is not installed",
    Stage.FAILED: "is not used",
}


@dataclass(frozen=True, slots=True)
class LocalStatus:
    """How far the local model is. `why` says what stands in its way and what to do; it may name files of this machine."""

    stage: Stage
    why: str = ""
    percent: int | None = None

    @property
    def brief(self) -> str:
        """For anybody, without `why`."""
        share = "" if self.percent is None else f": {self.percent} %"
        return f"the local model {_IN_WORDS[self.stage]}{share}"

    @property
    def sentence(self) -> str:
        if self.stage is Stage.READY:
            return f"Classifying with the local model{f' ({self.why})' if self.why else ''}"
        return f"Classifying by rules; {self.brief}{f': {self.why}' if self.why else ''}"

    @property
    def concerns_reviewers(self) -> bool:
        """An engine that nobody installed is a choice; everything else that keeps the model away is news."""
        return self.stage not in (Stage.READY, Stage.NOT_INSTALLED)


class SwitchingClassifier:
    """Name and fingerprint are those of the classifier that answers now. Hold on to `active` over a whole question."""

    def __init__(self, without_model: Classifier) -> None:
        self._without_model = self._active = without_model
        self._status = LocalStatus(Stage.STARTING)

    @property
    def active(self) -> Classifier:
        return self._active

    @property
    def status(self) -> LocalStatus:
        return self._status

    @property
    def name(self) -> str:
        return self._active.name

    @property
    def fingerprint(self) -> str:
        return self._active.fingerprint

    @property
    def explainer(self) -> Explains | None:
        return explainer_of(self._active)

    async def classify(self, question: Question) -> Diagnosis:
        return await self._active.classify(question)

    def switched(self, to: Classifier, status: LocalStatus) -> None:
        self._active, self._status = to, status

    def told(self, status: LocalStatus) -> None:
        """How far the model is; until `switched`, nobody asks it."""
        self._active, self._status = self._without_model, status


def in_use(classifier: Classifier) -> Classifier:
    """The one that answers now. Whoever first asks for a fingerprint and then for an answer wants both from the same one."""
    return classifier.active if isinstance(classifier, SwitchingClassifier) else classifier


def status_of(classifier: Classifier) -> LocalStatus | None:
    """None where no local model is wanted."""
    return classifier.status if isinstance(classifier, SwitchingClassifier) else None

"""Where that lies which was learned from labelled cases, and the classifier that is made of it."""

from pathlib import Path

from app.errors import ConfigurationInvalid
from app.models.combined import CombinedClassifier
from app.models.endpoint import Clock
from app.models.explain import Explainer
from app.models.label_choice import LabelChoice
from app.models.linear import LinearModel
from app.models.model_settings import Request
from app.models.opinions import Combination, load_combination
from app.models.rules import RulesClassifier
from app.models.turns import Turns
from app.owners import Owners
from app.settings import PROJECT_ROOT

FOLDER = "learned"
"""In the configuration folder."""
CATEGORIES = "categories.json"
COMBINATION = "combination.json"
_ANEW = "`python -m evals.learning combination` fits it anew"


def learned_folder(config_dir: Path) -> Path:
    """That of the configuration, else what the program was shipped with."""
    own = config_dir / FOLDER
    return own if own.is_dir() else PROJECT_ROOT / "config" / FOLDER


def combined_classifier(
    folder: Path,
    owners: Owners,
    choice: LabelChoice | None,
    request: Request,
    turns: Turns,
    clock: Clock,
    explainer: Explainer | None = None,
) -> CombinedClassifier:
    """Raises ConfigurationInvalid where a file is missing, damaged, or was fitted for another prompt or other statistics."""
    statistics, combination = learned(folder)
    if choice is not None and combination.prompt_sha256 != choice.prompt.sha256:
        raise ConfigurationInvalid(f"{folder / COMBINATION}: was fitted for another prompt; {_ANEW}")
    return CombinedClassifier(
        RulesClassifier(owners),
        statistics,
        combination if choice is None else combination.for_model(choice.model),
        choice,
        request=request,
        turns=turns,
        clock=clock,
        explainer=explainer,
    )


def learned(folder: Path) -> tuple[LinearModel, Combination]:
    """Statistics and how they are combined. Raises ConfigurationInvalid where one is missing, damaged, or made for another."""
    statistics, combination = LinearModel.load(folder / CATEGORIES), load_combination(folder / COMBINATION)
    if combination.statistics_sha256 != statistics.sha256:
        raise ConfigurationInvalid(f"{folder / COMBINATION}: was fitted for other statistics; {_ANEW}")
    return statistics, combination

"""Settings for commands: from the environment, with a plain sentence for each that is unusable."""

from enum import StrEnum

from pydantic import ValidationError

from app.errors import ConfigurationInvalid
from app.settings import Settings


class ClassifierName(StrEnum):
    AUTO = "auto"
    RULES = "rules"
    LLM = "llm"
    LOCAL = "local"


def settings_now(classifier: ClassifierName | None = None) -> Settings:
    """With another classifier where one is named. Raises ConfigurationInvalid naming every variable that is wrong."""
    settings = _from_the_environment()
    return settings if classifier is None else settings.model_copy(update={"classifier": classifier.value})


def _from_the_environment() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        mistakes = [f"{_variable(item['loc'])}: {item['msg']}" for item in error.errors(include_url=False, include_input=False)]
        raise ConfigurationInvalid("; ".join(mistakes)) from error


def _variable(location: tuple[int | str, ...]) -> str:
    return "ORDERMEND_" + "__".join(str(part) for part in location).upper()

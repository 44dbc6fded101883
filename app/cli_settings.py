"""Settings for commands: from the environment, with a plain sentence for each that is unusable."""

from pydantic import ValidationError

from app.errors import ConfigurationInvalid
from app.settings import Settings


def settings_now() -> Settings:
    """Raises ConfigurationInvalid naming every variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        mistakes = [f"{_variable(item['loc'])}: {item['msg']}" for item in error.errors(include_url=False, include_input=False)]
        raise ConfigurationInvalid("; ".join(mistakes)) from error


def _variable(location: tuple[int | str, ...]) -> str:
    return "ORDERMEND_" + "__".join(str(part) for part in location).upper()

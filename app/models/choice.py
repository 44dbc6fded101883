"""Which classifier this installation uses."""

from app.classify import Classifier
from app.errors import ConfigurationInvalid
from app.models.rules import RulesClassifier
from app.owners import Owners
from app.settings import Settings
from guardrails.policy.load import Policy


def choose_classifier(settings: Settings, policy: Policy, owners: Owners) -> Classifier:
    """`llm` where an endpoint is configured, else `rules`; the settings can insist on either."""
    if settings.classifier == "llm":
        raise ConfigurationInvalid("no llm yet")
    return RulesClassifier(owners)

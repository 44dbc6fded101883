"""Which classifier this installation uses."""

from app.classify import Classifier
from app.detect import DetectorRules
from app.errors import ConfigurationInvalid
from app.owners import Owners
from app.settings import Settings
from guardrails.policy.load import Policy


def choose_classifier(settings: Settings, policy: Policy, owners: Owners, detectors: DetectorRules) -> Classifier:
    """`llm` where an endpoint is configured, else `rules`; the settings can insist on either."""
    raise ConfigurationInvalid("no classifier yet")

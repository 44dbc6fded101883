"""How sure we are of what runs by itself: the audit's share, the certificates, and the keys that both stand and fall with. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from app.classify import Diagnosis
from guardrails.certificate import GLOBAL, Certificate, CertificateInvalid, Keys, certificates_from, taxonomy_version
from guardrails.drift import DriftAlarm
from guardrails.facts import sha256_of
from guardrails.policy.reader import PolicyInvalid, Reader, decoded
from guardrails.tuning import Plan

RULES_FILE = "assurance.yaml"
CERTIFICATES_FILE = "certificates.json"
JUDGING_FILES = ("sources", "detectors", "owners")
"""The files that decide a diagnosis besides the classifier itself."""
_ALL, _CERTIFIED = "all", "certified"
IN_MODEL = "in-model"
"""Live, the prompt is no key of its own: the fingerprint that makes the model's key covers it."""
UNCALIBRATED = "none"
"""Live, a score is the confidence as the classifier gave it; one that calibrates itself has that in its fingerprint."""


@dataclass(frozen=True, slots=True)
class AssuranceRules:
    """`config/assurance.yaml`; without the file, these values. All are shares of 1."""

    audit_share: float = 0.10
    salt: str = "ordermend-audit-1"
    alpha: float = 0.02
    delta: float = 0.10
    feared: float = 0.06
    alarm_delta: float = 0.05
    certified_only: bool = False
    """True: a confidence for which no certificate stands counts as unknown, so that a person looks."""

    def draws(self, case_id: str) -> bool:
        """Whether this case is audited. Nothing but its id says so: neither its facts nor what anybody answers."""
        number = int.from_bytes(hashlib.sha256(f"{self.salt}\n{case_id}".encode()).digest()[:8], "big")
        return number < self.audit_share * 2**64

    def fresh_alarm(self) -> DriftAlarm:
        return DriftAlarm(alpha=self.alpha, feared=self.feared, delta=self.alarm_delta)

    def plan(self) -> Plan:
        return Plan(alpha=self.alpha, delta=self.delta)


@dataclass(frozen=True, slots=True)
class Assurance:
    """`files` are the texts of the judging files, `problem` says why the stored certificates cannot be relied on."""

    rules: AssuranceRules = AssuranceRules()
    files: Mapping[str, str] = field(default_factory=dict)
    certificates: tuple[Certificate, ...] = ()
    problem: str | None = None

    def keys(self, fingerprint: str) -> Keys:
        """Of what judges here, with the classifier of this fingerprint."""
        return Keys(classifier_key(fingerprint, self.files), IN_MODEL, UNCALIBRATED, taxonomy_version())

    def certificate_of(self, scope: str, keys: Keys) -> Certificate | None:
        """The living one, of several the one with the lowest threshold."""
        found = [item for item in self.certificates if item.scope == scope and holds(item, keys)]
        return min(found, key=lambda item: item.threshold, default=None)

    def counted(self, diagnosis: Diagnosis, fingerprint: str) -> Diagnosis:
        """The diagnosis as it may be ruled on: where only certified confidence counts, any other is unknown. A living certificate of
        the category decides, else the one for all."""
        if not self.rules.certified_only or diagnosis.confidence is None:
            return diagnosis
        keys, share = self.keys(fingerprint), diagnosis.confidence / 10_000
        certificate = self.certificate_of(diagnosis.category.value, keys) or self.certificate_of(GLOBAL, keys)
        if certificate is not None and share >= certificate.threshold:
            return diagnosis
        told = f"{diagnosis.summary} (No certificate stands for its confidence of {share:.0%}.)"
        return replace(diagnosis, confidence=None, summary=told)

    def dead_for(self, scope: str, keys: Keys) -> tuple[str, ...]:
        """Which keys have changed since the certificates of this scope were made; empty where one lives or there is none."""
        own = [item for item in self.certificates if item.scope == scope]
        if not own or any(holds(item, keys) for item in own):
            return ()
        names = ("model", "calibrator", "taxonomy")
        return tuple(name for name in names if getattr(own[-1].keys, name) != getattr(keys, name))


def holds(certificate: Certificate, keys: Keys) -> bool:
    """As `Certificate.holds_for`, for live keys, whose prompt is part of the model's."""
    return certificate.holds_for(replace(keys, prompt=certificate.keys.prompt) if keys.prompt == IN_MODEL else keys)


def classifier_key(fingerprint: str, files: Mapping[str, str]) -> str:
    """sha256 over all that decides a diagnosis: the classifier, this program's version and the judging files. Evals and the live
    program both make it here, so that what one certifies holds in the other."""
    return sha256_of({"fingerprint": fingerprint, "version": version("ordermend"), **files})


def judging_files(directory: Path) -> dict[str, str]:
    """The texts by name. Raises OSError, and PolicyInvalid for what is not UTF-8."""
    return {name: decoded((directory / f"{name}.yaml").read_bytes(), f"{name}.yaml") for name in JUDGING_FILES}


def load_assurance(directory: Path) -> Assurance:
    """Rules and certificates of a configuration folder. A certificate file that cannot be relied on counts as none, and `problem`
    says why. Raises PolicyInvalid for mistakes in the rules, OSError."""
    path = directory / RULES_FILE
    rules = read_rules(decoded(path.read_bytes(), RULES_FILE), RULES_FILE) if path.exists() else AssuranceRules()
    found = Assurance(rules, judging_files(directory))
    stored = directory / CERTIFICATES_FILE
    if not stored.exists():
        return found
    try:
        return replace(found, certificates=certificates_from(json.loads(stored.read_bytes())))
    except (CertificateInvalid, ValueError) as error:
        return replace(found, problem=f"{CERTIFICATES_FILE}: {error}")


def read_rules(text: str, name: str) -> AssuranceRules:
    """Raises PolicyInvalid with every mistake and its line."""
    reader = Reader(name)
    root = reader.root(text).expect(["schema", "audit_share", "salt", "alpha", "delta", "feared", "alarm_delta"], ["automate"])
    if "schema" in root.values and root.text("schema") != "ordermend/assurance/v1":
        reader.say(root.values["schema"], "this program reads ordermend/assurance/v1")
    shares = {key: root.get(key, reader.basis_points, 0) for key in ("audit_share", "alpha", "delta", "feared", "alarm_delta")}
    if not 0 < shares["alpha"] < shares["feared"] < 10_000:
        reader.say(root.values.get("feared", root.node), "feared must be above alpha, alpha above 0, and both below 1")
    for key in ("delta", "alarm_delta"):
        if not 0 < shares[key] < 10_000:
            reader.say(root.values.get(key, root.node), f"{key} must be above 0 and below 1")
    salt = root.text("salt")
    automate = root.text("automate") if "automate" in root.values else _ALL
    if automate not in (_ALL, _CERTIFIED):
        reader.say(root.values["automate"], f"automate is {_ALL} or {_CERTIFIED}")
    if reader.problems:
        raise PolicyInvalid(reader.problems)
    certified_only = automate == _CERTIFIED
    return AssuranceRules(salt=salt, certified_only=certified_only, **{key: points / 10_000 for key, points in shares.items()})

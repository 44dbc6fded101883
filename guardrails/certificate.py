"""A certificate: a threshold above which automated decisions are wrong at most so often, for just the things it was proved for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guardrails.facts import sha256_of
from guardrails.taxonomy import Category

SCHEMA = "ordermend/certificate/v1"
FILE_SCHEMA = "ordermend/certificates/v1"
GLOBAL = "global"


class CertificateInvalid(ValueError):
    """A stored certificate that cannot be relied on."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What a certificate stands and falls with. Each is a version or a hash."""

    model: str
    prompt: str
    calibrator: str
    taxonomy: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """With probability 1 - `delta`, at most a share `alpha` of the decisions with a score of at least `threshold` is wrong.

    `scope` is `global` or a category; a global one bounds no single category. `errors` of `accepted` labels at or above the
    threshold were wrong, out of `labels`; `bound` is what they prove at `spent`, the part of delta that this threshold used.
    `cases_sha256` says which labels those were, `population` in words where they come from."""

    scope: str
    alpha: float
    delta: float
    spent: float
    threshold: float
    labels: int
    accepted: int
    errors: int
    bound: float
    keys: Keys
    population: str
    cases_sha256: str

    def holds_for(self, keys: Keys) -> bool:
        """False as soon as the model, the prompt, the calibrator or the taxonomy is another."""
        return self.keys == keys

    def allows(self, score: float, keys: Keys) -> bool:
        """Scores are shares of 1, after the calibrator that is named in the keys."""
        return self.holds_for(keys) and score >= self.threshold

    def plain(self) -> dict[str, Any]:
        keys = {name: getattr(self.keys, name) for name in Keys.__slots__}
        own = {name: getattr(self, name) for name in Certificate.__slots__ if name != "keys"}
        return {"schema": SCHEMA, **own, "keys": keys}


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    model: str = Field(min_length=1)
    prompt: str = Field(min_length=1)
    calibrator: str = Field(min_length=1)
    taxonomy: str = Field(min_length=1)


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)
    schema_: Literal["ordermend/certificate/v1"] = Field(alias="schema")
    scope: str = Field(min_length=1)
    alpha: float = Field(gt=0, lt=1)
    delta: float = Field(gt=0, lt=1)
    spent: float = Field(gt=0, lt=1)
    threshold: float = Field(ge=0, le=1)
    labels: int = Field(ge=1)
    accepted: int = Field(ge=1)
    errors: int = Field(ge=0)
    bound: float = Field(ge=0, le=1)
    population: str
    cases_sha256: str
    keys: _Keys


def certificate_from(stored: Mapping[str, Any]) -> Certificate:
    """Reads the form that `plain` writes. Raises CertificateInvalid for any other, also for one that proves less than it claims."""
    try:
        read = _Stored.model_validate(dict(stored))
    except ValidationError as error:
        where = "; ".join(f"/{'/'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise CertificateInvalid(f"this is no certificate: {where}; make one with `ordermend eval tune`") from error
    if read.bound > read.alpha or read.spent > read.delta or not read.errors <= read.accepted <= read.labels:
        raise CertificateInvalid("this certificate proves less than it claims; make one with `ordermend eval tune`")
    fields = read.model_dump(exclude={"schema_", "keys"})
    return Certificate(**fields, keys=Keys(**read.keys.model_dump()))


def taxonomy_version() -> str:
    """sha256 over the names of the categories: with another set of classes a confidence means something else."""
    return sha256_of(sorted(category.value for category in Category))


def certificates_from(document: Any) -> tuple[Certificate, ...]:
    """The file that `ordermend eval tune --out` writes. Raises CertificateInvalid when any of it cannot be relied on."""
    if not isinstance(document, Mapping) or document.get("schema") != FILE_SCHEMA or set(document) != {"schema", "certificates"}:
        raise CertificateInvalid(f"this is no file of {FILE_SCHEMA}; make one with `ordermend eval tune --out`")
    stored = document["certificates"]
    if not isinstance(stored, list) or not all(isinstance(item, Mapping) for item in stored):
        raise CertificateInvalid("/certificates: must be a list; make one with `ordermend eval tune --out`")
    return tuple(certificate_from(item) for item in stored)

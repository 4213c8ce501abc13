"""What every group of settings is made of, and where a model's weights come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Device = Literal["auto", "cpu", "cuda"]
UnitInterval = Annotated[float, Field(ge=0.0, le=1.0)]

# Where no commit of a repository could be verified when its preset was written: the branch is
# resolved when the weights are fetched, and dataset.json records the commit and the digest.
UNVERIFIED = "main"


def _numbered(schema: dict[str, Any]) -> None:
    """Number the fields: a server may store a schema in another order, and Prefect's form sorts."""
    for position, field in enumerate(schema.get("properties", {}).values()):
        field["position"] = position


class Settings(BaseModel):
    """Frozen; an unknown key is an error, since a misspelt setting must not be a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_numbered)


class Weights(Settings):
    """Where weights come from: a hub repository at a revision, a local folder, or a seed.

    Exactly one of `repo` (with `revision`), `folder` and `seed`; none of them means the preset's.
    """

    repo: str | None = Field(None, description="repository of the Hugging Face hub")
    revision: str | None = Field(None, description="its commit; needed with repo")
    folder: str | None = Field(None, description="folder as save_pretrained writes it")
    seed: int | None = Field(None, description="untrained weights; presets `mini` only")
    licence: str | None = Field(None, description="stated by whoever provides the weights")
    non_commercial: bool = Field(False, description="whether it forbids commercial use")
    variant: str | None = Field(None, description='file variant, e.g. "fp16"')

    @model_validator(mode="after")
    def _one_source(self) -> Weights:
        named = [n for n in ("repo", "folder", "seed") if getattr(self, n) is not None]
        if len(named) > 1:
            raise ValueError(f"weights take one of repo, folder or seed, not {' and '.join(named)}")
        if self.repo and not self.revision:
            raise ValueError(
                f"weights from {self.repo} need a revision (a commit of the repository)"
            )
        return self


def require_known(setting: str, name: str, known: Mapping[str, object]) -> None:
    """Refuse a preset that nobody knows.

    Raises:
        ValueError: names those that are known.
    """
    if name not in known:
        raise ValueError(f"unknown {setting} {name!r}; known: {', '.join(known)}")


def refuse_seed(weights: Weights) -> None:
    """Refuse a trained refiner made from a seed. Raises ValueError."""
    if weights.seed is not None:
        raise ValueError("refiner.model.weights.seed: an untrained refiner is not offered")


class Compute(Settings):
    """Settings of the machine that change the bytes of a label, and so belong to the recipe."""

    device: Device = Field("auto", description="auto is a GPU where the actor sees one")
    dtype: Literal["float32", "float16", "bfloat16"] = Field(
        "float32", description="of prior and captioner; the rest is float32"
    )
    num_threads: int = Field(1, ge=1, description="torch threads of one actor on a CPU")
    batch_size: int = Field(
        1, ge=1, description="images that share a forward; always run at this size, padded"
    )

    @model_validator(mode="after")
    def _place_in_a_batch_does_not_matter(self) -> Compute:
        if self.batch_size > 1 and self.num_threads > 1 and self.device != "cuda":
            raise ValueError(
                f"compute.batch_size is {self.batch_size} and num_threads {self.num_threads}: "
                "several CPU threads cut a batch where no image ends, and an image's last bits "
                "would depend on its place in it; take num_threads: 1 (and more actors), "
                "batch_size: 1, or device: cuda"
            )
        return self


class LicenceSource(StrEnum):
    """Who says under which licence weights come."""

    CARD = "card"
    REPOSITORY = "repository"
    INFERRED = "inferred"
    RECIPE = "recipe"
    NOT_STATED = "not stated"


_REMARKS = {
    LicenceSource.REPOSITORY: "says its code repository",
    LicenceSource.INFERRED: "inferred: its model card states none",
    LicenceSource.RECIPE: "says the recipe",
}


@dataclass(frozen=True, slots=True)
class Licence:
    """The terms that weights come under.

    Attributes:
        name: SPDX identifier or the licence's own name.
        source: who says so.
        non_commercial: whether it forbids commercial use.
    """

    name: str
    source: LicenceSource = LicenceSource.CARD
    non_commercial: bool = False

    @property
    def words(self) -> str:
        """The licence as a person reads it, with what is out of the ordinary about it."""
        remarks = [_REMARKS[self.source]] if self.source in _REMARKS else []
        remarks += ["non-commercial"] if self.non_commercial else []
        return self.name + (f" ({', '.join(remarks)})" if remarks else "")


NOT_STATED = Licence("not stated", LicenceSource.NOT_STATED)


@dataclass(frozen=True, slots=True)
class HubWeights:
    """A repository on the Hugging Face hub, pinned, with the licence its authors state.

    Attributes:
        num_parameters: of the networks that are read, counted on the architecture; None where
            nobody has counted.
        parameter_bytes: of one parameter in its files.
    """

    repo: str
    revision: str
    licence: Licence
    num_parameters: int | None = None
    parameter_bytes: int = 4


@dataclass(frozen=True, slots=True)
class PackagedWeights:
    """A folder that comes with redepth, relative to the package (docs/mini-models.md).

    Attributes:
        variant: of the files, as in model.fp16.safetensors.
    """

    folder: str
    variant: str = "fp16"
    licence: Licence = Licence("Apache-2.0")


PublishedWeights = HubWeights | PackagedWeights


@dataclass(frozen=True, slots=True)
class ModelUse:
    """A model that a recipe loads, before a byte of it is read.

    Attributes:
        role: "coarse", "refiner", "prior", "encoder" or "captioner".
        name: the preset's.
        own: what the recipe says of its weights; goes first.
        published: the preset's weights; None where nobody has published any, or where a plug-in
            loads them itself.
        licence: of weights that a plug-in loads itself.
    """

    role: str
    name: str
    own: Weights
    published: PublishedWeights | None
    licence: Licence | None = None

    @property
    def loads_itself(self) -> bool:
        """Whether nothing here knows where the weights are: a plug-in does."""
        named = self.own.repo is not None or self.own.folder is not None
        return self.published is None and self.licence is not None and not named

    @property
    def is_fetched(self) -> bool:
        """Whether the weights come from the hub."""
        if self.own.folder is not None or self.own.seed is not None:
            return False
        return self.own.repo is not None or isinstance(self.published, HubWeights)

    @property
    def counted(self) -> HubWeights | None:
        """The published weights that are read, where their parameters were counted."""
        has_own = (self.own.repo, self.own.folder, self.own.seed) != (None, None, None)
        if has_own or not isinstance(self.published, HubWeights):
            return None
        return None if self.published.num_parameters is None else self.published

    @property
    def terms(self) -> Licence | None:
        """The licence that the weights will come under; None for weights from a seed, or none."""
        if self.own.seed is not None:
            return None
        if self.own.repo is not None or self.own.folder is not None:
            return licence_of(self.own, self.published)
        known = self.licence or (None if self.published is None else self.published.licence)
        return None if known is None else amended(known, self.own)


def licence_of(own: Weights, published: PublishedWeights | None) -> Licence:
    """Return the licence of weights that a recipe names; a preset speaks for its own repository."""
    same = isinstance(published, HubWeights) and published.repo == own.repo
    return amended(published.licence if same and published is not None else NOT_STATED, own)


def amended(known: Licence, own: Weights) -> Licence:
    """Return a licence with what the recipe says of it; a ban on commercial use stays."""
    non_commercial = own.non_commercial or known.non_commercial
    if own.licence is not None:
        return Licence(own.licence, LicenceSource.RECIPE, non_commercial)
    return Licence(known.name, known.source, non_commercial)

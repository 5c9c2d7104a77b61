"""What an adapter says of itself: the content of `samdomain.json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from samdomain.catalogue import read_injection
from samdomain.errors import InputError
from samdomain.injection import Injection
from samdomain.sam import SamSpec

SCHEMA = 1
"""Version of the folder's format; a newer one is refused."""

Output = Literal["prompted", "semantic", "instances", "change"]
"""What a model with the adapter gives; it decides which command runs it."""


@dataclass(frozen=True)
class Base:
    """The weights that an adapter changes.

    Attributes:
        name: name of the weights, as `load_sam` knows it.
        sha256: digest of their file; empty for random weights.
    """

    name: str
    sha256: str = ""


@dataclass(frozen=True)
class DataSource:
    """Data that an adapter was trained on.

    Attributes:
        name: name of the data set, with its part.
        licence: terms of the data, or "unknown".
        source: where it comes from.
    """

    name: str
    licence: str
    source: str = ""


@dataclass(frozen=True)
class AdapterCard:
    """What only those know of an adapter who trained it.

    Attributes:
        summary: what the adapter is for, in a sentence or two.
        recipe: name of the recipe that trained it; empty for a plain tuning.
        output: what the model gives.
        options: values that the recipe is built with, as JSON can hold them.
        classes: names of the classes by index, for outputs with classes.
        pixel_size: ground size of a pixel in training in metres; None where it has none.
        metrics: figures of each seed, with the names of split and metric.
        data: what it was trained on.
        licence: terms of the adapter itself.
    """

    summary: str = ""
    recipe: str = ""
    output: Output = "prompted"
    options: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    pixel_size: float | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    data: tuple[DataSource, ...] = ()
    licence: str = "Apache-2.0"

    def __post_init__(self) -> None:
        """Refuse an output that no command runs."""
        if self.output not in get_args(Output):
            raise InputError(
                f"output {self.output!r} is unknown: allowed are {', '.join(get_args(Output))}"
            )


@dataclass(frozen=True)
class Adapter:
    """Describe an adapter in full.

    Attributes:
        card: what its trainers say.
        base: weights that it changes.
        spec: what the adapted model expects of images and prompts.
        injections: what was put into the base, first to last.
        files: SHA-256 of each file of tensors by its name.
        version: release of samdomain that wrote it.
    """

    card: AdapterCard
    base: Base
    spec: SamSpec
    injections: tuple[Injection, ...]
    files: Mapping[str, str]
    version: str

    def to_json(self) -> dict[str, Any]:
        """Return the description as values that JSON can hold."""
        return {
            "schema": SCHEMA,
            **asdict(self.card),
            "base": asdict(self.base),
            "spec": self.spec.to_json(),
            "injections": [one.to_json() for one in self.injections],
            "layout": "qv-blocks",  # how slices of a fused qkv stand in peft's file
            "files": dict(self.files),
            "version": self.version,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Adapter":
        """Read a description back from `to_json`.

        Raises:
            InputError: the schema is newer than this release, or a field is missing or wrong.
        """
        schema = values.get("schema")
        if not isinstance(schema, int) or schema > SCHEMA:
            raise InputError(
                f"the adapter has schema {schema!r}, this release reads up to {SCHEMA}: "
                "update it with pip install --upgrade samdomain"
            )
        try:
            card = {one.name: values[one.name] for one in fields(AdapterCard)}
            card["classes"] = tuple(card["classes"])
            card["data"] = tuple(DataSource(**one) for one in card["data"])
            return cls(
                card=AdapterCard(**card),
                base=Base(**values["base"]),
                spec=SamSpec.from_json(values["spec"]),
                injections=tuple(read_injection(one) for one in values["injections"]),
                files=dict(values["files"]),
                version=str(values["version"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"samdomain.json is not as save_adapter wrote it ({error}): get the adapter again"
            ) from error

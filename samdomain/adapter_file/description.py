"""What an adapter says of itself: the content of `samdomain.json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypeVar, get_args

from samdomain.catalogue import read_injection
from samdomain.errors import InputError
from samdomain.injection import Injection
from samdomain.json_values import check_values
from samdomain.sam import SamSpec

TENSORS = "samdomain.safetensors"
PEFT_TENSORS = "adapter_model.safetensors"
TENSOR_FILES = frozenset({TENSORS, PEFT_TENSORS})
"""Files of tensors that an adapter may have."""

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
        chip_size: side in pixels of the images in training, where they were cut out of larger
            ones: what the model sees at a time.
        value_range: lowest and highest value of a pixel in training, for models that scale by
            them; None where each image had its own.
        temperature: what logits are divided by before they become probabilities.
        modality: kind of image by DICOM's code, as "ES" of endoscopies or "CT"; empty where it does
            not matter.
        intended_use: what the adapter may be used for, and what it is not made for.
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
    chip_size: int | None = None
    value_range: tuple[float, ...] | None = None
    temperature: float = 1.0
    modality: str = ""
    intended_use: str = ""
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
            return cls(
                card=_read_card(values),
                base=_read(Base, values["base"]),
                spec=SamSpec.from_json(_object(values["spec"])),
                injections=tuple(read_injection(_object(one)) for one in values["injections"]),
                files=_read_files(values["files"]),
                version=str(values["version"]),
            )
        except (KeyError, TypeError, InputError) as error:
            told = f"{error} is missing" if isinstance(error, KeyError) else error
            raise InputError(
                f"samdomain.json is not as save_adapter wrote it: {told}; get the adapter again"
            ) from error


Read = TypeVar("Read", Base, DataSource, AdapterCard)


def _read(kind: type[Read], values: object) -> Read:
    given = _object(values)
    check_values(kind, given)
    return kind(**given)


# The first files of schema 1 have no such fields; their defaults say what was so then.
_LATER = frozenset({"chip_size", "value_range", "temperature", "modality", "intended_use"})


def _read_card(values: Mapping[str, Any]) -> AdapterCard:
    names = [one.name for one in fields(AdapterCard)]
    card: dict[str, Any] = {n: values[n] for n in names if n in values or n not in _LATER}
    card["data"] = tuple(_read(DataSource, one) for one in card["data"])
    check_values(AdapterCard, {name: one for name, one in card.items() if name != "data"})
    card["classes"] = tuple(card["classes"])
    if card.get("value_range"):
        card["value_range"] = tuple(card["value_range"])
    return AdapterCard(**card)


def _read_files(values: object) -> dict[str, str]:
    files = {name: str(digest) for name, digest in _object(values).items()}
    if foreign := files.keys() - TENSOR_FILES:
        raise InputError(f"it lists the file {min(foreign)!r}, which no adapter has")
    return files


def _object(values: object) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise InputError(f"{values!r} stands where an object with names is due")
    return values

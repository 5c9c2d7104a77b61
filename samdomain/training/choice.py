"""What a config says of the recipe, the base, the optimiser and the adapter that comes out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from samdomain.adapter_file import AdapterCard, DataSource, load_adapter
from samdomain.adapter_file.shipped import find_adapter
from samdomain.errors import InputError
from samdomain.recipes import THING, Recipe, preset, read_recipe
from samdomain.sam import Sam
from samdomain.training.sample import Scale
from samdomain.training.schedule import Cosine, Schedule
from samdomain.weights import load_sam


@dataclass(frozen=True)
class RecipeChoice:
    """Choose a recipe.

    Attributes:
        name: name of the recipe, as sam_sp.
        preset: which of its presets, as recommended or paper.
        options: values that differ from the preset's.
    """

    name: str
    preset: str = "recommended"
    options: dict[str, Any] = field(default_factory=dict)

    def build(self) -> Recipe:
        """Return the recipe.

        Raises:
            InputError: there is no such recipe, preset or option.
        """
        values = preset(self.name, self.preset).to_json()
        if unknown := self.options.keys() - values.keys():
            raise InputError(
                f"recipe {self.name!r} has no option {', '.join(sorted(unknown))}: it has "
                f"{', '.join(values)}"
            )
        return read_recipe(self.name, _merged(values, self.options))


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with changes, inside values that are mappings too."""
    merged = dict(values)
    for name, change in changes.items():
        old = merged.get(name)
        if isinstance(old, Mapping) and isinstance(change, Mapping):
            merged[name] = _merged(old, change)
        else:
            merged[name] = change
    return merged


@dataclass(frozen=True)
class BaseChoice:
    """Choose the weights to start from.

    Attributes:
        weights: a name that `samdomain weights list` shows, or the path of a checkpoint.
        input_size: side of the encoder's input in pixels; that of the weights by default.
        adapter: an adapter of the weights to go on from, its folder or name; none by default. What
            it learned is in the new adapter too, frozen where the recipe does not train it.
    """

    weights: str = "litemedsam"
    input_size: int | None = None
    adapter: str | None = None

    def load(self) -> Sam:
        """Return the model, nothing adapted.

        Raises:
            WeightsError: the weights are not on this machine.
        """
        return load_sam(self.weights, input_size=self.input_size)

    def begin(self, sam: Sam) -> tuple[DataSource, ...]:
        """Put the adapter to go on from onto the model that `load` returned, in itself.

        Returns:
            tuple: what the adapter was trained on: its terms are those of what comes out, too.

        Raises:
            InputError: there is no such adapter, or it belongs to other weights.
        """
        if self.adapter is None:
            return ()
        loaded = load_adapter(find_adapter(self.adapter), sam)
        return () if loaded.adapter is None else tuple(loaded.adapter.card.data)


@dataclass(frozen=True)
class Optimisation:
    """Set AdamW and how its rate goes.

    Attributes:
        rate: highest learning rate; by default what each stage of the recipe advises.
        weight_decay: decay of matrices; biases, norms and scales have none.
        schedule: how the rate goes over a stage.
    """

    rate: float | None = None
    weight_decay: float = 0.01
    schedule: Schedule = field(default_factory=Cosine)


@dataclass(frozen=True)
class CardChoice:
    """Say what the model card of the adapter shall say beside what is measured.

    Attributes:
        summary: what the adapter is for, in a sentence or two.
        licence: terms of the adapter.
        data: name, licence and source of the data that it is trained on.
        classes: names of what is found, where the recipe does not name them.
        pixel_size: ground size of a pixel in metres, where the data do not tell.
        modality: kind of image by DICOM's code; see `AdapterCard`.
        intended_use: what the adapter may be used for, and what it is not made for.
    """

    summary: str = ""
    licence: str = "Apache-2.0"
    data: tuple[DataSource, ...] = ()
    classes: tuple[str, ...] = ()
    pixel_size: float | None = None
    modality: str = ""
    intended_use: str = ""

    def card(
        self,
        recipe: Recipe,
        scale: Scale,
        metrics: Mapping[str, Any],
        before: tuple[DataSource, ...] = (),
    ) -> AdapterCard:
        """Return the card of an adapter that a recipe trained on data of a scale.

        Args:
            recipe: what trained.
            scale: scale of the data.
            metrics: what was measured.
            before: what an adapter that training went on from was trained on.
        """
        output: Any = recipe.output
        named = recipe.legend not in {None, THING}
        return AdapterCard(
            summary=self.summary,
            recipe=recipe.name,
            output=output,
            options=recipe.to_json(),
            classes=recipe.legend.names if recipe.legend and named else tuple(self.classes),
            pixel_size=self.pixel_size or scale.pixel,
            chip_size=scale.chip,
            value_range=scale.values,
            modality=self.modality,
            intended_use=self.intended_use,
            metrics=metrics,
            data=(*before, *self.data),
            licence=self.licence,
        )

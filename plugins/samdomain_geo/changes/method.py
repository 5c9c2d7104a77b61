"""Choose how two dates are compared, by what an adapter gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from samdomain import load_sam
from samdomain.acceleration import accelerate
from samdomain.adapter_file import Adapter, read_adapter
from samdomain.adapter_file.shipped import find_adapter
from samdomain.errors import InputError
from samdomain.sam import Sam
from samdomain.weights import DEFAULT
from samdomain_geo.changes.latent import LatentNetwork, LatentSource, Matching, measure_matching
from samdomain_geo.changes.meaning import Changed, Transitions
from samdomain_geo.changes.networks import ChangeSource, TwoDatesSource
from samdomain_geo.changes.work import StretchedPair
from samdomain_geo.classes.class_network import NetworkSource, chips_for
from samdomain_geo.classes.named_pixels import legend_of
from samdomain_geo.engine.plan import Manifest
from samdomain_geo.engine.record import identify_adapter
from samdomain_geo.given import Given
from samdomain_geo.results.colours import BACKGROUND
from samdomain_geo.scenes.chips import Chips

FIRST_SIGHT = (
    "no adapter was given: this is a rough first look (latent matching). It tells where the dates "
    "look different to weights that were trained on neither, be it a building, a crop or a shadow; "
    "its values are no probabilities, and the threshold is the scene's own. An adapter that was "
    "trained for change tells more"
)


class RunningNetwork(Protocol):
    """A network that compares chips, and says what runs it."""

    def __call__(self, chips: Any) -> Any:
        """Return probabilities of chips; see `classes.probability.Network`."""
        ...

    @property
    def engine(self) -> str:
        """What runs the model, in words."""
        ...


@dataclass(frozen=True)
class NamedNetwork:
    """A network to be loaded in any process, and what the record tells of it.

    Attributes:
        load: loads it.
        weights: name and SHA-256 of the base.
        adapter: folder and files of the adapter; None without.
        measured: settings that were measured in the scene, for the manifest.
        told: what of them the record tells.
    """

    load: Callable[[], RunningNetwork]
    weights: Mapping[str, str]
    adapter: Mapping[str, Any] | None
    measured: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)


class Method(Protocol):
    """A way of comparing two dates."""

    name: str
    notes: tuple[str, ...]

    @property
    def meaning(self) -> Changed | Transitions:
        """What its answers mean."""
        ...

    @property
    def channels(self) -> int:
        """Bands that it takes of each date."""
        ...

    @property
    def taker(self) -> str:
        """What takes them, in words."""
        ...

    def chips(self, pixel: float | None) -> Chips:
        """Return the grid of chips for pixels of a size in metres; None where it has none."""
        ...

    def network(self, pixels: StretchedPair, chips: Chips, begun: Manifest | None) -> NamedNetwork:
        """Return the network for two dates; what work that goes on has measured is kept."""
        ...


def method_for(given: Given) -> Method:
    """Choose by the adapter that is given, if any.

    Raises:
        InputError: the adapter gives neither changes nor classes.
    """
    if given.adapter is None:
        return FirstSight(given, load_sam(given.weights or DEFAULT))
    adapter = read_adapter(find_adapter(given.adapter))
    if adapter.card.output == "change":
        return ByChange(given, adapter)
    if adapter.card.output == "semantic":
        return ByClasses(given, adapter)
    needed = " --prompts VECTOR" if adapter.card.output == "prompted" else ""
    raise InputError(
        f"the adapter {given.adapter} gives {adapter.card.output} results, which are no change: "
        f"run samdomain segment{needed} with it on each date, or give one whose output is change "
        "or semantic"
    )


@dataclass(frozen=True)
class _ByAdapter:
    given: Given
    adapter: Adapter

    @property
    def channels(self) -> int:
        """See `Method`."""
        return self.adapter.spec.input_channels

    @property
    def taker(self) -> str:
        """See `Method`."""
        return "the adapter"

    def chips(self, pixel: float | None) -> Chips:
        """See `Method`."""
        return chips_for(self.adapter.card, self.adapter.spec.input_size, pixel)

    def _named(self, load: Callable[[], RunningNetwork]) -> NamedNetwork:
        base = {"name": self.adapter.base.name, "sha256": self.adapter.base.sha256}
        return NamedNetwork(load, base, identify_adapter(str(self.given.adapter)))

    def _asked(self, chips: Chips) -> tuple[str, str | None, Any, int]:
        folder = str(find_adapter(str(self.given.adapter)).absolute())
        return folder, self.given.weights, self.given.flags["precision"], chips.size


@dataclass(frozen=True)
class ByChange(_ByAdapter):
    """By an adapter that was trained on pairs.

    Attributes:
        given: flags of the command.
        adapter: what the adapter says of itself.
    """

    name = "adapter of change"
    notes: tuple[str, ...] = ()

    @property
    def meaning(self) -> Changed:
        """See `Method`."""
        return Changed()

    def network(self, pixels: StretchedPair, chips: Chips, begun: Manifest | None) -> NamedNetwork:  # noqa: ARG002 - nothing is measured
        """See `Method`."""
        return self._named(ChangeSource(*self._asked(chips)))


@dataclass(frozen=True)
class ByClasses(_ByAdapter):
    """By the classes that an adapter of one date gives both.

    Attributes:
        given: flags of the command.
        adapter: what the adapter says of itself.
    """

    name = "classes of both dates"
    notes: tuple[str, ...] = ()

    @property
    def meaning(self) -> Transitions:
        """See `Method`.

        Raises:
            InputError: a pixel may have several of the adapter's classes.
        """
        legend = legend_of(self.adapter)
        if not legend.overlapping:
            return Transitions(legend.names)
        if len(legend) == 1:
            return Transitions((BACKGROUND, *legend.names))
        raise InputError(
            f"a pixel may have several of the adapter's classes ({', '.join(legend.names)}), so "
            "that it has no one class to change from: segment both dates, and compare in a GIS"
        )

    def network(self, pixels: StretchedPair, chips: Chips, begun: Manifest | None) -> NamedNetwork:  # noqa: ARG002 - nothing is measured
        """See `Method`."""
        alone = legend_of(self.adapter).overlapping
        return self._named(TwoDatesSource(NetworkSource(*self._asked(chips)), alone))


@dataclass(frozen=True, eq=False)
class FirstSight:
    """By the features of weights that nobody adapted.

    Attributes:
        given: flags of the command.
        sam: the weights.
    """

    given: Given
    sam: Sam
    name = "latent matching, zero-shot"
    notes: tuple[str, ...] = (FIRST_SIGHT,)

    @property
    def meaning(self) -> Changed:
        """See `Method`."""
        return Changed()

    @property
    def channels(self) -> int:
        """See `Method`."""
        return self.sam.spec.input_channels

    @property
    def taker(self) -> str:
        """See `Method`."""
        return repr(self.sam.spec.name)

    def chips(self, pixel: float | None) -> Chips:  # noqa: ARG002 - its weights know no size
        """See `Method`."""
        side = self.sam.spec.input_size
        return Chips(side, overlap=side // 4, margin=side // 16)

    def network(self, pixels: StretchedPair, chips: Chips, begun: Manifest | None) -> NamedNetwork:
        """See `Method`."""
        precision = self.given.flags["precision"]
        fast = accelerate(self.sam, precision)
        if begun is None or "latent" not in begun.measured:
            matching = measure_matching(pixels, fast, chips)
        else:
            matching = Matching.read(dict(begun.measured["latent"]))
        weights = {"name": self.sam.spec.name, "sha256": self.sam.weights_sha256}
        load = LatentSource(self.given.weights or DEFAULT, precision, chips.size, matching)
        # The model is here already: it need not be loaded once more in this process.
        vars(load)["_network"] = LatentNetwork(fast, chips.size, matching)
        return NamedNetwork(
            load, weights, None, {"latent": matching.to_json()}, {"latent": matching.told()}
        )

"""Name every pixel of a scene by an adapter that needs no prompts."""

from dataclasses import asdict, replace

from samdomain.adapter_file import Adapter, read_adapter
from samdomain.adapter_file.shipped import find_adapter
from samdomain.door import Facts
from samdomain.errors import InputError
from samdomain.recipes import Legend, read_recipe
from samdomain_geo.classes.class_network import NetworkSource, chips_for
from samdomain_geo.classes.classification import Classification, finish_classification, results
from samdomain_geo.classes.probability import ProbabilityWork
from samdomain_geo.data.scene_chip import FILL
from samdomain_geo.engine.conduct import Conduct
from samdomain_geo.engine.plan import Tiling
from samdomain_geo.engine.record import Stopwatch, identify_adapter
from samdomain_geo.given import Given
from samdomain_geo.polygons.vector import pixel_width
from samdomain_geo.scenes.block_cache import block_cache
from samdomain_geo.scenes.ellipsoid import Ellipsoid
from samdomain_geo.scenes.raster import Scene, open_scene
from samdomain_geo.scenes.stretch import parse_stretch

_RGB = 3

COMMANDS = {"change": "change BEFORE AFTER"}
"""What runs adapters that `segment` refuses, by their output."""


def name_pixels(
    given: Given, tiling: Tiling, conduct: Conduct, clock: Stopwatch
) -> Classification | Facts:
    """Give the classes of all pixels.

    Raises:
        InputError: no adapter is named, or it needs prompts, or it does not fit the scene.
        StoppedError: stopped half-way; `resume` goes on.
    """
    adapter = _adapter(given)
    place = given.place(results(given.vector))
    if (ended := conduct.ended(place)) is not None:
        return ended
    bands, nodata = given.which
    channels = adapter.spec.input_channels
    if bands is None and channels != _RGB:
        bands = tuple(range(1, channels + 1))
    with block_cache(), open_scene(given.scene, bands, nodata) as scene:
        ellipsoid = Ellipsoid.of(scene.crs)
        given.vector.check(scene.crs)
        given.shaping.check(ellipsoid)
        _check_bands(adapter, scene)
        pixel = None if ellipsoid is None else pixel_width(scene, ellipsoid)
        chips = chips_for(adapter.card, adapter.spec.input_size, pixel)
        stretch = parse_stretch(given.flags["stretch"])(scene)
        folder, precision = str(find_adapter(str(given.adapter))), given.flags["precision"]
        load = NetworkSource(folder, given.weights, precision, chips.size)
        # Loaded once here, so that a model that is not there stops the run before it begins.
        sam = load().segmenter.sam
        work = ProbabilityWork(load, bands, stretch, (FILL,) * channels, chips, nodata)
        inputs = {
            "weights": {"name": adapter.base.name, "sha256": adapter.base.sha256},
            "adapter": identify_adapter(folder),
            "engine": getattr(sam, "engine", ""),
            "legend": _told(legend_of(adapter)),
        }
        measured = {
            "stretch": asdict(stretch),
            "chips": asdict(chips),
            "pixel_size": pixel,
            "temperature": adapter.card.temperature,
        }
        flags = dict(given.flags) | {"bands": None if bands is None else list(bands)}
        asked = replace(given, flags=flags)
        threads = conduct.threads_at(place)
        manifest = asked.manifest(scene, tiling, threads, measured, inputs)
    clock.lap("prepare")
    return conduct.carry_out(
        place,
        manifest,
        work,
        lambda store, spent: finish_classification(store, clock.seconds | spent),
    )


def _adapter(given: Given) -> Adapter:
    if given.adapter is None:
        raise InputError(
            "neither --prompts nor --adapter is given: name a vector file of boxes or clicks, or "
            "an adapter that finds without them (samdomain adapter list)"
        )
    adapter = read_adapter(find_adapter(given.adapter))
    if adapter.card.output != "semantic":
        raise InputError(
            f"the adapter {given.adapter} gives {adapter.card.output} results: "
            + (
                "name boxes or clicks with --prompts"
                if adapter.card.output == "prompted"
                else f"samdomain {COMMANDS.get(adapter.card.output, adapter.card.output)} runs it"
            )
        )
    return adapter


def legend_of(adapter: Adapter) -> Legend:
    """Return what the channels mean; an adapter of one kind of thing names it in its card."""
    legend = read_recipe(adapter.card.recipe, adapter.card.options).legend
    if legend is None:
        raise InputError(f"recipe {adapter.card.recipe!r} of the adapter finds nothing by itself")
    if len(legend) == len(adapter.card.classes):
        return replace(legend, names=tuple(adapter.card.classes))
    return legend


def _told(legend: Legend) -> dict[str, object]:
    return {"names": list(legend.names), "overlapping": legend.overlapping}


def _check_bands(adapter: Adapter, scene: Scene) -> None:
    if len(scene.bands) != adapter.spec.input_channels:
        raise InputError(
            f"--bands names {len(scene.bands)}, but the adapter takes {adapter.spec.input_channels}"
        )

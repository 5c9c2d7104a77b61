"""Small trained modules beside the frozen layers of an encoder, or behind its maps."""

from samdomain.adapters.bottleneck import AdaptFormer, Bottleneck, Houlsby, MedicalAdapter
from samdomain.adapters.convolution import ConvAdapter
from samdomain.adapters.high_frequency import HighFrequencyPrompt
from samdomain.injection import Injected
from samdomain.sam import Sam

__all__ = [
    "AdaptFormer",
    "Bottleneck",
    "ConvAdapter",
    "HighFrequencyPrompt",
    "Houlsby",
    "MedicalAdapter",
    "add_adapter",
]


def add_adapter(sam: Sam, adapter: Bottleneck | HighFrequencyPrompt | None = None) -> Injected:
    """Put adapters into a model's image encoder, in the model itself.

    Its output stays as it was until they are trained.

    Args:
        sam: model to change.
        adapter: which adapters, and where; `Houlsby()` by default.

    Returns:
        Injected: what was touched.

    Raises:
        InjectionError: the adapter does not fit the model; the model is as it was.
    """
    return (adapter or Houlsby())(sam)

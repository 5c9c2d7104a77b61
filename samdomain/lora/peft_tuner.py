"""Put any tuner of peft into a SAM, as peft itself does it."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, cast

from peft import PeftConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import Tensor, nn

from samdomain.errors import InjectionError, MergeError
from samdomain.injection import Injected, InjectedModule, Injection
from samdomain.lora.peft_writing import config_json
from samdomain.sam import Sam

_BASE = "tuner.base_layer."


@dataclass(frozen=True)
class PeftTuner(Injection):
    """Put one of peft's tuners into a model.

    Attributes:
        config: the tuner's config as `adapter_config.json` holds it, `peft_type` and
            `target_modules` among it.

    Raises:
        InjectionError: peft refuses the config, or the tuner does more than to replace layers.
    """

    kind: ClassVar[str] = "peft"
    config: Mapping[str, Any]

    def replacements(self, sam: Sam) -> Mapping[str, nn.Module]:
        """Let peft put its layers into a copy that shares the weights, and take them over."""
        names = {name: type(module) for name, module in sam.named_modules()}
        twin = _twin(sam)
        with _kept_flags(sam):
            try:
                inject_adapter_in_model(self._read(), twin)
            except (ValueError, TypeError, KeyError, NotImplementedError) as error:
                raise InjectionError(f"peft cannot put this tuner into a SAM: {error}") from error
        found = {n: m for n, m in twin.named_modules() if n in names and type(m) is not names[n]}
        if wrapped := [n for n, m in found.items() if isinstance(m, AuxiliaryTrainingWrapper)]:
            raise InjectionError(
                f"modules_to_save would train {wrapped[0]!r} beside the tuner: name what else "
                "shall train with samdomain.policies"
            )
        layers = {n: m for n, m in found.items() if isinstance(m, BaseTunerLayer)}
        return {name: PeftLayer(cast(nn.Module, layer)) for name, layer in layers.items()}

    def _read(self) -> PeftConfig:
        config = PeftConfig.from_peft_type(**self.config)
        if getattr(config, "bias", "none") != "none":
            raise InjectionError(
                f"bias={self.config['bias']!r} would train the base's biases: leave it out, and "
                "let them train with samdomain.policies"
            )
        return config


class PeftLayer(InjectedModule):
    """Hold a layer of peft, and keep the keys of the layer in whose place it stands.

    Args:
        tuner: layer of peft around a layer of the base.
    """

    def __init__(self, tuner: nn.Module) -> None:
        super().__init__()
        self.tuner = tuner
        self.register_state_dict_post_hook(_hide_base)
        self.register_load_state_dict_pre_hook(_find_base)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Return what peft's layer returns."""
        return self.tuner(*inputs, **named)

    def merged(self) -> nn.Module:
        """Return the base's layer with the tuner folded in, where peft can do it."""
        tuner: Any = copy.deepcopy(self.tuner)
        try:
            tuner.merge(safe_merge=True)
        except (NotImplementedError, ValueError, RuntimeError, AttributeError) as error:
            kind = type(tuner).__name__
            raise MergeError(f"peft cannot merge its {kind}: {error}") from error
        return tuner.get_base_layer()


def add_peft(sam: Sam, config: PeftConfig | Mapping[str, Any]) -> Injected:
    """Put one of peft's tuners into a model; the short form of `PeftTuner`.

    Only layers that `target_modules` names are replaced, the rest of the base is frozen.
    Tuners that change the model's inputs (prompt tuning) or keep state outside of its layers
    (VeRA) are refused, as `peft.inject_adapter_in_model` refuses them.

    Args:
        sam: model to change.
        config: config of the tuner, as `peft.LoHaConfig(target_modules=["qkv"])`.

    Returns:
        Injected: what was touched.

    Raises:
        InjectionError: peft refuses the config, or nothing matches. The model is as it was.
    """
    if isinstance(config, PeftConfig):
        config = config_json(config)
    return PeftTuner(config)(sam)


def _twin(sam: Sam) -> Sam:
    """Return a copy of the model's modules that shares their tensors."""
    shared = {id(one): one for one in chain(sam.parameters(), sam.buffers())}
    return copy.deepcopy(sam, cast(dict[int, Any], shared))


@contextmanager
def _kept_flags(sam: Sam) -> Iterator[None]:
    """Undo what peft does to the flags of the shared parameters."""
    flags = [(one, one.requires_grad) for one in sam.parameters()]
    try:
        yield
    finally:
        for one, flag in flags:
            one.requires_grad_(flag)


def _hide_base(_: nn.Module, state: dict[str, Tensor], prefix: str, __: Any) -> None:
    hidden = prefix + _BASE
    for key in [key for key in state if key.startswith(hidden)]:
        state[prefix + key.removeprefix(hidden)] = state.pop(key)


def _find_base(layer: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    for name in cast(Any, layer).tuner.base_layer.state_dict():
        if prefix + name in state:
            state[prefix + _BASE + name] = state.pop(prefix + name)

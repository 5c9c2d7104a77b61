"""What of a SAM trains, stated as one value: injections, and parts of the base."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from samdomain.catalogue import read_injection
from samdomain.errors import InputError
from samdomain.injection import Injected, Injection, injections
from samdomain.lora import LoRA
from samdomain.modules import freeze
from samdomain.policies import train_parts
from samdomain.recipes.values import Values
from samdomain.sam import Sam
from samdomain.sam.spec import PROMPT_KINDS


@dataclass(frozen=True)
class Tuning(Values):
    """State what of a SAM trains; calling it on a model makes it so, in the model itself.

    All that is not named is frozen, so that a second tuning replaces the first one: what the
    first one injected keeps what it learned, and trains on where the second one has it too.

    Attributes:
        injections: what is put into the model, unless it is there already.
        parts: parts of the base that train, by their names in `samdomain.policies.PARTS`.
        prompts: kinds of prompt that are taught beside those that the weights understand;
            from then on the model takes them.
    """

    injections: Sequence[Injection] = ()
    parts: Sequence[str] = ()
    prompts: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse a tuning that trains nothing."""
        for name in ("injections", "parts", "prompts"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # YAML has lists
        if not self.injections and not self.parts:
            raise InputError(
                "a tuning needs something that trains: give injections, as LoRA(), or parts, "
                "as 'decoder'"
            )
        if unknown := set(self.prompts) - PROMPT_KINDS:
            raise InputError(
                f"prompt kinds {sorted(unknown)} are unknown: allowed are {sorted(PROMPT_KINDS)}"
            )

    def __call__(self, sam: Sam) -> tuple[Injected, ...]:
        """Inject what is not there yet, and let nothing train but what is named.

        Returns:
            tuple: what the injections of this tuning touched, in their order.

        Raises:
            InjectionError: an injection fits nothing in the model.
            InputError: a part has no parameter in the model.
        """
        records = tuple(_there(sam, one) or one(sam) for one in self.injections)
        freeze(sam)
        train_parts(sam, self.parts)
        added = {key for record in records for key in record.added}
        for name, parameter in sam.named_parameters():
            if name in added:
                parameter.requires_grad_(True)
        kinds = {kind for kind in PROMPT_KINDS if kind in self.prompts}
        sam.spec = replace(sam.spec, prompts=sam.spec.prompts | kinds)
        return records

    def to_json(self) -> dict[str, Any]:
        """Return the tuning as values that JSON can hold."""
        return {
            "injections": [one.to_json() for one in self.injections],
            "parts": list(self.parts),
            "prompts": list(self.prompts),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Tuning":
        """Read a tuning back from `to_json`.

        Raises:
            InputError: a field or an injection is unknown to this release.
        """
        read = [read_injection(one) for one in values.get("injections", ())]
        return super().from_json({**values, "injections": read})


def _there(sam: Sam, injection: Injection) -> Injected | None:
    return next((one for one in injections(sam) if one.injection == injection), None)


_DECODER = LoRA(("decoder.q", "decoder.k", "decoder.v", "decoder.proj", "decoder.mlp"), rank=16)
_PARTS = ("decoder.norms", "decoder.tokens", "prompt_encoder.null")

LIGHT_DECODER = Tuning((_DECODER,), _PARTS)
"""Low-rank updates in all of the decoder, its norms and tokens, and the embedding of no mask."""

LAST_BLOCK = LoRA(
    (
        "encoder.q",
        "encoder.k",
        "encoder.v",
        "encoder.proj",
        "encoder.mlp",
        "encoder.neck",
    ),
    rank=8,
    last=1,
)
"""Low-rank updates in all that runs from the encoder's last block on, half of LiteMedSAM's last
stage: gradients have to pass it for any of them, so that more of them cost nearly nothing."""

LIGHT = Tuning((_DECODER, LAST_BLOCK), _PARTS)
"""`LIGHT_DECODER` and `LAST_BLOCK`: what a CPU trains within the hour, since all that comes before
is computed once."""

"""The contract of injections: silent at the start, alone in training, and easy to carry."""

import copy
import pickle
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from samdomain.errors import InjectionError, MergeError
from samdomain.injection import Injected, adapted_state, injections, merge
from samdomain.sam import Prompts, Sam, decode, encode

Inject = Callable[[Sam], Injected]
"""Anything that changes a model and tells what it did: a spec, or `partial(add_lora, rank=2)`."""


Model = TypeVar("Model", bound=nn.Module)


Ask = Callable[[Sam], Tensor]
"""Ask a model something; the answer is logits."""


def check_injection(
    sam: Sam, inject: Inject, tolerance: float = 1e-5, ask: Ask | None = None
) -> None:
    """Check that an injection keeps the contract that samdomain's functions rely on.

    A model without a place for it refuses it; output is unchanged before training; a
    checkpoint of the base loads before and after; only what was named trains, and all of it
    gets gradients; copies, pickles and the adapter's tensors carry it whole; it runs under bf16
    autocast; merged it computes the same, or the merge is refused and nothing changed; a second
    one is refused.

    Args:
        sam: model without injections; it is copied and not changed.
        inject: what changes a model.
        tolerance: largest allowed difference of logits, relative to the largest logit.
        ask: what an adapted model is asked once it is trained; by default the box that the base
            is asked before, which an injection for something else never changes.

    Raises:
        AssertionError: the contract is broken; the message says where.
    """
    ask = ask or logits
    base = copy.deepcopy(sam).eval()
    _check_no_match(base, inject)
    adapted = copy.deepcopy(base)
    record = inject(adapted)
    _check_keys(base, adapted, record)
    if (difference := _difference(_infer(adapted, logits), _infer(base, logits))) > tolerance:
        raise AssertionError(f"the output differs by {difference} before anything was trained")
    _check_gradients(adapted, record, ask)
    before = _infer(adapted, ask)
    move_trained(adapted, 0.02)
    trained = _infer(adapted, ask)
    if _difference(trained, before) <= tolerance:
        raise AssertionError("the output stays the base's whatever was added")
    _check_copies(base, adapted, inject, ask)
    _check_autocast(adapted, ask)
    _check_merge(base, adapted, tolerance, ask)
    _check_twice(adapted, inject)


def logits(sam: Sam) -> Tensor:
    """Return a model's low-resolution logits (1, 1, s, s) for a box on a made image."""
    embedding = encode(sam, made_image(sam))
    return decode(sam, embedding, Prompts(boxes=torch.tensor([[4.0, 4, 40, 30]]))).low_res


def made_image(sam: Sam) -> Tensor:
    """Return an image (C, 48, 64) of values 0 to 255 with a model's bands, always the same."""
    generator = torch.Generator().manual_seed(0)
    bands = sam.spec.input_channels
    # The first three are the same however many bands there are.
    pixels = torch.cat([torch.rand((1, 48, 64), generator=generator) for _ in range(bands)]) * 255
    return pixels.to(next(sam.parameters()).device)


def move_trained(sam: Model, scale: float = 0.1, *, seed: int = 1) -> Model:
    """Add noise to all that trains, as steps of training would; always the same.

    Args:
        sam: model to change.
        scale: standard deviation of the noise.
        seed: another one gives other noise.

    Returns:
        The same model.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in sam.parameters():
            if one.requires_grad:
                one.add_(torch.randn(one.shape, generator=generator).to(one) * scale)
    return sam


def _infer(sam: Sam, ask: Ask) -> Tensor:
    with torch.no_grad():
        return ask(sam)


def _check_no_match(base: Sam, inject: Inject) -> None:
    empty = Sam(base.image_encoder, base.prompt_encoder, base.mask_decoder, base.spec)
    for name in ("image_encoder", "prompt_encoder", "mask_decoder"):
        setattr(empty, name, nn.Identity())
    try:
        inject(empty)
    except InjectionError:
        if injections(empty) or list(empty.parameters()):
            raise AssertionError("a refused injection changed the model") from None
        return
    raise AssertionError("a model without a place for it was not refused")


def _check_keys(base: Sam, adapted: Sam, record: Injected) -> None:
    if lost := set(base.state_dict()) - set(adapted.state_dict()):
        raise AssertionError(f"the base's key {min(lost)!r} is gone")
    loaded = adapted.load_state_dict(base.state_dict(), strict=False)
    # torch fills in the counters of batches, as of checkpoints from before it had them.
    added = {key for key in record.added if not key.endswith("num_batches_tracked")}
    if foreign := set(loaded.missing_keys) ^ added:
        raise AssertionError(f"{min(foreign)!r} is not told from the base by the record")
    if injections(adapted)[-1:] != (record,):
        raise AssertionError("the record does not stay with the model")


def _check_gradients(adapted: Sam, record: Injected, ask: Ask) -> None:
    adapted.train()
    ask(adapted).square().mean().backward()
    for name, one in adapted.named_parameters():
        if one.requires_grad != (name in record.added):
            raise AssertionError(f"{name!r} trains or not, against what the record says")
        if one.requires_grad != (one.grad is not None):
            raise AssertionError(f"{name!r} gets a gradient or not, against what it asks for")
    if not any(one.grad is not None and one.grad.any() for one in adapted.parameters()):
        raise AssertionError("every gradient is zero: nothing would ever train")
    adapted.zero_grad()
    adapted.eval()


def _check_copies(base: Sam, adapted: Sam, inject: Inject, ask: Ask) -> None:
    trained = _infer(adapted, ask)
    loaded = copy.deepcopy(base)
    inject(loaded)
    state = {name: value.clone() for name, value in adapted_state(adapted).items()}
    if unexpected := loaded.load_state_dict(state, strict=False).unexpected_keys:
        raise AssertionError(f"the adapter's tensor {unexpected[0]!r} finds no place")
    copies = {
        "its tensors, loaded": loaded,
        "a deep copy": copy.deepcopy(adapted),
        "a pickle": pickle.loads(pickle.dumps(adapted)),
    }
    for what, found in copies.items():
        if not torch.equal(_infer(found, ask), trained):
            raise AssertionError(f"{what} gives other logits")
        if injections(found) != injections(adapted):
            raise AssertionError(f"{what} has another record")


def _check_autocast(adapted: Sam, ask: Ask) -> None:
    device = next(adapted.parameters()).device.type
    adapted.train()
    with torch.autocast(device, torch.bfloat16):
        loss = ask(adapted).float().square().mean()
    loss.backward()
    adapted.eval()
    grads = [one.grad for one in adapted.parameters() if one.grad is not None]
    if not all(bool(value.isfinite().all()) for value in (loss, *grads)):
        raise AssertionError("a value is not finite under bf16 autocast")
    adapted.zero_grad()


def _check_merge(base: Sam, adapted: Sam, tolerance: float, ask: Ask) -> None:
    trained = _infer(adapted, ask)
    merged = copy.deepcopy(adapted)
    try:
        merge(merged)
    except MergeError:
        if not torch.equal(_infer(merged, ask), trained):
            raise AssertionError("a refused merge changed the model") from None
        return
    if (difference := _difference(_infer(merged, ask), trained)) > tolerance:
        raise AssertionError(f"merged, the logits differ by {difference}")
    if merged.state_dict().keys() != base.state_dict().keys():
        raise AssertionError("a merged model has other keys than the base")
    if _kinds(merged) != _kinds(base):
        raise AssertionError("a merged model has modules of another kind than the base")


def _check_twice(adapted: Sam, inject: Inject) -> None:
    keys = set(adapted.state_dict())
    try:
        inject(adapted)
    except InjectionError:
        if set(adapted.state_dict()) != keys:
            raise AssertionError("a refused injection changed the model") from None
        return
    raise AssertionError("the same injection was put in twice")


def _kinds(model: nn.Module) -> dict[str, type]:
    return {name: type(module) for name, module in model.named_modules()}


def _difference(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, relative to the largest value where that is above 1."""
    return float((found - expected).abs().max()) / max(1.0, float(expected.abs().max()))

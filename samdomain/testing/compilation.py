"""Whether what was injected into a model can be compiled."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from samdomain.sam import Sam
from samdomain.testing.injections import Inject, logits, move_trained


def check_compiled(
    sam: Sam, inject: Inject, tolerance: float = 1e-5, *, one_graph: bool = True
) -> None:
    """Check that torch.compile takes the modules of an injection.

    One module of each kind is compiled for training by the backend "aot_eager", which traces
    forward and backward and needs no C++ compiler.

    Args:
        sam: model without injections; it is copied and not changed.
        inject: what changes a model.
        tolerance: largest allowed difference between a module compiled and as it is, relative
            to the largest value.
        one_graph: ask for one graph of each module; False where what runs depends on values, as
            the experts of Conv-LoRA do.

    Raises:
        AssertionError: a compiled module gives other results, or no gradients.
    """
    adapted = copy.deepcopy(sam).eval()
    record = inject(adapted)
    move_trained(adapted)
    modules = {type(one): one for one in map(adapted.get_submodule, record.modules)}
    for module in modules.values():
        torch.compiler.reset()  # torch stops compiling code that it has compiled for many models
        compiled = torch.compile(module, backend="aot_eager", fullgraph=one_graph)
        given, named = _inputs(adapted, module)
        expected = _tensor(module(*given, **named))
        found = _tensor(compiled(*given, **named))
        _check_equal(module, found, expected, tolerance)
        module.zero_grad()
        found.square().mean().backward()
        if not any(one.grad is not None and one.grad.any() for one in module.parameters()):
            raise AssertionError(f"{type(module).__name__}, compiled, gets no gradients")


def _inputs(adapted: Sam, module: nn.Module) -> tuple[Any, Any]:
    """Return what a module is called with when the model runs."""
    calls: list[tuple[Any, Any]] = []
    hook = module.register_forward_pre_hook(
        lambda _, given, named: calls.append((given, named)), with_kwargs=True
    )
    with torch.no_grad():
        logits(adapted)
    hook.remove()
    return calls[0]


def _check_equal(module: nn.Module, found: Tensor, expected: Tensor, tolerance: float) -> None:
    largest = max(1.0, float(expected.detach().abs().max()))
    if (difference := float((found - expected).detach().abs().max()) / largest) > tolerance:
        raise AssertionError(f"{type(module).__name__}, compiled, differs by {difference}")


def _tensor(result: Any) -> Tensor:
    """Return the first tensor of what a module gave: an encoder gives its maps beside it."""
    return result if isinstance(result, Tensor) else result[0]

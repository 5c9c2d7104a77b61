"""Prompt tuning: what is learned is read by frozen layers, beside their own input."""

from samdomain.injection import Injected
from samdomain.prompt_tokens.map import PromptMap
from samdomain.prompt_tokens.tokens import Prefix, PromptTokens
from samdomain.sam import Sam

__all__ = ["Prefix", "PromptMap", "PromptTokens", "add_prompt_tokens"]


def add_prompt_tokens(
    sam: Sam, tokens: PromptTokens | Prefix | PromptMap | None = None
) -> Injected:
    """Put learned prompts into a model, in the model itself.

    Its output stays as it was until they are trained.

    Args:
        sam: model to change.
        tokens: which prompts, and where; `PromptTokens()` for the decoder by default.

    Returns:
        Injected: what was touched.

    Raises:
        InjectionError: the prompts do not fit the model; the model is as it was.
    """
    return (tokens or PromptTokens())(sam)

"""Classes in the place of prompts: heads on a SAM that name every pixel."""

from samdomain.classes.head import ClassHead, classify, head_of
from samdomain.classes.pyramid import PyramidClasses
from samdomain.classes.tokens import ClassTokens

__all__ = ["ClassHead", "ClassTokens", "PyramidClasses", "classify", "head_of"]

"""What a SAM is: its spec, its three parts, and the two steps from pixels to masks."""

from samdomain.sam.decoding import Prediction, decode
from samdomain.sam.embedding import Embedding
from samdomain.sam.encoding import encode
from samdomain.sam.frame import Frame
from samdomain.sam.model import Sam, SamLike
from samdomain.sam.prompts import Prompts
from samdomain.sam.pyramid import pyramid
from samdomain.sam.spec import PromptKind, SamSpec

__all__ = [
    "Embedding",
    "Frame",
    "Prediction",
    "PromptKind",
    "Prompts",
    "Sam",
    "SamLike",
    "SamSpec",
    "decode",
    "encode",
    "pyramid",
]

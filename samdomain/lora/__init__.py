"""LoRA and its relatives: low-rank updates of a SAM's layers, and peft's file format for them.

Layers are ours, since peft knows no rows of a fused layer; what needs peft itself stands in
`peft_tuner` and `peft_writing`, which load it, and takes seconds to import.
"""

from samdomain.lora.experts import balance_loss
from samdomain.lora.spec import ConvLoRA, LoRA, add_lora

__all__ = ["ConvLoRA", "LoRA", "add_lora", "balance_loss"]

"""Ways of adapting a SAM, one file a paper: what trains, what it learns, and how it answers.

    recipe = preset("sam_sp")                       or SamSP(alpha=0.5), or read from YAML
    recipe.adapt(sam)                               injects, and sets what trains
    outputs = recipe.forward(sam, batch)            sam, or a CachedSam view of it
    total(recipe.loss(outputs, batch)).backward()
    recipe.predict(sam, image)                      no prompt needed

Recipes are values: they own no loop, no weights and no optimiser.
"""

from samdomain.recipes.batch import Batch
from samdomain.recipes.calibration import Calibration
from samdomain.recipes.class_cost import ClassCost
from samdomain.recipes.few_shots import few_shots
from samdomain.recipes.legend import CHANGE, THING, Legend
from samdomain.recipes.mask_loss import MaskLoss
from samdomain.recipes.reading import RECIPES, known_recipes, preset, read_recipe
from samdomain.recipes.recipe import (
    Answer,
    Guided,
    Outputs,
    Pooling,
    PromptFree,
    Recipe,
    Stage,
    total,
)
from samdomain.recipes.refinement import Refinement
from samdomain.recipes.sam import Promptable
from samdomain.recipes.sam_clip import SamCLIP
from samdomain.recipes.sam_sp import SamSP
from samdomain.recipes.samed import SAMed
from samdomain.recipes.samlp import SamLP
from samdomain.recipes.self_training import SelfTraining
from samdomain.recipes.strong_view import StrongView
from samdomain.recipes.tuning import Tuning
from samdomain.recipes.weak_prompts import WeakPrompts
from samdomain.recipes.wesam import WeSAM

__all__ = [
    "CHANGE",
    "RECIPES",
    "THING",
    "Answer",
    "Batch",
    "Calibration",
    "ClassCost",
    "Guided",
    "Legend",
    "MaskLoss",
    "Outputs",
    "Pooling",
    "PromptFree",
    "Promptable",
    "Recipe",
    "Refinement",
    "SAMed",
    "SamCLIP",
    "SamLP",
    "SamSP",
    "SelfTraining",
    "Stage",
    "StrongView",
    "Tuning",
    "WeSAM",
    "WeakPrompts",
    "few_shots",
    "known_recipes",
    "preset",
    "read_recipe",
    "total",
]

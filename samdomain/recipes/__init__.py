"""Ways of adapting a SAM, one file a paper: what trains, what it learns, and how it answers."""

from samdomain.recipes.batch import Batch
from samdomain.recipes.recipe import Answer, Outputs, Recipe, Stage, total
from samdomain.recipes.tuning import Tuning

__all__ = ["Answer", "Batch", "Outputs", "Recipe", "Stage", "Tuning", "total"]

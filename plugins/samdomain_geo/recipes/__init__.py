"""Recipes of remote sensing, found as those of the core are: `preset("sam_cd")`."""

from samdomain_geo.recipes.sam_cd import SamCD

__all__ = ["SamCD"]

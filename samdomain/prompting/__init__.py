"""Where prompts come from: true masks, simulated users, and the model's own answers.

All prompts are in pixels of the original images, (x, y) with the origin at the top-left
corner; a click is the centre of a pixel, and the far ends of a box are exclusive. Chance comes
from a `torch.Generator` that the caller seeds.
"""

from samdomain.prompting.answers import (
    ToPrompts,
    best_alternatives,
    best_masks,
    found,
    image_cells,
    no_prompts,
    original_masks,
    predicted_boxes,
    predicted_centres,
    predicted_masks,
    predicted_object_boxes,
    together,
    whole_images,
)
from samdomain.prompting.boxes import boxes_around, gaussian, rough_boxes_around, roughened, uniform
from samdomain.prompting.chosen import Pick, central_pixel, uniform_pixel
from samdomain.prompting.clicks import central_clicks, clicks_on, corrective_clicks
from samdomain.prompting.logits import low_res_masks, mask_prompts
from samdomain.prompting.polygons import coarse_masks, coarse_polygons, polygon_mask
from samdomain.prompting.schedule import Interaction, InteractiveSchedule, Turn
from samdomain.prompting.self_prompting import self_prompt

__all__ = [
    "Interaction",
    "InteractiveSchedule",
    "Pick",
    "ToPrompts",
    "Turn",
    "best_alternatives",
    "best_masks",
    "boxes_around",
    "central_clicks",
    "central_pixel",
    "clicks_on",
    "coarse_masks",
    "coarse_polygons",
    "corrective_clicks",
    "found",
    "gaussian",
    "image_cells",
    "low_res_masks",
    "mask_prompts",
    "no_prompts",
    "original_masks",
    "polygon_mask",
    "predicted_boxes",
    "predicted_centres",
    "predicted_masks",
    "predicted_object_boxes",
    "rough_boxes_around",
    "roughened",
    "self_prompt",
    "together",
    "uniform",
    "uniform_pixel",
    "whole_images",
]

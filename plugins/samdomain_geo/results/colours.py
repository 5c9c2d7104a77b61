"""Choose colours for numbered things, so that a number looks the same in every file."""

import colorsys

OUTLINE = (255, 213, 0)
"""Yellow of an object without a class: far from vegetation, soil, water and roofs alike."""

DOUBT = (215, 25, 28)
"""Red of an object that somebody should look at."""

GROUND = (225, 225, 225)
"""Pale grey of what is none of the classes that are looked for."""

BACKGROUND = "background"
"""Name of the class of pixels in no polygon, where these mean something."""

# Turning the hue by the golden ratio keeps any run of numbers as far apart as can be.
_GOLDEN = 0.618033988749895
_BRIGHTNESS = (1.0, 0.85, 0.7)
_SATURATION = (0.85, 0.6)


def colour_of(number: int) -> tuple[int, int, int]:
    """Return the colour of a class or an object as red, green and blue, 0 to 255.

    The same number always has the same colour, and numbers that follow one another have
    colours far apart.
    """
    hue = (number * _GOLDEN) % 1.0
    saturation = _SATURATION[number // len(_BRIGHTNESS) % len(_SATURATION)]
    rgb = colorsys.hsv_to_rgb(hue, saturation, _BRIGHTNESS[number % len(_BRIGHTNESS)])
    red, green, blue = (round(255 * part) for part in rgb)
    return red, green, blue


def colour_of_class(number: int, name: str) -> tuple[int, int, int]:
    """Return the colour of a class as red, green and blue, 0 to 255; a background is grey."""
    return GROUND if name == BACKGROUND else colour_of(number)

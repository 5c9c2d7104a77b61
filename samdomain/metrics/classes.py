"""Classes of pixels: the IoU of each over all images, and their means."""

from collections.abc import Mapping

Number = int | float


def class_figures(counts: Mapping[str, tuple[Number, Number, Number]]) -> dict[str, float]:
    """Return the IoU of each class, and two means.

    `pooled_miou` is the mean over all classes that are somewhere, in the truth or in the answers.
    `pooled_miou_true` is that over the classes that the truth has: of any other a single pixel in
    an answer makes an IoU of 0, which says little of the weights. A mean over nothing is 1.

    Args:
        counts: by the name of a class its pixels, or shares of all pixels, in the truth, in the
            answers, and in both.

    Returns:
        dict: the means, and `pooled_iou_NAME` of each class that is somewhere.
    """
    iou = {
        name: both / (true + found - both)
        for name, (true, found, both) in counts.items()
        if true or found
    }
    shown = [one for name, one in iou.items() if counts[name][0]]
    return {
        "pooled_miou": sum(iou.values()) / len(iou) if iou else 1.0,
        "pooled_miou_true": sum(shown) / len(shown) if shown else 1.0,
        **{f"pooled_iou_{name}": one for name, one in iou.items()},
    }

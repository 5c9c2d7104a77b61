import copy

import torch

from samdomain.cache import LatestSam
from samdomain.sam import Sam, encode


def test_the_same_images_are_encoded_once(tiny: Sam) -> None:
    """Asked twice in a row the encoder runs once; for other images, and the first again, anew."""
    sam = copy.deepcopy(tiny)
    runs: list[int] = []
    sam.get_submodule("image_encoder").register_forward_hook(lambda *_: runs.append(1))
    seen = LatestSam(sam)
    one, other = torch.rand(3, 48, 64) * 255, torch.rand(3, 48, 64) * 255
    for image, expected in ((one, 1), (one.clone(), 1), (other, 2), (one, 3), ([one, other], 4)):
        made = encode(seen, image)
        assert len(runs) == expected
        torch.testing.assert_close(made.main, encode(tiny, image).main)

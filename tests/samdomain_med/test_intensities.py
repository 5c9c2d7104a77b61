import numpy as np
import pytest
import torch

from samdomain.errors import InputError
from samdomain_med.intensities import CT_WINDOWS, Intensities, Percentiles, Window


def test_percentiles_are_of_the_voxels_beside_the_background() -> None:
    """Zeros take no part; between the percentiles the stretch is linear."""
    body = torch.arange(1.0, 102.0)  # percentiles 10 and 90 are 11 and 91
    voxels = torch.cat([torch.zeros(1000), body]).reshape(1, 3, -1)
    pixels = Percentiles(10, 90)(voxels)
    expected = ((voxels - 11) / 80).clamp(0, 1) * 255
    torch.testing.assert_close(pixels, expected)


def test_percentiles_of_all_voxels() -> None:
    """Without a background zeros count."""
    voxels = torch.cat([torch.zeros(1000), torch.arange(1.0, 102.0)])
    assert Percentiles(0, 100, background=None)(voxels).max() == 255
    assert Percentiles(0, 90, background=None)(voxels).max() == 0


def test_a_window_shows_its_width() -> None:
    """The centre is the middle grey, half a width from it are black and white."""
    pixels = Window(40, 400)(torch.tensor([-1000, -160, 40, 240, 3000], dtype=torch.int16))
    assert pixels.tolist() == [0, 0, 127.5, 255, 255]


def test_windows_have_names() -> None:
    """Those of radiological practice."""
    assert set(CT_WINDOWS) == {"soft_tissue", "lung", "bone", "brain", "liver"}
    assert CT_WINDOWS["lung"](torch.tensor([-600.0])).tolist() == [127.5]


@pytest.mark.parametrize("intensities", [Percentiles(), Percentiles(background=None), Window(0, 2)])
@pytest.mark.parametrize("value", [0.0, 7.0, torch.nan, torch.inf, -torch.inf])
def test_constant_volumes_stay_finite(intensities: Intensities, value: float) -> None:
    """Whatever their value is, also none, pixels are from 0 to 255."""
    pixels = intensities(torch.full((2, 3, 4), value))
    assert pixels.shape == (2, 3, 4)
    assert ((pixels >= 0) & (pixels <= 255)).all()


def test_what_is_no_number_is_black() -> None:
    """Infinities lie at the ends, and take no part in percentiles."""
    voxels = torch.tensor([torch.nan, torch.inf, -torch.inf, 1.0, 3.0])
    assert Percentiles(0, 100)(voxels).tolist() == [0, 255, 0, 0, 255]
    assert Window(2, 2)(voxels).tolist() == [0, 255, 0, 0, 255]


def test_arrays_are_taken() -> None:
    """Voxels of NumPy become the same pixels, of float32."""
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    for intensities in (Percentiles(), Window(10, 20)):
        pixels = intensities(voxels)
        assert pixels.dtype == torch.float32
        assert torch.equal(pixels, intensities(torch.as_tensor(voxels)))


def test_what_shows_nothing_is_refused() -> None:
    """Messages say what is allowed."""
    for low, high in ((99, 1), (-1, 50), (0, 101), (5, 5)):
        with pytest.raises(InputError, match="within 0 and 100"):
            Percentiles(low, high)
    for centre, width in ((0, 0), (0, -5), (torch.nan, 5), (0, torch.inf)):
        with pytest.raises(InputError, match="soft_tissue"):
            Window(centre, width)

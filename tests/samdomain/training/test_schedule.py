import pytest

from samdomain.errors import InputError
from samdomain.training.schedule import Constant, Cosine, Polynomial


def test_warm_up_rises_in_equal_steps() -> None:
    """In a fifth of ten steps the rate rises to its highest."""
    assert [Constant(0.2)(step, 10) for step in range(4)] == [0.5, 1, 1, 1]


def test_cosine_falls_to_its_last_share() -> None:
    """Half-way it is in the middle."""
    schedule = Cosine(warmup=0.0, last=0.2)
    assert [schedule(step, 10) for step in (0, 5, 10, 11)] == pytest.approx([1, 0.6, 0.2, 0.2])


def test_polynomial_falls_as_a_power() -> None:
    """The power of what is left."""
    schedule = Polynomial(warmup=0.0, power=2.0)
    assert [schedule(step, 4) for step in range(5)] == [1, 0.5625, 0.25, 0.0625, 0]


def test_warm_up_is_a_share() -> None:
    """A number of steps is refused."""
    with pytest.raises(InputError, match="share"):
        Cosine(warmup=250.0)

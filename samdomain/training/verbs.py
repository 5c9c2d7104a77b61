"""`samdomain fit`, `validate`, `test`, `predict` and `calibrate`.

Lightning takes seconds to import, so that it is imported when one of them runs.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from samdomain.door import Report
from samdomain.errors import InputError, MissingExtraError
from samdomain.training.config_names import names_task

Words = Callable[[Sequence[str]], Report]


def fit(words: Sequence[str]) -> Report:
    """Train an adapter as a config says: --config NAME or FILE, then flags that change it."""
    return _work("fit", words)(words)


def validate(words: Sequence[str]) -> Report:
    """Measure an adapter on the images of validation, as a table."""
    return _work("validate", words)(words)


def test(words: Sequence[str]) -> Report:
    """Measure an adapter on the images of the test, as a table."""
    return _work("test", words)(words)


def predict(words: Sequence[str]) -> Report:
    """Write the masks that an adapter finds in a folder of images."""
    return _work("predict", words)(words)


def calibrate(words: Sequence[str]) -> Report:
    """Find the largest batch that fits into memory."""
    return _work("calibrate", words)(words)


VERBS: Mapping[str, Words] = {
    "fit": fit,
    "validate": validate,
    "test": test,
    "predict": predict,
    "calibrate": calibrate,
}
"""The commands of training; they read the words behind them themselves, as LightningCLI does."""

_TASKS = ("fit", "validate", "test", "predict")
"""Commands that run tasks too: models that a config names by their class."""

_PLACES = {"fit": "fit", "validate": "measuring", "test": "measuring", "predict": "predicting"}


def _work(verb: str, words: Sequence[str]) -> Words:
    task = names_task(words)
    if task and verb not in _TASKS:
        raise InputError(f"samdomain {verb} is for recipes, and the config's model is a task")
    try:
        place = "task_verbs" if task else _PLACES.get(verb, verb)
        room = import_module(f"samdomain.training.{place}")
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".", maxsplit=1)[0]
        if missing in {"", "samdomain"}:
            raise
        raise MissingExtraError(
            f"samdomain {verb} needs {missing}: pip install 'samdomain[train]'"
        ) from error
    # Lightning tells of every device that it does not use.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    return getattr(room, verb)

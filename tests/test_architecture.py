"""The house stands as it was drawn: what an import costs and what it pulls in."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.contract

DOMAIN_LIBRARIES = (
    "rasterio", "geopandas", "torchgeo", "monai", "lightning", "transformers", "samdomain_geo",
    "samdomain_med",
)  # fmt: skip
DEFERRED = ("timm", "peft", "segment_anything", "jsonargparse", "openvino")


def python(code: str) -> str:
    """Run code in a fresh interpreter, warnings as errors, and return what it printed."""
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_import_is_silent_and_loads_no_domain_library() -> None:
    """`import samdomain` warns of nothing and loads no library of a field."""
    code = "import sys, samdomain; print(*sys.modules)"
    loaded = set(python(code).split())
    assert not loaded & {*DOMAIN_LIBRARIES, *DEFERRED}


def test_models_need_no_domain_library() -> None:
    """Loading a model, encoding and decoding stay within the core."""
    code = (
        "import warnings; warnings.simplefilter('default')\n"
        "import sys, torch, samdomain\n"
        "sam = samdomain.load_sam('tiny')\n"
        "e = samdomain.encode(sam, torch.zeros(3, 8, 8))\n"
        "samdomain.decode(sam, e, samdomain.Prompts.null(1)).logits\n"
        "print(*sys.modules)"
    )
    assert not set(python(code).split()) & set(DOMAIN_LIBRARIES)


def test_commands_load_no_trainers() -> None:
    """The command, its help and what runs models leave alone what takes seconds to import."""
    code = (
        "import contextlib, sys\n"
        "import samdomain.acceleration, samdomain.adapter_file\n"
        "from samdomain.cli import main\n"
        "with contextlib.redirect_stdout(sys.stderr):\n"
        "    main(['doctor'])\n"
        "    main(['adapter', 'list'])\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        main(['--help'])\n"
        "print(*sys.modules)"
    )
    command = [sys.executable, "-c", code]  # warnings are the plugins' own affair here
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "samdomain.cli" in loaded
    assert not set(loaded) & {"peft", "transformers", "lightning"}


def test_import_costs_little_more_than_torch() -> None:
    """`import samdomain` with its types takes at most 1.5 times `import torch`."""
    timed = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
    pairs = [
        (float(python(timed.format("samdomain"))), float(python(timed.format("torch"))))
        for _ in range(3)
    ]
    # The quietest pair of the three: machines are noisy.
    assert min(ours / torch for ours, torch in pairs) <= 1.5


def test_listing_plugins_imports_none() -> None:
    """`domains()` reads entry points only."""
    code = "import sys, samdomain; samdomain.domains(); print(*sys.modules)"
    assert not set(python(code).split()) & set(DOMAIN_LIBRARIES)


def test_the_command_imports_lightning_when_a_training_begins() -> None:
    """The list of commands, and help for those that do not train, load no Lightning."""
    code = "import sys, samdomain.cli, samdomain.training.verbs; print(*sys.modules)"
    assert "lightning" not in python(code).split()

"""Say what went wrong: what was given, what is allowed, what to do next.

    SamDomainError                          exit 1
    ├── InputError          (ValueError)    exit 2   what was given is wrong; nothing was done
    │   ├── InjectionError                           an adaptation the model cannot take
    │   ├── MergeError                               an adaptation no plain weights equal
    │   ├── PromptError                              a prompt the weights cannot take
    │   └── WeightsError                             unknown, missing, altered or unsafe weights
    ├── MissingExtraError   (ImportError)   exit 2   an optional part is not installed
    ├── StoppedError        (RuntimeError)  exit 3   stopped half-way; what is done is kept
    └── PartialError        (RuntimeError)  exit 4   finished, but some items failed

The command line turns `exit_code` into the process's status and the message into one line.
"""

from typing import ClassVar


class SamDomainError(Exception):
    """Root of every error that samdomain raises on purpose."""

    exit_code: ClassVar[int] = 1


class InputError(SamDomainError, ValueError):
    """Raised when a file, a flag or an argument cannot be used as it was given."""

    exit_code = 2


class InjectionError(InputError):
    """Raised when an injection matches nothing in a model, or does not fit what it matches."""


class MergeError(InputError):
    """Raised when an injection cannot be folded into the weights of the base."""


class PromptError(InputError):
    """Raised when prompts are malformed, or of a kind that the weights were not trained with."""


class WeightsError(InputError):
    """Raised when weights are unknown, missing, altered, of another model, or unsafe to load."""


class MissingExtraError(SamDomainError, ImportError):
    """Raised when a domain is asked for whose libraries are not installed."""

    exit_code = 2


class StoppedError(SamDomainError, RuntimeError):
    """Raised when work stopped half-way for a reason outside the input, as a full disk."""

    exit_code = 3


class PartialError(SamDomainError, RuntimeError):
    """Raised when work finished although some of its items failed."""

    exit_code = 4

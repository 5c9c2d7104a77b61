"""What an injection is: a change to a SAM, stated as a value, that leaves a record."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from torch import Tensor, nn

from samdomain.errors import InjectionError, MergeError
from samdomain.json_values import check_values
from samdomain.modules import freeze, swap
from samdomain.sam import Sam, SamSpec

# Travels with the model through copies and pickles; a plain attribute, so that no key of the
# state dict changes.
_RECORD = "samdomain_injections"


@dataclass(frozen=True)
class Injection(ABC):
    """State a change to a SAM; calling it on a model makes the change in the model itself.

    Subclasses are frozen dataclasses whose fields are values that JSON can hold: the same
    object stands in a training config, in an adapter's file and in its model card.

    Attributes:
        kind: name of the injection in files, as "lora".
    """

    kind: ClassVar[str]

    @abstractmethod
    def replacements(self, sam: Sam) -> Mapping[str, nn.Module]:
        """Make the modules that take the place of the model's own, by dotted name.

        The model is not changed. A replacement keeps every key of the state dict that the
        replaced module had, shares its parameters, and computes the same until it is trained.

        Raises:
            InjectionError: nothing in the model matches, or it does not fit.
        """

    def skipped(self, sam: Sam) -> tuple[str, ...]:  # noqa: ARG002 - for subclasses
        """Name the modules that were asked for and that this injection has to leave out."""
        return ()

    def adapted_spec(self, spec: SamSpec) -> SamSpec:
        """Return what the model expects of its input once this is in it; the same by default."""
        return spec

    def __call__(self, sam: Sam) -> "Injected":
        """Change a model; see `inject`."""
        return inject(sam, self)

    def to_json(self) -> dict[str, Any]:
        """Return the injection as values that JSON can hold, its kind first."""
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Injection":
        """Read an injection of this kind back from `to_json`.

        Raises:
            InjectionError: a field is unknown, or a value cannot be used.
            InputError: a value is of another type.
        """
        check_values(cls, values)
        given = {name: value for name, value in values.items() if name != "kind"}
        known = {field.name for field in fields(cls)}
        if unknown := given.keys() - known:
            raise InjectionError(
                f"{cls.kind!r} has no field {', '.join(sorted(unknown))}: it has "
                f"{', '.join(sorted(known))}"
            )
        # JSON has no tuples.
        return cls(**{n: tuple(v) if isinstance(v, list) else v for n, v in given.items()})


class InjectedModule(nn.Module):
    """Stand in the place of a module of the base, with parameters of its own beside it."""

    def merged(self) -> nn.Module:
        """Return a plain module of the base's kind that computes the same.

        Raises:
            MergeError: no plain module does; the message says why.
        """
        raise MergeError(f"{type(self).__name__} depends on its input: no plain module equals it")


@dataclass(frozen=True)
class Injected:
    """What an injection did to a model.

    Attributes:
        injection: what was asked for.
        modules: dotted names of the modules that it replaced, in the model's order.
        added: keys of the state dict that it added.
        skipped: dotted names of the modules that were asked for and that cannot have it.
    """

    injection: Injection
    modules: tuple[str, ...]
    added: tuple[str, ...]
    skipped: tuple[str, ...] = ()


def inject(sam: Sam, injection: Injection) -> Injected:
    """Put an injection's modules into a model, and record it.

    The first injection freezes the base; what shall train beside the injections is named
    afterwards. The model's output stays as it was until something is trained, and a plain
    checkpoint of the base still loads with `strict=False`.

    Args:
        sam: model to change.
        injection: what to put in.

    Returns:
        Injected: what was touched; also kept with the model, see `injections`.

    Raises:
        InjectionError: nothing matched, a module was injected before, or it does not fit. The
            model is as it was.
    """
    replacements = dict(injection.replacements(sam))
    if not replacements:
        raise InjectionError(
            f"{injection} matches no module of {sam.spec.name!r}: list them with named_modules()"
        )
    modules = dict(sam.named_modules())
    if taken := [name for name in replacements if isinstance(modules[name], InjectedModule)]:
        raise InjectionError(
            f"{taken[0]!r} holds a {type(modules[taken[0]]).__name__} already: merge it first, "
            "or load the base again"
        )
    before = set(sam.state_dict())
    skipped = injection.skipped(sam)
    if not injections(sam):
        freeze(sam)
    for name, module in replacements.items():
        swap(sam, name, module.train(modules[name].training))
    added = tuple(key for key in sam.state_dict() if key not in before)
    record = Injected(injection, tuple(replacements), added, skipped)
    setattr(sam, _RECORD, (*injections(sam), record))
    sam.spec = injection.adapted_spec(sam.spec)
    return record


@contextmanager
def undone_on_error(sam: Sam) -> Iterator[None]:
    """Take injections out of a model again where the block that put them in raises.

    Modules, what trains, spec and record are as before; values of parameters are not looked at.
    """
    modules = dict(sam.named_modules())
    trains = [(one, one.requires_grad) for one in sam.parameters()]
    spec, records = sam.spec, injections(sam)
    try:
        yield
    except BaseException:
        fresh = injections(sam)[len(records) :]
        # The last in stands around what came before it.
        for name in (name for record in reversed(fresh) for name in record.modules):
            swap(sam, name, modules[name])
        for one, flag in trains:
            one.requires_grad_(flag)
        sam.spec = spec
        setattr(sam, _RECORD, records)
        raise


def injections(sam: nn.Module) -> tuple[Injected, ...]:
    """Return what was injected into a model, first to last."""
    return getattr(sam, _RECORD, ())


def adapted_state(sam: Sam) -> dict[str, Tensor]:
    """Return what tells an adapted model from its base: the content of an adapter file.

    These are the tensors that injections added, the base's parameters that train, and the
    running statistics of normalisations whose parameters train.
    """
    added = {key for record in injections(sam) for key in record.added}
    trained = {name for name, one in sam.named_parameters() if one.requires_grad}
    owners = {name.rpartition(".")[0] for name in trained}
    buffers = {name for name, _ in sam.named_buffers() if name.rpartition(".")[0] in owners}
    wanted = added | trained | buffers
    return {key: value for key, value in sam.state_dict().items() if key in wanted}


def merge(sam: Sam) -> Sam:
    """Fold every injection into the base's weights, in the model itself.

    Returns:
        Sam: the same model, of the base's own modules only.

    Raises:
        MergeError: an injection cannot be folded; all that cannot are named, and the model
            is as it was.
    """
    plain, refused = _folded(sam)
    if refused:
        listed = "; ".join(f"{name}: {why}" for name, why in refused.items())
        raise MergeError(f"the model cannot be merged, keep it with its adapter: {listed}")
    _put_back(sam, plain)
    setattr(sam, _RECORD, ())
    return sam


def fold(sam: Sam) -> tuple[str, ...]:
    """Fold what can be folded into the base's weights, in the model itself.

    An injection stays as a whole where one of its modules cannot be folded.

    Returns:
        tuple: names of the modules that stay.
    """
    plain, refused = _folded(sam)
    kept = [record for record in injections(sam) if not refused.keys().isdisjoint(record.modules)]
    names = {name for record in kept for name in record.modules}
    _put_back(sam, {name: module for name, module in plain.items() if name not in names})
    setattr(sam, _RECORD, tuple(kept))
    return tuple(name for record in kept for name in record.modules)


def _folded(sam: Sam) -> tuple[dict[str, nn.Module], dict[str, str]]:
    plain: dict[str, nn.Module] = {}
    refused: dict[str, str] = {}
    for name, module in sam.named_modules():
        if isinstance(module, InjectedModule):
            try:
                plain[name] = module.merged()
            except MergeError as error:
                refused[name] = str(error)
    return plain, refused


def _put_back(sam: Sam, plain: Mapping[str, nn.Module]) -> None:
    modules = dict(sam.named_modules())
    for name, module in plain.items():
        swap(sam, name, module.train(modules[name].training))

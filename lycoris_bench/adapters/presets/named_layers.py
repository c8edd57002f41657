"""Layers of any torch module, chosen by class names and patterns in place of a preset."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from torch import nn

from lycoris_bench.adapters.formats.layer_names import MODULE
from lycoris_bench.adapters.presets.layers import CONVOLUTION, NORM, Target, layers, walk
from lycoris_bench.messages.arguments import NAMES, Allowed
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.suggestions import unknown

# These read the weights of their layers, whose own forward is never called.
SELF_COMPUTED = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
FORWARDS = {kind.forward for kind in (nn.Linear, *CONVOLUTION, *NORM)}
SAME = {kind.__name__ for kind in NORM}  # under these names timm and open_clip have faster ones
SHOWN = 6  # layers in a sentence
NAMES_GIVEN = Allowed(
    'a list of class names and patterns, such as ["Attention", "*.mlp.*"],', NAMES.holds
)


def named_layers(
    module: nn.Module, names: Sequence[str], exclude: Sequence[str] = ()
) -> list[Target]:
    """The layers inside modules of these classes, and those whose dotted path fits one of these
    patterns (with `*`), but for those that fit `exclude`; in the module's order.

    Of norms only those whose own class or path is named. In files a layer is called `lycoris_`
    and its path with underscores. BenchError: a name fits no layer, or a chosen layer is one for
    which the adapted and the merged module would differ."""
    NAMES_GIVEN.check("layers", names)
    NAMES_GIVEN.check("exclude", exclude)
    taken = {path for name in names for path in _fitting(module, name)}
    taken -= {path for name in exclude for path in _fitting(module, name)}
    chosen = [target for target in layers({MODULE: module}) if target.path in taken]
    _refuse(module, chosen)
    return chosen


def classes_of(module: nn.Module) -> list[str]:
    """Class names of the layers that an adapter can change, without the norms, in their order."""
    kinds = (type(layer) for _, layer, _ in walk(module) if not isinstance(layer, NORM))
    return list(dict.fromkeys(kind.__name__ for kind in kinds))


def _fitting(module: nn.Module, name: str) -> list[str]:
    """The paths of the layers that a class name or pattern matches."""
    paths = [
        path
        for path, layer, inside in walk(module)
        if fnmatchcase(path, name)
        or name == type(layer).__name__
        or (name in inside and not isinstance(layer, NORM))
    ]
    if not paths:
        raise BenchError(_unknown(module, name))
    return paths


def _unknown(module: nn.Module, name: str) -> str:
    """The sentence for a name that fits no layer, with what there is."""
    class_name, every = type(module).__name__, list(walk(module))
    paths = [path for path, _, _ in every]
    if not every:
        return (f"{class_name} has no layer that an adapter can change: Linear, Conv1d, Conv2d, "
                "Conv3d, LayerNorm and GroupNorm are")  # fmt: skip
    if reason := _no_layer(module, name):
        return reason
    if any(mark in name for mark in "*?[."):
        rest = f" and {len(paths) - SHOWN} others" if len(paths) > SHOWN else ""
        return f"'{name}' fits no layer of {class_name}, which has {', '.join(paths[:SHOWN])}{rest}"
    classes = {kind for _, _, inside in every for kind in inside[1:] or inside}
    return unknown(f"class of {class_name}", name, classes)


def _no_layer(module: nn.Module, name: str) -> str | None:
    """The sentence for a name that is in the module but means no layer; None where it is not."""
    first: dict[nn.Module, str] = {}  # the path that stands for a module with several
    for path, part in module.named_modules(remove_duplicate=False):
        first_path = first.setdefault(part, path)
        if not path or not (name == type(part).__name__ or fnmatchcase(path, name)):
            continue
        if first_path != path and any(first_path == layer for layer, _, _ in walk(module)):
            return f"'{name}' is a second name of the layer '{first_path}'; name that"
        by_path = fnmatchcase(path, name)
        if by_path and any(layer.startswith(f"{path}.") for layer, _, _ in walk(module)):
            return (f"'{name}' is no layer but a module with layers inside, which '{name}.*' "
                    "takes")  # fmt: skip
        where = f"'{name}' ({f'of class {type(part).__name__}' if name == path else path})"
        return (f"{where} is in {type(module).__name__}, but an adapter cannot change it: Linear, "
                "Conv1d, Conv2d and Conv3d can be changed, and LayerNorm and GroupNorm with weight "
                "and bias where they are named themselves")  # fmt: skip
    return None


def _refuse(module: nn.Module, chosen: Sequence[Target]) -> None:
    """BenchError: an adapter of a chosen layer would be without effect, or merged into more."""
    modules = dict(module.named_modules())
    owners: dict[int, list[str]] = defaultdict(list)  # of each parameter
    for path, owner in modules.items():
        for parameter in owner.parameters(recurse=False):
            owners[id(parameter)].append(path)
    names = Counter(target.name for target in chosen)
    for target in chosen:
        if tied := _tied(target.module, owners, target.path):
            out = [other.path for other in chosen if other.path in (target.path, *tied)]
            raise BenchError(
                f"{target.path} shares a parameter with {', '.join(tied)}, which a merge would "
                f"change as well; leave {'them' if len(out) > 1 else 'it'} out with exclude={out}"
            )
        for why in _reasons(target, modules, names):
            raise BenchError(f"{target.path} {why}; leave it out with exclude=['{target.path}']")


def _tied(layer: nn.Module, owners: Mapping[int, list[str]], path: str) -> list[str]:
    """Paths of the other modules that hold a parameter of this layer."""
    parameters = layer.parameters(recurse=False)
    others = [other for parameter in parameters for other in owners[id(parameter)] if other != path]
    return list(dict.fromkeys(others))


def _reasons(
    target: Target,
    modules: Mapping[str, nn.Module],
    names: Mapping[str, int],
) -> Iterator[str]:
    """The reasons why this layer takes no adapter, each as the rest of a sentence."""
    parts = target.path.split(".")
    for around in (modules[".".join(parts[:count])] for count in range(len(parts))):
        if isinstance(around, SELF_COMPUTED):
            yield f"is computed by the {type(around).__name__} around it, which reads its weight"
    kind = type(target.module)
    if kind.forward not in FORWARDS and not (target.is_norm and kind.__name__ in SAME):
        yield f"is a {kind.__name__}, which has a forward of its own"
    if names[target.name] > 1:
        yield f"is called {target.name} in files, as another layer is"

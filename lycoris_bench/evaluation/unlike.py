"""What differs between trainings that are compared, besides what they are compared for: a fairness
check by what their files tell."""

from collections.abc import Callable, Iterator, Sequence

from lycoris_bench.evaluation.grouping import Training
from lycoris_bench.messages.numbers import plural, significant

SHOWN = 4  # of many values
UNNAMED, DENOISER = "layers", "unet"  # layers whose names tell no part are the denoiser's


def unlike(trainings: Sequence[Training]) -> list[str]:
    """A sentence for each thing in which trainings differ, by those whose files tell it; nothing
    is said of what is told of fewer than two."""
    return [
        f"unlike {what}: {shown}"
        for what, value in _ASKED.items()
        if (shown := _differing(trainings, value))
    ]


def _told(key: str) -> Callable[[Training], object]:
    return lambda training: training.about.told.get(key)


def _steps(training: Training) -> object:
    """The steps of a training as its last checkpoint tells them."""
    told = training.about.whole("steps")
    if told is None and training.unit == "step" and training.moments:
        return training.moments[-1]
    return told


def _layers(training: Training) -> object:
    """What is adapted: the parts of the model, with the number of their layers."""
    parts: dict[str, int] = {}
    for block, layers in training.about.layers.items():
        part = block.partition(".")[0]
        part = DENOISER if part == UNNAMED else part
        parts[part] = parts.get(part, 0) + layers
    return ", ".join(f"{plural(n, 'layer')} of {part}" for part, n in sorted(parts.items())) or None


def _parameters(training: Training) -> object:
    count = training.about.parameters
    return significant(count, short=True) if count else None


_ASKED: dict[str, Callable[[Training], object]] = {
    "steps": _steps,
    "batch sizes": _told("batch_size"),
    "numbers of images": _told("images"),
    "resolutions": _told("resolution"),
    "base models": _told("base_model"),
    "trained layers": _layers,
    "numbers of parameters": _parameters,
    "learning rates": _told("lr"),
}


def _differing(trainings: Sequence[Training], value: Callable[[Training], object]) -> str:
    groups: dict[object, list[str]] = {}
    for training in trainings:
        if (found := value(training)) is not None:
            groups.setdefault(found, []).append(training.name)
    if len(groups) < 2:
        return ""
    return "; ".join(_groups(groups))


def _groups(groups: dict[object, list[str]]) -> Iterator[str]:
    for found, names in list(groups.items())[:SHOWN]:
        more = f" and {len(names) - 2} more" if len(names) > 3 else ""
        shown = names[:2] if len(names) > 3 else names
        yield f"{found} ({', '.join(shown)}{more})"
    if len(groups) > SHOWN:
        yield f"and {len(groups) - SHOWN} more"

"""With what the rows of a checkpoint, or of real images, were scored: the device, versions of
libraries, the weights of the encoders and the number of images that count. It lies beside each
table of rows."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lycoris_bench.messages.numbers import number, plural
from lycoris_bench.run import environment, manifest
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.encoders.base import Record
from lycoris_bench.study.records import Source


def keep(
    store: Store,
    source: Source,
    device: str,
    records: Iterable[Record],
    images: Mapping[str, Sequence[float]],
) -> None:
    """Stores the device, the versions, what weights the encoders have read, and of metrics that
    weigh images the effective numbers of them (`scoring/effective_images.py`)."""
    weights = {r.name: [f"{r.weights}@{r.revision}", r.sha256] for r in records}
    about = {**environment.scored_on(device), "encoders": weights, "images": images}
    store.write(_place(store, source), manifest.sealed(about))


def unlike(store: Store, sources: Sequence[Source]) -> str | None:
    """A sentence where tables of rows were scored on unlike devices or under unlike versions, or
    where that is damaged; those of older versions of this program, of which it is not known, do not
    count."""
    if damaged := [place for s in sources if _is_damaged(place := _place(store, s))]:
        more = f" and {len(damaged) - 1} more" if damaged[1:] else ""
        return (
            f"{damaged[0]}{more} is damaged, so it is not known with what these rows were scored; "
            "run 'lycoris-bench run' to make them anew"
        )
    known = [about for source in sources if (about := _read(store, source))]
    facts = [{"device": about["device"], **about["versions"]} for about in known]
    names = dict.fromkeys(name for fact in facts for name in fact)
    counts = {name: Counter(str(fact.get(name)) for fact in facts) for name in names}
    said = [
        f"{name} ({', '.join(f'{value}: {count}' for value, count in count_of.items())})"
        for name, count_of in counts.items()
        if len(count_of) > 1
    ]
    if not said:
        return None
    return (
        f"the {len(known)} tables of rows were not scored alike: {'; '.join(said)}; their numbers "
        "may differ a little for that alone. To exclude it, remove the run's metrics.parquet and "
        "folders metrics and features and type 'lycoris-bench run' on one machine; checkpoints and "
        "images that were not kept are made anew"
    )


def devices(store: Store, sources: Sequence[Source]) -> str:
    """On what devices tables of rows were scored, and how many on each; "": it is not known."""
    known = Counter(about["device"] for s in sources if (about := _read(store, s)))
    counted = [f"{device} ({plural(count, 'table')})" for device, count in known.most_common()]
    return "; ".join(counted if len(known) > 1 else known)


def encoders(store: Store, sources: Sequence[Source]) -> dict[str, str]:
    """Encoder -> its weights with their SHA-256, as they were read."""
    return {
        name: f"{weights}, SHA-256 {sha256}" if sha256 else f"{weights or 'none'}"
        for source in sources
        for name, (weights, sha256) in _read(store, source).get("encoders", {}).items()
    }


def images(store: Store, sources: Sequence[Source]) -> dict[str, str]:
    """Metric, encoder and resizing -> on how many images the number rests, and a warning where they
    are fewer than the features are wide."""
    known = {
        name: numbers
        for source in sources
        for name, numbers in _read(store, source).get("images", {}).items()
    }
    return {name: _images(*numbers) for name, numbers in known.items()}


def _images(drawn: float, dataset: float, width: int) -> str:
    sides = {"drawn": drawn, "dataset": dataset}
    counts = " and ".join(f"{number(round(n))} {side}" for side, n in sides.items())
    fewer = " and ".join(side for side, n in sides.items() if n <= width)
    warning = (
        f"; so few {fewer} images have a singular covariance, or nearly, and the distance comes "
        "out too large: compare it with nothing but checkpoints of as many images"
    )
    return f"{counts} images, effectively, in {width} dimensions{warning if fewer else ''}"


def _read(store: Store, source: Source) -> dict[str, Any]:
    return manifest.checked(_place(store, source))


def _is_damaged(place: Path) -> bool:
    return place.exists() and not manifest.checked(place)


def _place(store: Store, source: Source) -> Path:
    return store.metrics(store.branch(source)).with_suffix(".json")

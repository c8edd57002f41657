"""A metric table, and what is known of its configurations, become the files of a run's analysis.
Of a study or of a mere run folder: nothing here reads datasets, images or weights."""

import contextlib
import gc
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lycoris_bench.analysis import columns
from lycoris_bench.analysis.coded import coded
from lycoris_bench.analysis.copying.pairs import PAIRS
from lycoris_bench.analysis.keeping.kept import kept
from lycoris_bench.analysis.pipeline import analyze_tables
from lycoris_bench.analysis.regression import PRIOR
from lycoris_bench.analysis.report import kept_gallery
from lycoris_bench.analysis.report.gallery import EMPTY, Gallery
from lycoris_bench.analysis.report.pictures import Pictures, found
from lycoris_bench.analysis.series import LAST, MOMENTS
from lycoris_bench.analysis.several_concepts.differences import DIFFERENCES
from lycoris_bench.analysis.several_concepts.relations import relations
from lycoris_bench.analysis.trust.judge import TRUST
from lycoris_bench.planning import scored_rows, scored_with
from lycoris_bench.run import outcome
from lycoris_bench.run.folder import StoreError, must_be_run
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.metrics import METRICS
from lycoris_bench.study import load as studies
from lycoris_bench.study.load import Study
from lycoris_bench.study.records import COMBINED, REAL, Configuration

MACHINE = ("python", "platform", "processor", "cores", "packages", "git")  # of a provenance
SIZES = ("dim", "alpha", "factor")  # options with a column of their own, so that they compare


def analyze_folder(store: Store, failures: Mapping[str, str] | None = None) -> outcome.Outcome:
    """Analyzes a run folder as it is: its metric table, and what its study.toml says of the
    configurations in it. Neither dataset nor base model nor images are needed; none are shown, but
    those that the run folder of images that exist already keeps for its page. `failures`: what the
    page says was left out.

    StoreError: it is no run folder, has no metric table, or nothing that says what was compared."""
    must_be_run(store.root)
    found = store.frame(store.table("metrics"))
    if found is None:
        raise StoreError(_without_table(store))
    described = store.study
    if not described.exists():
        raise StoreError(f"{described} is missing; it says what each configuration is")
    study = studies.load_stored(described)
    table, made_under = coded(found[0]), found[1]
    del found
    if columns.trained(columns.check_file(table, str(store.table("metrics")))).empty:
        raise StoreError(
            f"{store.table('metrics')} holds no scores of a checkpoint; run 'lycoris-bench score'"
        )
    if others := scored_rows.of_other_settings(store, table, made_under):
        shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if others[3:] else "")
        raise StoreError(
            f"{store.table('metrics')} holds the numbers of other settings or data than the run "
            f"has now, of: {shown}; run 'lycoris-bench score' with the study file"
        )
    names = {*table["configuration"].unique()}
    known = factors(study.configurations)
    if unknown := sorted(
        {*columns.trained(table)["configuration"].unique()} - {*known["configuration"]}
    ):
        raise StoreError(
            f"{described} has no configuration: {', '.join(unknown)}; {store.table('metrics')} has "
            "scores of it, and what the report says of a configuration is read from study.toml: "
            "add it there, or leave its rows out"
        )
    there = known["configuration"].isin(names)
    return write_analysis(
        store, table, known[there].reset_index(drop=True), study, kept_gallery.read(store),
        failures=failures, heldout=study.settings.heldout is not None,
    )  # fmt: skip


def _without_table(store: Store) -> str:
    """Why a folder without a metric table cannot be analyzed, and what to type."""
    state = "a damaged" if store.table("metrics").exists() else "no"
    said = f"{store.root} holds {state} metrics.parquet"
    if store.has_rows() and store.study.is_file():
        typed = shlex.join([str(store.study), "--run", str(store.root)])
        return f"{said}, but rows of checkpoints; to analyze these: lycoris-bench analyze {typed}"
    return f"{said}; run 'lycoris-bench score'"


def factors(configurations: Iterable[Configuration]) -> pd.DataFrame:
    """One row per configuration: what varies. `lr_level` counts the algorithm's rates from 1;
    there are columns `captions`, `concepts` and `prior_preservation` where configurations were
    trained on, or with, different ones, one for each of SIZES that any has, and `moments`, the unit
    of each moment of a training, where others ran some, with `last`, where curves show one without
    a moment."""
    configurations = list(configurations)
    own = {c.name for c in configurations if c.algorithm != COMBINED and not c.files}
    held = {c.prior_preservation for c in configurations if c.name in own}
    rates: dict[str, list[float]] = {}
    for c in configurations:
        rates[c.algorithm] = sorted({c.lr, *rates.get(c.algorithm, [])})
    made = pd.DataFrame([
        {
            "configuration": c.name,
            "algorithm": c.algorithm,
            "preset": c.preset,
            "lr": c.lr or None,
            "lr_level": rates[c.algorithm].index(c.lr) + 1,
            "captions": c.captions.lstrip(".") or "main",
            "concepts": ", ".join(c.concepts) or ("" if c.algorithm == COMBINED else "all"),
            PRIOR: "" if c.name not in own else "with" if c.prior_preservation else "without",
            "capacity": c.capacity,
            "importance": c.importance,
            **(sizes := {k: v for k, v in c.options if k in SIZES and c.algorithm != COMBINED}),
            "options": ", ".join(
                f"{Path(key).name} {value}" for key, value in c.options if key not in sizes
            ),
        }
        for c in configurations
    ])  # fmt: skip
    if any(c.files for c in configurations):
        made[MOMENTS] = [c.files[0].unit if c.files else "" for c in configurations]
        last = [
            next((f.shown for f in c.files if f.shown is not None), None) for c in configurations
        ]
        if any(moment is not None for moment in last):
            made[LAST] = pd.array(last, dtype="Int64")
    some = any(c.concepts for c in configurations)
    varied = {"captions": made["captions"].nunique() > 1, "concepts": some, PRIOR: len(held) > 1}
    return made.drop(columns=[name for name, there in varied.items() if not there])


@contextlib.contextmanager
def _library_objects_left_alone() -> Iterator[None]:
    """Leaves what the libraries keep for good, a million objects, out of the search for garbage
    while there is much of it: a second of each analysis."""
    if gc.get_freeze_count():  # the caller does so already
        yield
        return
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def write_analysis(
    store: Store,
    table: pd.DataFrame,
    known: pd.DataFrame,
    study: Study,
    shown: Gallery = EMPTY,
    costs: pd.DataFrame | None = None,
    failures: Mapping[str, str] | None = None,
    heldout: bool | None = None,
    pairs: pd.DataFrame | None = None,
    pictures: Pictures | None = None,
) -> outcome.Outcome:
    """Analyzes a table and stores what comes of it; a warning where its rows were not scored alike.

    heldout: whether the table's real images were held out from training; pairs: those of
    `copying/pair_images.py`; pictures: the images in the run folder. None: as the run folder has
    them."""
    sources = scored_rows.sources_in(table, study)
    unlike = {"rows": said} if (said := scored_with.unlike(store, sources)) else {}
    provenance = {
        **{f"warning on {name}": sentence for name, sentence in unlike.items()},
        **machines(store.provenance()),
        "scored on": scored_with.devices(store, sources) or None,
        "encoder weights": scored_with.encoders(store, sources),
        "weighted images": scored_with.images(store, sources),
    }
    keeping = kept(store, table, study, sources)
    if pairs is None and (stored := store.frame(store.table(PAIRS))):
        pairs = stored[0]
    with _library_objects_left_alone():
        result = analyze_tables(
            without_false_ceilings(table), known, shown, provenance, costs, failures, heldout,
            expected=[configuration.name for configuration in study.configurations],
            keeping=keeping,
            pairs=pairs,
            pictures=pictures or found(store, sources, table),
            related=relations(study.configurations),
        )  # fmt: skip
    for name in ("scores", "aggregate", "shap", "correlation"):
        store.put_frame(store.table(name), getattr(result, name))
    optional = {"copies": result.copies, "leaks": result.leaks, "longer": result.longer}
    for name, made in {**optional, PAIRS: pairs}.items():
        if made is not None:
            store.put_frame(store.table(name), made)
    for names, tables in ((TRUST, result.trust), (DIFFERENCES, result.differences)):
        for name in names if tables else ():
            store.put_frame(store.table(name), getattr(tables, name))
    store.write_json(store.findings, {**result.findings, "refusals": result.refusals})
    store.write(store.report, result.html)
    return outcome.Outcome(done=1, failed=dict(failures or {}), warnings=unlike)


def machines(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What a report says of how its numbers were made: what was last run of each stage on each
    machine; then each machine, as it last was. A record of a run as a whole is shown as it is.
    A name that was of several processors is of so many machines."""
    records = list(records)
    kinds: dict[str, set[str]] = {}
    for about in records:
        if "stage" in about and "processor" in about:
            kinds.setdefault(about.get("host", ""), set()).add(str(about["processor"]))
    said: dict[str, Any] = {}
    known: dict[str, Any] = {}
    for about in records:
        if "stage" not in about:
            said |= about
            continue
        stage, host = about["stage"], about.get("host", "")
        if len(kinds.get(host, ())) > 1 and "processor" in about:
            host = f"{host} ({about['processor']})"
        device = f" on {about['device']}" if "device" in about else ""
        said[f"{stage} · {host}"] = f"{about.get('time', '')}{device}: " + " ".join(
            map(str, about.get("command", ()))
        )
        known[host] = {key: value for key, value in about.items() if key in MACHINE}
    return {**said, **known}


def without_false_ceilings(table: pd.DataFrame) -> pd.DataFrame:
    """The table without numbers of real images that a perfect generator would not reach on average,
    as older runs have them: those of metrics that need sets of equal n."""
    biased = {m.called for m in METRICS.entries().values() if m.equal_n}
    return table[~((table["configuration"] == REAL) & table["metric"].isin(biased))]

"""lycoris-bench: how should this text-to-image model be fine-tuned?

    import lycoris_bench as lb

    lb.score_images("drawn", reference="photographs", encoders=["dinov2-l"])
    with lb.apply_adapter(pipeline, "some.safetensors", strength=0.8): ...
    lb.open_run("runs/demo").table("metrics")

The public names are those of `__all__`; docs/api.md shows each. A name is imported when it is
first used, so that `import lycoris_bench` loads nothing else."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from lycoris_bench.adapters.apply import AppliedAdapter, apply_adapter, read_adapter
    from lycoris_bench.adapters.attach import attach
    from lycoris_bench.adapters.delta import merged_weight
    from lycoris_bench.adapters.merge import MergeReport
    from lycoris_bench.adapters.network import AdapterNetwork
    from lycoris_bench.adapters.presets.preset import Preset
    from lycoris_bench.analysis.stored_run import StoredRun, open_run
    from lycoris_bench.messages.errors import BenchError
    from lycoris_bench.registry import load_plugin
    from lycoris_bench.run.outcome import Outcome
    from lycoris_bench.samples.score import score_samples
    from lycoris_bench.scoring.score_images import score_images
    from lycoris_bench.stages.run_stage import run_stage
    from lycoris_bench.study.catalogue import list_adapters, list_encoders, list_metrics
    from lycoris_bench.study.load import Study
    from lycoris_bench.study.load import load as load_study

__all__ = [
    "AdapterNetwork",
    "AppliedAdapter",
    "BenchError",
    "MergeReport",
    "Outcome",
    "Preset",
    "StoredRun",
    "Study",
    "__version__",
    "apply_adapter",
    "attach",
    "list_adapters",
    "list_encoders",
    "list_metrics",
    "load_plugin",
    "load_study",
    "merged_weight",
    "open_run",
    "read_adapter",
    "run_stage",
    "score_images",
    "score_samples",
]

_PLACES = {  # the same as the imports above, for when a name is first used
    "AdapterNetwork": "adapters.network",
    "AppliedAdapter": "adapters.apply",
    "BenchError": "messages.errors",
    "MergeReport": "adapters.merge",
    "Outcome": "run.outcome",
    "Preset": "adapters.presets.preset",
    "StoredRun": "analysis.stored_run",
    "Study": "study.load",
    "apply_adapter": "adapters.apply",
    "attach": "adapters.attach",
    "list_adapters": "study.catalogue",
    "list_encoders": "study.catalogue",
    "list_metrics": "study.catalogue",
    "load_plugin": "registry",
    "load_study": "study.load:load",
    "merged_weight": "adapters.delta",
    "open_run": "analysis.stored_run",
    "read_adapter": "adapters.apply",
    "run_stage": "stages.run_stage",
    "score_images": "scoring.score_images",
    "score_samples": "samples.score",
}


if not TYPE_CHECKING:  # which would take every name for one that exists

    def __getattr__(name: str) -> Any:
        """The public name, from its module."""
        if name not in _PLACES:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        place, _, inside = _PLACES[name].partition(":")
        found = getattr(import_module(f"{__name__}.{place}"), inside or name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted(__all__)

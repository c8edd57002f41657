"""Whole models through PEFT: a U-Net and its text encoders, a folder each."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.formats import adapter_file, peft_write
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.merge import Merger
from lycoris_bench.adapters.presets.layers import directory, models
from tests.support.pipelines import Models, predict, sd, sdxl
from tests.support.toys import randomise

peft = pytest.importorskip("peft", reason="peft is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")


def trained(made: Models, algorithm: str, options: dict) -> dict[str, torch.Tensor]:
    network = attach(made[0], made[1:], "full", algorithm, options, seed=1)
    randomise(network, size=0.1)
    network.detach()
    return {key: value.half().float() if key.count("alpha") == 0 else value
            for key, value in network.tensors().items()
            if not key.endswith(("w_norm", "b_norm"))}  # fmt: skip


@pytest.mark.parametrize(("make", "algorithm", "options"), [
    (sd, "lora", {"dim": 4, "alpha": 2, "conv_dim": 3, "conv_alpha": 1}),
    (sdxl, "lora", {"dim": 4, "alpha": 2, "conv_dim": 3, "conv_alpha": 1}),
    (sd, "lora", {"dim": 4, "alpha": 2, "dora_wd": True, "wd_on_output": True}),
    (sdxl, "loha", {"dim": 3, "alpha": 2}),
    (sd, "loha", {"dim": 3, "alpha": 2, "use_tucker": True}),
    (sdxl, "lokr", {"factor": 2}),
    (sd, "lokr", {"factor": 2, "dim": 1, "alpha": 2}),
])  # fmt: skip
def test_peft_predicts_the_same(
    make: Callable[[], Models], algorithm: str, options: dict, tmp_path: Path
) -> None:
    """Convolutions, linear layers and text encoders; then the folder is read here again."""
    made = make()
    base, tensors = predict(made), trained(made, algorithm, options)
    found = models(made[0], made[1:])
    parts = peft_write.parts(tensors, directory(found))
    assert parts.keys() == found.keys()
    for name, content in peft_write.files_of(parts).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    Merger(made[0], made[1:]).merge(tensors)
    wanted = predict(made)
    assert (wanted - base).abs().max() > 0.02
    theirs = tuple(
        peft.PeftModel.from_pretrained(model, str(tmp_path / kind)).eval()
        for kind, model in zip(found, make(), strict=True)
    )
    torch.testing.assert_close(predict(theirs), wanted, rtol=0, atol=1e-4)
    again = make()
    report = Merger(again[0], again[1:]).merge(adapter_file.read(tmp_path)[0])
    assert report.unmatched == () and report.matched == len(adapter_file.by_layer(tensors))
    torch.testing.assert_close(predict(again), wanted, rtol=0, atol=1e-4)


def test_norms_are_named(tmp_path: Path) -> None:
    made = sd()
    network = attach(made[0], made[1:], "full", "lora", {}, seed=1)
    network.detach()
    where = directory(models(made[0], made[1:]))
    with pytest.raises(
        AdapterFileError, match=r"unet has lora, norm; \S*norm\S* is NormShift: con"
    ):
        peft_write.parts(network.tensors(), where)

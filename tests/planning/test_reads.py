"""What another machine is sent of a model."""

import json
from pathlib import Path

from lycoris_bench.planning import reads


def folder(root: Path, *names: str, kind: str = "UNet2DConditionModel") -> Path:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
        if file.name == "config.json":
            file.write_text(json.dumps({"_class_name": kind}))
    return root


def sent(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in reads.of_model(root)}


def test_a_trainers_optimizer_stays_where_it_is(tmp_path: Path) -> None:
    """As accelerate leaves a folder, and as transformers' trainer does."""
    weights = ("unet/config.json", "unet/diffusion_pytorch_model.safetensors")
    root = folder(tmp_path / "checkpoint-500", *weights, "optimizer.bin", "scheduler.bin",
                  "random_states_0.pkl", "unet/diffusion_pytorch_model.bin")  # fmt: skip
    assert sent(root) == {*weights}
    adapter = ("adapter_config.json", "adapter_model.safetensors")
    root = folder(tmp_path / "checkpoint-9", *adapter, "optimizer.pt", "rng_state.pth")
    assert sent(root) == {*adapter}


def test_a_base_model_is_sent_once_and_without_what_is_hidden(tmp_path: Path) -> None:
    read = (
        "model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.bin",
        "vae/config.json", "vae/diffusion_pytorch_model.safetensors", "tokenizer/merges.txt",
    )  # fmt: skip
    root = folder(tmp_path / "base", *read, "vae/diffusion_pytorch_model.bin", "vae/.cache")
    assert sent(root) == {*read}


def test_a_denoiser_alone_and_a_file_are_whole(tmp_path: Path) -> None:
    root = folder(tmp_path / "unet_ema", "config.json", "diffusion_pytorch_model.bin")
    assert sent(root) == {"config.json", "diffusion_pytorch_model.bin"}
    assert [*reads.of_model(root / "config.json")] == [root / "config.json"]

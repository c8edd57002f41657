"""PEFT's folders, both ways: what it trains is read here, what is written here it loads."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lycoris_bench.adapters.formats import adapter_file, peft_write
from lycoris_bench.adapters.formats.layer_names import Directory
from lycoris_bench.adapters.formats.layouts import canonical
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.merge import Merger

peft = pytest.importorskip("peft", reason="peft is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")
LAYERS = ["down.linear", "down.conv", "down.point", "out"]
LORA = {"r": 2, "lora_alpha": 3, "init_lora_weights": False}
PATTERNS = {"rank_pattern": {"conv": 3}, "alpha_pattern": {"down.point": 5, "out": 1}}
BOTH = [  # read here, and written back for PEFT
    ("LoraConfig", {**LORA}),
    ("LoraConfig", {**LORA, **PATTERNS}),
    ("LoraConfig", {**LORA, **PATTERNS, "use_rslora": True}),
    ("LoraConfig", {**LORA, "use_dora": True}),
    ("LoHaConfig", {"r": 2, "alpha": 3, **PATTERNS}),
    ("LoHaConfig", {"r": 2, "alpha": 3, "use_effective_conv2d": True}),
    ("LoKrConfig", {"r": 2, "alpha": 3, "decompose_factor": 2, **PATTERNS}),
    ("LoKrConfig", {"r": 20, "alpha": 3, "decompose_factor": 2}),  # both blocks whole
    ("LoKrConfig", {"r": 1, "alpha": 3, "decompose_factor": 4, "decompose_both": True,
                    "use_effective_conv2d": True}),
]  # fmt: skip
READ = [
    ("LoraConfig", {**LORA, "lora_bias": True}),
    ("OFTConfig", {"r": 0, "oft_block_size": 4}),
    *[("OFTConfig", {"r": 0, "oft_block_size": 4, "num_cayley_neumann_terms": terms})
      for terms in (2, 3, 4, 6, 7, 8)],
    ("OFTConfig", {"r": 0, "oft_block_size": 4, "use_cayley_neumann": False}),
    ("OFTConfig", {"r": 0, "oft_block_size": 4, "coft": True, "eps": 0.2}),
]  # fmt: skip


class Net(nn.Module):
    """A linear layer, a 3x3 and a 1x1 convolution, and a linear layer again."""

    def __init__(self) -> None:
        super().__init__()
        torch.default_generator.manual_seed(0)
        self.down = nn.ModuleDict(
            {
                "linear": nn.Linear(8, 12),
                "conv": nn.Conv2d(12, 16, 3, padding=1),
                "point": nn.Conv2d(16, 24, 1),
            }
        )
        self.out = nn.Linear(24, 9)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down["linear"](x).mT.reshape(-1, 12, 4, 4)
        return self.out(self.down["point"](self.down["conv"](x)).mean((2, 3)))


def trained(kind: str, options: dict[str, Any], folder: Path) -> Any:
    """PEFT's model with random factors, saved."""
    layers = [one for one in LAYERS if kind != "OFTConfig" or one != "down.conv"]
    model = peft.get_peft_model(Net(), getattr(peft, kind)(target_modules=layers, **options))
    torch.default_generator.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape), alpha=0.2)
    model.eval()(x := inputs())  # COFT bounds its parameters as it runs
    assert not torch.allclose(model(x), Net()(x), atol=1e-3)
    model.save_pretrained(folder)
    return model


def inputs() -> Tensor:
    return torch.randn(2, 16, 8, generator=torch.Generator().manual_seed(2))


def merged(tensors: dict[str, Tensor]) -> Tensor:
    model = Net()
    report = Merger(model).merge(tensors)
    assert report.unmatched == ()
    return model(inputs())


@pytest.mark.parametrize(("kind", "options"), [*BOTH, *READ])
def test_what_peft_saves_is_read_here(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    model = trained(kind, options, tmp_path)
    tensors, about = adapter_file.read(tmp_path)
    assert adapter_file.layout_of(tmp_path) == "peft" and json.loads(about["adapter_config"])
    torch.testing.assert_close(merged(tensors), model(inputs()), rtol=1e-5, atol=1e-6)
    again = canonical(tensors, about)  # what is read is not changed by a second reading
    assert all(again[key] is tensors[key] for key in again) and again.keys() == tensors.keys()


@pytest.mark.parametrize(("kind", "options"), BOTH)
def test_peft_loads_what_is_written_here(
    kind: str, options: dict[str, Any], tmp_path: Path
) -> None:
    """From the canonical tensors alone: the configuration is worked out from their shapes."""
    expected = trained(kind, options, tmp_path / "theirs")(inputs())
    tensors, _ = adapter_file.read(tmp_path / "theirs")
    parts = peft_write.parts(tensors, Directory({"unet": LAYERS}))
    for name, content in peft_write.files_of(parts).items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    again = peft.PeftModel.from_pretrained(Net(), str(tmp_path / "unet")).eval()
    torch.testing.assert_close(again(inputs()), expected, rtol=1e-3, atol=1e-3)  # a half file
    ours, _ = adapter_file.read(tmp_path)  # a folder of folders
    assert all(key.startswith("unet_base_model_model_") for key in ours)
    torch.testing.assert_close(merged(ours), again(inputs()), rtol=1e-5, atol=1e-6)


def test_oft_of_a_kernel_is_that_of_the_merged_weight(tmp_path: Path) -> None:
    """PEFT's forward of a padded kernel is not its merge: the merge is what is read."""
    config = peft.OFTConfig(r=0, oft_block_size=4, target_modules=["down.conv"], init_weights=False)
    peft.get_peft_model(net := Net(), config).save_pretrained(tmp_path)
    merged_net = Net()
    Merger(merged_net).merge(adapter_file.read(tmp_path)[0])
    theirs = net.down["conv"].get_delta_weight("default")
    expected = (Net().down["conv"].weight.flatten(1) @ theirs.T).reshape(16, 12, 3, 3)
    torch.testing.assert_close(merged_net.down["conv"].weight, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kind", "options", "reason"), [
    ("BOFTConfig", {"boft_block_size": 4}, "is of PEFT's BOFT, which scales biases"),
    ("IA3Config", {"feedforward_modules": []}, r"is of PEFT's \(IA\)³"),
    ("OFTConfig", {"r": 2, "oft_block_size": 0, "block_share": True}, "blocks are shared"),
])  # fmt: skip
def test_what_is_not_read_is_refused_by_name(
    kind: str, options: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    config = getattr(peft, kind)(target_modules=["down.linear"], **options)
    peft.get_peft_model(Net(), config).save_pretrained(tmp_path)
    with pytest.raises(AdapterFileError, match=reason):
        adapter_file.read(tmp_path)


def test_an_embedding_is_refused_by_name(tmp_path: Path) -> None:
    model = nn.ModuleDict({"words": nn.Embedding(5, 4)})
    config = peft.LoraConfig(r=2, target_modules=["words"])
    peft.get_peft_model(model, config).save_pretrained(tmp_path)
    with pytest.raises(AdapterFileError, match="lora_embedding_A' is of a LoRA of embeddings"):
        adapter_file.read(tmp_path)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(AdapterFileError, match=r"is a folder without adapter_config\.json"):
        adapter_file.read(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(AdapterFileError, match=r"adapter_model\.safetensors cannot be read"):
        adapter_file.read(tmp_path)
    torch.save({}, tmp_path / "adapter_model.bin")
    with pytest.raises(AdapterFileError, match="is a pickle.*safe_serialization=True"):
        adapter_file.read(tmp_path)
    for text in ("[1]", "{", "\0"):
        (tmp_path / "adapter_config.json").write_text(text)
        with pytest.raises(AdapterFileError, match=r"adapter_config\.json (is not|cannot|holds)"):
            adapter_file.read(tmp_path)


@pytest.mark.parametrize(("change", "reason"), [
    ({"down_linear.dora_scale": torch.ones(1, 8)}, "DoRA is of outputs, and that of down.linear"),
    ({"down_linear.lora_mid.weight": torch.ones(2, 2)}, "has no such form, and down.linear is LoRA"
     " with lora_mid.weight"),
    ({"down_linear.diff_b": torch.ones(12)}, "no change of a bias, and down.linear has one"),
    ({"down_point.diff": torch.ones(24, 16, 1, 1)}, "LoHa, LoKr or LoRA.*down.point is Full"),
    ({"elsewhere.lora_up.weight": torch.ones(2, 2)}, "elsewhere is no layer of the model"),
])  # fmt: skip
def test_what_peft_cannot_say(change: dict[str, Tensor], reason: str) -> None:
    plain = {"down_linear.lora_up.weight": torch.ones(12, 2),
             "down_linear.lora_down.weight": torch.ones(2, 8)}  # fmt: skip
    with pytest.raises(AdapterFileError, match=reason):
        peft_write.parts({**plain, **change}, Directory({"unet": LAYERS}))


def test_lokr_blocks_that_no_factor_gives() -> None:
    """12 outputs as 6·2 and 12 inputs as 2·6: PEFT splits equal sizes alike."""
    odd = {"out.lokr_w1": torch.ones(6, 2), "out.lokr_w2": torch.ones(2, 6)}
    with pytest.raises(AdapterFileError, match="no factor and rank that give the blocks of out"):
        peft_write.parts(odd, Directory({"unet": ["out"]}))

"""Options of PEFT's configurations: those that change what tensors mean are applied as PEFT does,
or refused by name; those that do not are let through."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.merge import Merger
from tests.adapters.test_peft_folders import LORA, PATTERNS, Net

peft = pytest.importorskip("peft", reason="peft is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")
LINEAR = ["down.linear", "out"]


def trained(
    folder: Path, kind: str = "LoraConfig", start: Path | None = None, **options: Any
) -> Any:
    """PEFT's model with moved factors, saved; `start` is where its factors are saved before."""
    torch.default_generator.manual_seed(3)
    net = Net()
    with torch.no_grad():  # a weight has to lie apart from 0 for a start made of it to matter
        net.out.weight.mul_(3)
    config = getattr(peft, kind)(**{"target_modules": LINEAR, "r": 2, **options})
    model = peft.get_peft_model(net, config)
    convert = {}
    if start:
        model.peft_config["default"].init_lora_weights = True  # as PEFT's guide has it
        model.save_pretrained(start)
        model.peft_config["default"].init_lora_weights = options["init_lora_weights"]
        convert = {"path_initial_model_for_weight_conversion": str(start)}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name or "hada_" in name or "lokr_" in name:
                parameter.add_(torch.randn(parameter.shape), alpha=0.1)
    whole = copy.deepcopy(model).merge_and_unload()
    model.save_pretrained(folder, **convert)
    return whole


def same(folder: Path, whole: Any) -> None:
    """What is read here makes PEFT's own merged model of the base."""
    model = Net()
    with torch.no_grad():
        model.out.weight.mul_(3)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert Merger(model).merge(adapter_file.read(folder)[0]).unmatched == ()
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(model.state_dict()[key], value, rtol=1e-4, atol=1e-5)
    assert any(not torch.equal(before[k], v) for k, v in model.state_dict().items())


def changed(folder: Path, **options: Any) -> Path:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **options}))
    return folder


def single(folder: Path, **options: Any) -> Path:
    """The same as diffusers' single file."""
    about = {**json.loads((folder / "adapter_config.json").read_text()), **options}
    tensors = load_file(folder / "adapter_model.safetensors")
    renamed = {key.replace("base_model.model.", "unet."): value for key, value in tensors.items()}
    text = json.dumps({f"unet.{key}": value for key, value in about.items()})
    save_file(renamed, folder / "single.safetensors", {"lora_adapter_metadata": text})
    return folder / "single.safetensors"


@pytest.mark.parametrize("start", ["pissa", "pissa_niter_4", "olora", "OLoRA"])
def test_a_start_out_of_the_base_model_is_refused_by_name(start: str, tmp_path: Path) -> None:
    whole = trained(tmp_path, init_lora_weights=start)
    plain = changed(tmp_path, init_lora_weights=True)
    with pytest.raises(AssertionError):  # read as a plain LoRA it would be wrong
        same(plain, whole)
    reason = rf"init_lora_weights = '{start}'.*path_initial_model_for_weight_conversion.*merge"
    with pytest.raises(AdapterFileError, match=rf"{tmp_path}: 'adapter_config' has {reason}"):
        adapter_file.read(changed(tmp_path, init_lora_weights=start))
    with pytest.raises(AdapterFileError, match=rf"'lora_adapter_metadata' of unet has {reason}"):
        adapter_file.read(single(tmp_path))


@pytest.mark.parametrize("options", [
    {"init_lora_weights": "pissa"},
    {"init_lora_weights": "olora", "lora_alpha": 5},
    {"init_lora_weights": "pissa", "lora_alpha": 5, "use_rslora": True},
    {"init_lora_weights": "pissa", "rank_pattern": {"out": 3}, "alpha_pattern": {"linear": 7}},
])  # fmt: skip
def test_what_peft_converts_to_plain_lora_is_exact(options: dict, tmp_path: Path) -> None:
    """Twice the rank: the factors beside those that were taken out of W."""
    whole = trained(tmp_path / "made", start=tmp_path / "start", **options)
    same(tmp_path / "made", whole)
    tensors = adapter_file.read(tmp_path / "made")[0]
    assert len(tensors["base_model_model_down_linear.lora_down.weight"]) == 4


@pytest.mark.parametrize("options", [
    {"init_lora_weights": True, "lora_dropout": 0.2},
    {"init_lora_weights": "gaussian", "exclude_modules": ["down.conv"]},
    {"init_lora_weights": "orthogonal", "lora_alpha": 3, "use_rslora": True},
    {"init_lora_weights": "mica", "fan_in_fan_out": True},
    {"use_dora": True, **PATTERNS},
    {"kind": "LoHaConfig", "module_dropout": 0.1},
    {"kind": "LoKrConfig", "init_weights": "lycoris"},
])  # fmt: skip
def test_options_that_do_not_matter_are_let_through(options: dict, tmp_path: Path) -> None:
    whole = trained(tmp_path, **options)
    same(tmp_path, whole)
    if "kind" not in options and "use_dora" not in options:
        same(single(tmp_path), whole)


@pytest.mark.parametrize(("option", "value", "said"), [
    ("init_lora_weights", "corda", "relative to the base model"),
    ("init_lora_weights", "loftq", "relative to the base model"),
    ("init_lora_weights", "lora_ga", "relative to the base model"),
    ("init_lora_weights", "newest", "may be relative to another base model"),
    ("init_weights", "newest", "may be relative to another base model"),
    ("use_qalora", True, "pooled"), ("alora_invocation_tokens", [5, 6], "words of a text"),
    ("layer_replication", [[0, 4]], "repeats layers"), ("megatron_config", {"a": 1}, "devices"),
    ("arrow_config", {"top_k": 3}, "several adapters"), ("kasa_config", {"a": 1}, "singular"),
    ("monteclora_config", {"a": 1}, "random"), ("use_bdlora", {"nblocks": 2}, "block-diagonal"),
    ("target_parameters", ["experts.up"], "single parameters"), ("bias", "all", "whole biases"),
    ("bias", "lora_only", "whole biases"), ("peft_type", "ADALORA", "PEFT's ADALORA"),
    ("peft_type", "RANDLORA", "PEFT's RANDLORA"), ("peft_type", 5, "PEFT's 5"),
    ("use_rslora", "False", "use_rslora is 'False'; true and false are allowed"),
    ("use_dora", 1, "use_dora is 1; true and false"), ("use_dora", True, "'lora_magnitude_vector'"),
    ("r", "2", "r is '2'; a number"), ("r", True, "r is True; a number"), ("r", 0, "r is 0"),
    ("r", 2.5, "r is 2.5; a whole number"), ("r", None, "r is None"), ("r", [2], "a number is"),
    ("r", 3, "says r = 3, and its tensors have the rank 2"), ("lora_alpha", "2", "alpha is '2'"),
    ("lora_alpha", None, "lora_alpha is None"), ("lora_alpha", float("nan"), "alpha is nan"),
    ("lora_alpha", 10**400, "lora_alpha is 1000"), ("lora_alpha", 0, "lora_alpha is 0"),
    ("rank_pattern", {"(": 2}, r"rank_pattern: '\(' is no regular expression"),
    ("alpha_pattern", {"out": "2"}, "alpha is '2'"), ("alpha_pattern", [2], "an object of names"),
    ("rank_pattern", "out", "rank_pattern is 'out'; an object"),
    ("rank_pattern", {"out": {}}, "r is {}"),
])  # fmt: skip
def test_what_cannot_be_read_right_is_refused_by_name(
    option: str, value: Any, said: str, tmp_path: Path
) -> None:
    trained(tmp_path, **LORA)
    for place in (changed(tmp_path, **{option: value}), single(tmp_path, **{option: value})):
        with pytest.raises(AdapterFileError, match=said) as caught:
            adapter_file.read(place)
        assert str(caught.value).startswith(f"{place}: ") and "\n" not in str(caught.value)


def test_whole_numbers_with_a_point_and_what_is_left_out(tmp_path: Path) -> None:
    """2.0 is 2; what a configuration leaves out is PEFT's own: alpha 8."""
    whole = trained(tmp_path / "a", **LORA)
    same(changed(tmp_path / "a", r=2.0), whole)
    whole = trained(tmp_path / "b", init_lora_weights=False)
    config = json.loads((tmp_path / "b" / "adapter_config.json").read_text())
    assert config.pop("lora_alpha") == 8
    (tmp_path / "b" / "adapter_config.json").write_text(json.dumps(config))
    same(tmp_path / "b", whole)


def without(folder: Path, *names: str) -> Path:
    path = folder / "adapter_config.json"
    kept = {key: value for key, value in json.loads(path.read_text()).items() if key not in names}
    path.write_text(json.dumps(kept))
    return folder


@pytest.mark.parametrize(("kind", "options"), [
    ("LoraConfig", LORA), ("LoHaConfig", {"alpha": 3}),
    ("LoKrConfig", {"alpha": 3, "decompose_factor": 2}),
])  # fmt: skip
def test_a_rank_that_is_left_out_is_8_as_in_peft(
    kind: str, options: dict[str, Any], tmp_path: Path
) -> None:
    """PEFT does not load other factors, and no more does this."""
    trained(tmp_path / "two", kind, **options)
    without(tmp_path / "two", "r")
    if kind != "LoKrConfig":  # which PEFT begins anew, with a warning
        with pytest.raises(RuntimeError, match="size mismatch"):
            peft.PeftModel.from_pretrained(Net(), str(tmp_path / "two"))
    said = "says r = 8, which is PEFT's default, and its tensors have the rank 2"
    for place in (tmp_path / "two", single(tmp_path / "two")):
        with pytest.raises(AdapterFileError, match=said):
            adapter_file.read(place)
    if kind != "LoKrConfig":  # whose blocks are whole here
        whole = trained(tmp_path / "eight", kind, **{**options, "r": 8})
        same(without(tmp_path / "eight", "r"), whole)
    ranks = {"rank_pattern": {"linear": 2, "out": 2}}
    adapter_file.read(changed(tmp_path / "two", **ranks))


@pytest.mark.filterwarnings("default")
def test_an_option_of_later_times_is_told(tmp_path: Path) -> None:
    whole = trained(tmp_path, **LORA)
    changed(tmp_path, twist=0.5, off=None, none=False)
    with pytest.warns(UserWarning, match="not known here.*: twist; compare with PEFT's"):
        adapter_file.read(tmp_path)
    with pytest.warns(UserWarning):
        same(tmp_path, whole)


def test_a_module_to_save_is_named_by_its_path(tmp_path: Path) -> None:
    trained(tmp_path, **LORA, modules_to_save=["point"])
    tensors = adapter_file.read(tmp_path)[0]
    strangers = {
        name
        for name, own in adapter_file.by_layer(tensors).items()
        if not adapter_file.recognise(own)
    }
    assert strangers == {"base_model_model_down_point"}
    with pytest.warns(UserWarning, match="of an unknown kind: base_model_model_down_point"):
        assert Merger(Net()).merge(tensors).unmatched == ("base_model_model_down_point",)


@pytest.mark.parametrize(("content", "said"), [
    (b"\xef\xbb\xbf{}", None), ("{}".encode("utf-16"), None), (b"{}\0", "NUL"), (b"[1]", "object"),
    (b"[" * 100_000, "nested too deeply"), (b"\xff\xfa", "is not UTF-8 text"), (b"{,}", "as JSON"),
])  # fmt: skip
def test_texts_as_editors_save_them(content: bytes, said: str | None, tmp_path: Path) -> None:
    trained(tmp_path, **LORA)
    text = (tmp_path / "adapter_config.json").read_text().encode()
    if said is None:
        encoding = "utf-16" if content[:1] == b"\xff" else "utf-8-sig"
        (tmp_path / "adapter_config.json").write_bytes(text.decode().encode(encoding))
        assert adapter_file.read(tmp_path)[0]
        return
    (tmp_path / "adapter_config.json").write_bytes(content)
    with pytest.raises(AdapterFileError, match=rf"{tmp_path}/adapter_config.json.*{said}"):
        adapter_file.read(tmp_path)


def test_metadata_that_is_no_configuration(tmp_path: Path) -> None:
    tensors: dict[str, Tensor] = {"unet.a.lora_A.weight": torch.ones(2, 3),
                                  "unet.a.lora_B.weight": torch.ones(4, 2)}  # fmt: skip
    for text in ("[1]", "{", "[" * 100_000, "5", ""):
        save_file(tensors, tmp_path / "a", {"lora_adapter_metadata": text})
        with pytest.raises(AdapterFileError, match="'lora_adapter_metadata' is not a JSON object"):
            adapter_file.read(tmp_path / "a")

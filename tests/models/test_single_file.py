"""Single-file checkpoints: written by hand from a folder, read back, and drawn with."""

import json
import random
import shutil

import open_clip
import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

from lycoris_bench.models import compvis_config
from lycoris_bench.models.backbone import Backbone, BackboneError
from lycoris_bench.models.clip_tokenizer import clip_tokenizer
from lycoris_bench.models.hub import fingerprint
from lycoris_bench.sampling.sample import sample
from tests.support import compvis_writer, families, random_models

TOLD = {"sd15": None, "sd2": {"modelspec.predict_key": "v"}, "sdxl": None}


@pytest.mark.parametrize("family", ["sd15", "sd2", "sdxl"])
def test_a_file_is_the_same_model_as_its_folder(family, tmp_path):
    """Tensor by tensor; and its images, which heads, norms, activations and scales decide."""
    expected = families.backbone(family)
    file = compvis_writer.write(tmp_path / "m.safetensors", expected, family, TOLD[family])
    loaded = Backbone.load(file)
    for mine, theirs in zip(
        (loaded.unet, loaded.vae, *loaded.text_encoders),
        (expected.unet, expected.vae, *expected.text_encoders),
        strict=True,
    ):
        state = theirs.state_dict()
        assert mine.state_dict().keys() == state.keys()
        assert all(torch.equal(tensor, state[name]) for name, tensor in mine.state_dict().items())
    how = {"steps": 2, "guidance": 4.0, "width": 64, "height": 64}
    images = [sample(b, ["a red hat, night"], [1], **how).pixels for b in (loaded, expected)]
    # The last digits of a product depend on where its weights lie in memory.
    assert abs(images[0].astype(int) - images[1]).max() <= 1


@pytest.mark.parametrize("family", ["sd15", "sd2", "sdxl"])
def test_the_structure_of_full_models_is_read_off_their_shapes(family):
    """Without a weight: shapes alone, of the real widths."""
    with torch.device("meta"):
        made = random_models.FULL[family]
        model = random_models._unet(made, narrow=False)
    tensors = compvis_writer.unet(model)
    tensors["conditioner.embedders.1.model.text_projection"] = torch.empty(1280, 1280)
    made_by = random_models.FAMILY[family]()
    found = compvis_config.unet(tensors) | made_by.unet_config(tensors)
    with torch.device("meta"):
        again = UNet2DConditionModel(**found)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert {name: tuple(t.shape) for name, t in again.state_dict().items()} == shapes
    assert found["attention_head_dim"] == made.heads
    assert found["block_out_channels"] == made.widths
    known = {"sd15": 859_520_964, "sd2": 865_910_724, "sdxl": 2_567_463_684}  # as published
    assert sum(p.numel() for p in again.parameters()) == known[family]


def test_the_tokenizer_is_clips():
    """Against open_clip's own, on words, numbers, accents and emoji."""
    reference = open_clip.tokenizer.SimpleTokenizer()
    draw = random.Random(1)
    letters = "abcdefghij klmnop qrstuvwxyz  ,.!'-1234567890éüßñ猫🙂"
    texts = ["a photo of a cat, 4k", "l'été à l'ombre", "x" * 40, ""]
    texts += ["".join(draw.choices(letters, k=30)) for _ in range(50)]
    mine = clip_tokenizer()
    assert len(mine) == 49408 and mine.model_max_length == 77
    for text in texts:
        assert mine(text, add_special_tokens=False)["input_ids"] == reference.encode(text)
    assert (mine.bos_token_id, mine.eos_token_id, mine.pad_token_id) == (49406, 49407, 49407)
    assert clip_tokenizer(pad="!").pad_token_id == 0


# ---- what it refuses, and what decides between noise and velocity


@pytest.mark.study
def test_an_sd2_file_must_say_what_it_predicts(tmp_path):
    backbone = families.backbone("sd2")
    file = compvis_writer.write(tmp_path / "m.safetensors", backbone, "sd2")
    with pytest.raises(BackboneError, match=r"'m\.yaml' beside it .* 'parameterization: v'"):
        Backbone.load(file)
    before = fingerprint(file)
    for text, kind in (('"v"', "v_prediction"), ("eps", "epsilon")):
        file.with_suffix(".yaml").write_text(f"model:\n  params:\n    parameterization: {text}\n")
        assert Backbone.load(file).scheduler.config.prediction_type == kind
    assert fingerprint(file) != before
    file.with_suffix(".yaml").write_text("parameterization: x0\n")
    with pytest.raises(BackboneError, match="predicts 'x0'; allowed are v and epsilon"):
        Backbone.load(file)


@pytest.mark.parametrize("name", ["m.ckpt", "m.pt", "m.bin"])
def test_a_pickle_is_refused_unread(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(BackboneError, match="is a pickle, which may run any code"):
        Backbone.load(tmp_path / name)


def test_files_that_are_no_base_model_are_one_sentence(tmp_path):
    backbone = families.backbone("sd15")
    whole = compvis_writer.tensors(backbone, "sd15")
    whole = {name: tensor.contiguous().clone() for name, tensor in whole.items()}
    file = tmp_path / "m.safetensors"
    cases = {
        "no U-Net under CompVis's names": {"lora_unet_x.alpha": torch.ones(1)},
        "no text encoder": {n: t for n, t in whole.items() if not n.startswith("cond_stage")},
        "its UNet2DConditionModel lacks 1 tensor": {
            n: t for n, t in whole.items() if n != "model.diffusion_model.time_embed.2.bias"
        },
    }
    for reason, tensors in cases.items():
        save_file(tensors, file)
        with pytest.raises(BackboneError, match=reason) as caught:
            Backbone.load(file)
        assert "\n" not in str(caught.value)
    file.write_bytes(b"<html>")
    with pytest.raises(BackboneError, match="cannot be loaded"):
        Backbone.load(file)
    other = tmp_path / "notes.txt"
    other.write_text("hello")
    with pytest.raises(BackboneError, match="file of another kind"):
        Backbone.load(other)


def test_a_model_for_inpainting_is_refused(tmp_path):
    folder = shutil.copytree(families.folder("sd15"), tmp_path / "inpaint")
    config = folder / "unet" / "config.json"
    model = UNet2DConditionModel.from_config(json.loads(config.read_text()) | {"in_channels": 9})
    model.save_pretrained(folder / "unet")
    with pytest.raises(BackboneError, match="takes 9 channels .* inpainting"):
        Backbone.load(folder)

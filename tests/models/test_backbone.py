"""Loading, prompts of any length, and the VAE's two directions."""

import json
import shutil

import pytest
import torch

from lycoris_bench.models.backbone import Backbone, BackboneError
from lycoris_bench.models.conditioning import chunked
from lycoris_bench.models.hub import fingerprint

BOS, EOS = 74, 75  # the two words after 37 signs and 37 word ends


def ids(text):
    """Token ids of letters that stand alone, worked out by hand: 'a' is a</w> = 37."""
    return [37 + ord(letter) - ord("a") for letter in text.split()]


def test_long_prompts_are_chunked_as_by_hand(backbone):
    words = "a b c d e f g h i j k l m n o p"
    rows, needed = chunked(backbone.tokenizer, [words, "z", ""])
    assert needed == [2, 1, 1]
    assert rows[0].tolist() == [
        [BOS, *ids("a b c d e f g h i j k l m n"), EOS],
        [BOS, *ids("o p"), EOS, *[EOS] * 12],
    ]
    assert rows[1].tolist() == [[BOS, *ids("z"), *[EOS] * 14], [BOS, *[EOS] * 15]]
    with torch.no_grad():
        embedded = backbone.condition([words, "z", ""]).hidden
        first, second = (backbone.text_encoder(rows[0, k][None])[0] for k in range(2))
    torch.testing.assert_close(embedded[:1], torch.cat([first, second], 1))


def test_a_prompt_is_cut_at_max_tokens(backbone):
    words = "a b c d e f g h i j k l m n o p"
    rows, _ = chunked(backbone.tokenizer, [words], 15)
    assert rows[0, 1].tolist() == [BOS, *ids("o"), *[EOS] * 14]
    assert chunked(backbone.tokenizer, [words], 14)[0].shape == (1, 1, 16)


def test_one_chunk_is_what_the_tokenizer_makes_itself(backbone):
    prompts = ["a red hat", "", "b"]
    expected = backbone.tokenizer(prompts, padding="max_length", truncation=True)["input_ids"]
    assert chunked(backbone.tokenizer, prompts)[0][:, 0].tolist() == expected


def test_a_short_prompt_beside_a_long_one_is_masked(backbone):
    text = backbone.condition(["a b c d e f g h i j k l m n o p", "z"])
    assert text.mask.tolist() == [[True] * 32, [True] * 16 + [False] * 16]
    assert backbone.condition(["y", "z"]).mask is None


def test_clip_skip_takes_an_earlier_layer_through_the_last_norm(backbone):
    token_ids, _ = chunked(backbone.tokenizer, ["a hat"])
    encoder = backbone.text_encoder
    layers = encoder(token_ids[0], output_hidden_states=True).hidden_states
    norm = getattr(encoder, "text_model", encoder).final_layer_norm
    torch.testing.assert_close(backbone.condition(["a hat"], clip_skip=2).hidden, norm(layers[-2]))
    torch.testing.assert_close(backbone.condition(["a hat"]).hidden, norm(layers[-1]))
    with pytest.raises(ValueError, match="has 2 layers"):
        backbone.condition(["a hat"], clip_skip=3)


def test_gradients_reach_the_text_encoder(backbone):
    weight = next(backbone.text_encoder.parameters()).requires_grad_()
    hidden = backbone.condition(["a"]).hidden
    hidden[..., 0].sum().backward()  # all of a normed row sum to the same
    assert weight.grad.abs().sum() > 0


def test_latents_are_the_scaled_posterior(backbone):
    images = torch.rand(2, 3, 32, 16) * 2 - 1
    noise = torch.randn(2, 4, 8, 4)
    with torch.no_grad():
        moments = backbone.vae.quant_conv(backbone.vae.encoder(images))
        mean, log_variance = moments.chunk(2, 1)
        torch.testing.assert_close(backbone.latents(images), mean * 0.18215)
        expected = (mean + (log_variance / 2).exp() * noise) * 0.18215
        torch.testing.assert_close(backbone.latents(images, noise), expected)


def test_decoding_does_not_depend_on_the_batch(backbone):
    latents = torch.randn(5, 4, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(
            backbone.pixels(latents, batch_size=2), backbone.pixels(latents, batch_size=5)
        )


def test_noise_is_added_as_the_equation_says(backbone):
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    kept = (1 - betas).cumprod(0)[[0, 999]].view(2, 1, 1, 1)
    x, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    expected = (kept.sqrt() * x + (1 - kept).sqrt() * noise).float()
    torch.testing.assert_close(backbone.add_noise(x, noise, torch.tensor([0, 999])), expected)
    assert backbone.target(x, noise, torch.tensor([0, 999])) is noise


# ---- what cannot be loaded


def broken(base, tmp_path):
    return shutil.copytree(base, tmp_path / "broken")


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(BackboneError, match="nowhere' does not exist"):
        Backbone.load(tmp_path / "nowhere")


def test_a_hub_id_that_is_not_cached_is_not_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BackboneError, match="'hf download nobody/no-such-model'"):
        Backbone.load("nobody/no-such-model")


def test_a_hub_id_that_is_cached_is_loaded_without_a_network(base, tmp_path, monkeypatch):
    repository = tmp_path / "models--somebody--tiny"
    shutil.copytree(base, repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert Backbone.load("somebody/tiny").vae_scale == 4
    assert fingerprint("somebody/tiny") == fingerprint(base)


def test_a_folder_that_is_no_pipeline(tmp_path):
    (tmp_path / "unet").mkdir()
    with pytest.raises(BackboneError, match="has no text_encoder, vae, tokenizer, scheduler"):
        Backbone.load(tmp_path)


@pytest.mark.parametrize("damage", ["truncated", "foreign", "no weights", "no json", "lacks"])
def test_broken_weights_are_one_sentence(base, tmp_path, damage):
    from safetensors.torch import load_file, save_file

    folder = broken(base, tmp_path)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "foreign":
        weights.write_bytes(b"<html>not found</html>")
    elif damage == "no weights":
        weights.unlink()
    elif damage == "no json":
        (folder / "unet" / "config.json").write_text("{")
    else:
        tensors = load_file(weights)
        save_file({k: v for k, v in tensors.items() if "conv_out" not in k}, weights)
    with pytest.raises(BackboneError, match="cannot be loaded: .+") as caught:
        Backbone.load(folder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_weights_of_another_shape_are_refused(base, tmp_path):
    folder = broken(base, tmp_path)
    config = json.loads((folder / "text_encoder" / "config.json").read_text())
    config["intermediate_size"] = 64
    (folder / "text_encoder" / "config.json").write_text(json.dumps(config))
    with pytest.raises(BackboneError, match="cannot be loaded"):
        Backbone.load(folder)


def test_fp16_files_are_found_and_used_in_fp32(base, tmp_path, backbone):
    from safetensors.torch import load_file, save_file

    folder = broken(base, tmp_path)
    for name, stem in (("unet", "diffusion_pytorch_model"), ("text_encoder", "model")):
        plain = folder / name / f"{stem}.safetensors"
        half = {k: v.half() if v.is_floating_point() else v for k, v in load_file(plain).items()}
        save_file(half, plain.with_name(f"{stem}.fp16.safetensors"), {"format": "pt"})
        plain.unlink()
    loaded = Backbone.load(folder)
    expected = backbone.unet.conv_in.weight.half().float()
    assert torch.equal(loaded.unet.conv_in.weight, expected)
    assert {p.dtype for p in loaded.text_encoder.parameters()} == {torch.float32}


def test_fingerprint_is_of_content_and_names_not_of_place(base, tmp_path):
    copy = broken(base, tmp_path)
    (copy / "README.md").write_text("not read by loading")
    assert fingerprint(copy) == fingerprint(base)
    weights = copy / "vae" / "diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert fingerprint(copy) != fingerprint(base)

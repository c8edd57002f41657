"""Names of layers: finds a layer by any spelling of the ecosystem and spells it in any. Names of
tensors inside a layer are for `layouts`.

Works on paths alone, so that a model on the disk needs no modules."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.compvis_layers import unet_names

DENOISERS = ("unet", "transformer")
TEXTS = ("text_encoder", "text_encoder_2", "text_encoder_3")
MODULE = "module"  # any that is none of these
LAYOUTS = ("kohya", "lycoris", "compvis", "comfyui", "diffusers", "peft")
# Prefixes of names, with dots as underscores, and the models that they may stand for.
BEGINNINGS: dict[str, tuple[str, ...]] = {
    "": (*DENOISERS, *TEXTS),
    "base_model_model_": (*DENOISERS, *TEXTS),  # peft wraps a model without naming it
    "lycoris_": (*DENOISERS, *TEXTS),  # and so does lycoris-lora
    "diffusion_model_": DENOISERS,
    "model_diffusion_model_": DENOISERS,
    **{f"{who}_unet_": DENOISERS for who in ("lora", "lycoris", "oft")},
    **{f"{who}_transformer_": ("transformer",) for who in ("lora", "lycoris")},
    **{f"{model}_": (model,) for model in (*DENOISERS, *TEXTS)},
    **{f"{model}_base_model_model_": (model,) for model in (*DENOISERS, *TEXTS)},
    **{
        f"{who}_te{number}_": (model,)
        for who in ("lora", "lycoris", "oft")
        for number, model in zip(("", "1", "2", "3"), (TEXTS[0], *TEXTS), strict=True)
    },
}
CLIPS = {"clip_l": TEXTS[:1], "clip_h": TEXTS[:1], "clip_g": TEXTS[1:2], "t5xxl": TEXTS[1:]}
for _clip, _models in CLIPS.items():
    for _level in ("", "transformer_"):
        BEGINNINGS[f"{_clip}_{_level}"] = BEGINNINGS[f"text_encoders_{_clip}_{_level}"] = _models
LEVEL = "text_model."  # of CLIP; transformers 5.6 dropped it, and every reader expects it
CLIP_PARTS = ("encoder.layers.", "embeddings.", "final_layer_norm")
# how names in files, which have no dots, tell their model and the block in it
MODEL = re.compile(r"(?:lora_|lycoris_|oft_)?(te\d?|text_encoder(?:_\d)?|transformer|unet)[_.]")
SHORT = {"te": TEXTS[0], "te1": TEXTS[0], "te2": TEXTS[1], "te3": TEXTS[2]}
BLOCK = re.compile(
    r"(?:(?:down_blocks|up_blocks|input_blocks|output_blocks|layers|transformer_blocks|"
    r"single_transformer_blocks|joint_blocks|double_blocks|single_blocks|blocks)[_.]\d+"
    r"|mid_block|middle_block|time_text_embed|(?:time|add|label)_emb(?:edding|ed)?|final_layer_norm"
    r"|embeddings|(?:x|context)_embedder|(?:[a-z]+_)+(?:in|out)(?:[_.]|$))"
)


def claims(name: str) -> Iterator[tuple[str, str]]:
    """(model, spelling without its beginning) of all that a file's name of a layer may mean."""
    plain = name.replace(".", "_")
    for start, models in BEGINNINGS.items():
        if plain.startswith(start):
            rest = plain[len(start) :]
            for model in models:
                yield model, rest.removeprefix("text_model_") if model in TEXTS else rest


def block_of(name: str) -> str:
    """The block that reports count a layer in, from its path or its name in a file.

    >>> block_of("unet.down_blocks.1.attentions.0.proj_in"), block_of("lora_te_x_layers_3_mlp_fc1")
    ('unet.down_blocks.1', 'text_encoder.layers.3')
    """
    model, _, path = name.partition(".")
    if path and model == MODULE:  # up to the first number
        parts = path.split(".")
        numbers = (count for count, part in enumerate(parts, 1) if part.isdigit())
        return ".".join(parts[: next(numbers, 1)])
    if path and model in (*DENOISERS, *TEXTS):
        parts = [part for part in path.split(".") if part not in ("text_model", "encoder")]
        numbered = len(parts) > 1 and parts[1].isdigit()
        return ".".join([model, *parts[: 2 if numbered else 1]])
    start = MODEL.match(name)
    model = SHORT.get(start[1], start[1]) if start else "layers"
    inner = BLOCK.search(name[start.end() :] if start else name)
    block = re.sub(r"[_.](\d+)$", r".\1", inner[0].rstrip("_.")) if inner else "other"
    return f"{model}.{block}"


def natural(name: str) -> tuple[object, ...]:
    """Sort key: numbers in a name compare as numbers.

    >>> sorted(["blocks_10", "blocks_2", "blocks_2_a"], key=natural)
    ['blocks_2', 'blocks_2_a', 'blocks_10']
    """
    # odd places of the split hold the digits, so that numbers never meet text
    parts = re.split(r"([0-9]+)", name)
    return (*(int(part) if k % 2 else part for k, part in enumerate(parts)), name)


class Directory:
    """The layers of a model, found by any spelling of their names and spelled in any layout.

    `models` maps a model kind ("unet", "transformer", "text_encoder", "text_encoder_2",
    "text_encoder_3"; "module" for any other) to its layers' dotted paths, as diffusers and
    transformers have them."""

    def __init__(self, models: Mapping[str, Sequence[str]]) -> None:
        if strangers := set(models) - {*DENOISERS, *TEXTS, MODULE}:
            raise BenchError(f"unknown model kinds: {', '.join(sorted(strangers))}")
        self.models = {model: tuple(paths) for model, paths in models.items() if paths}
        self.texts = tuple(model for model in TEXTS if model in self.models)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((model, path) for model, paths in self.models.items() for path in paths)

    def find(self, name: str) -> tuple[str, str] | None:
        """(model, path) of the layer that a file calls `name`, its dots kept or not; None where
        there is none. Raises `AdapterFileError` for a name that fits two layers."""
        plain = name.replace(".", "_")
        places = {
            (model, path): None
            for start, models in BEGINNINGS.items()
            if plain.startswith(start)
            for model in self._meant(models)
            for path in self._known[model].get(plain[len(start) :], ())
        }
        if len(places) > 1:
            both = " and ".join(f"{model}.{path}" for model, path in sorted(places)[:2])
            raise AdapterFileError(f"'{name}' may be {both}: name the model, as lora_te1_ does")
        return next(iter(places), None)

    def spell(self, model: str, path: str, layout: str = "kohya") -> str:
        """The layer's name in a layout. AdapterFileError: the layout has no name for it."""
        match layout:
            case "kohya":
                return self._prefix(model) + _levelled(model, path).replace(".", "_")
            case "lycoris":
                return "lycoris_" + path.replace(".", "_")
            case "diffusers":
                return f"{model}.{_levelled(model, path)}"
            case "peft":
                return f"base_model.model.{path}"
            case "compvis" | "comfyui" if model in TEXTS:
                if layout == "compvis":
                    return self.spell(model, path, "kohya")
                return f"text_encoders.{self._clip(model)}.transformer.{_levelled(model, path)}"
            case "compvis" | "comfyui":
                if model != "unet" or path not in self._compvis:
                    raise AdapterFileError(f"{layout} has no name for {model}.{path}")
                other = self._compvis[path]
                if layout == "compvis":
                    return "lora_unet_" + other.replace(".", "_")
                return f"diffusion_model.{other}"
        raise BenchError(f"unknown layout '{layout}'; allowed are: {', '.join(LAYOUTS)}")

    def _prefix(self, model: str) -> str:
        if model == MODULE:
            return "lycoris_"
        if model in DENOISERS:
            return f"lora_{model}_"
        return "lora_te_" if len(self.texts) < 2 else f"lora_te{TEXTS.index(model) + 1}_"

    def _clip(self, model: str) -> str:
        """ComfyUI's name of a text encoder; SD2's only one is a CLIP-H of 24 layers or less."""
        if model == TEXTS[1]:
            return "clip_g"
        if model == TEXTS[2]:
            return "t5xxl"
        deep = any("layers.12." in path for path in self.models.get(model, ()))
        return "clip_h" if deep and len(self.texts) == 1 else "clip_l"

    def _meant(self, models: tuple[str, ...]) -> list[str]:
        """The present models among `models`. A single text encoder may have the name of the first,
        and a model of any other kind every name."""
        if MODULE in self.models:
            return [MODULE]
        present = [model for model in models if model in self.models]
        return present or list(self.texts if len(self.texts) == 1 and models[0] == TEXTS[0] else ())

    @cached_property
    def _compvis(self) -> dict[str, str]:
        return unet_names(self.models.get("unet", ()))

    @cached_property
    def _known(self) -> dict[str, dict[str, set[str]]]:
        """Model -> spelling without its beginning -> paths."""
        spelled: dict[str, dict[str, set[str]]] = {}
        for model, paths in self.models.items():
            spelled[model] = defaultdict(set)
            for path in paths:
                spellings = {path, _levelled(model, path), path.removeprefix(LEVEL)}
                if model == "unet" and path in self._compvis:
                    spellings.add(self._compvis[path])
                for spelling in spellings:
                    spelled[model][spelling.replace(".", "_")].add(path)
        return spelled


def _levelled(model: str, path: str) -> str:
    """The path with CLIP's `text_model` level, whether or not the model has it."""
    return LEVEL + path if model in TEXTS and path.startswith(CLIP_PARTS) else path

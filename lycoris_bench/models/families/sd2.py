"""Stable Diffusion 2.x: one OpenCLIP text encoder; noise is predicted at 512 pixels, the velocity
at 768."""

from collections.abc import Mapping
from pathlib import Path

from lycoris_bench.models.families.base import Evidence, Family, TextInFile, config
from lycoris_bench.models.parts import BackboneError
from lycoris_bench.models.single_file import yaml_of


class SD2(Family):
    """Conditions on the last layer but one of its text encoder, behind the norm: files of one part
    each leave the last layer out, a single file holds it."""

    name = "Stable Diffusion 2"
    base_model_version = "sd_v2"
    stated = r"sd_?v?2|stable-diffusion-v?2"
    texts_in_file = (TextInFile("cond_stage_model.model.", open_clip=True, unused_layers=1),)
    text_width = 1024

    def in_folder(self, folder: Path) -> Evidence:
        # CLIP's own activation is "quick_gelu"
        open_clip = config(folder, "text_encoder").get("hidden_act") == "gelu"
        return Evidence.LIKELY if open_clip and super().in_folder(folder) else Evidence.NONE

    def in_metadata(self, text: str, metadata: Mapping[str, str]) -> bool:
        return super().in_metadata(text, metadata) or (not text and metadata.get("ss_v2") == "True")

    def prediction_of(self, file: Path) -> str:
        raise BackboneError(  # both kinds look the same
            "an SD 2.x file does not say whether it predicts noise or velocity: put "
            f"'{yaml_of(file).name}' beside it with the line 'parameterization: v' (768 pixels) "
            "or 'parameterization: eps' (512 pixels)"
        )

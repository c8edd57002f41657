"""The presets that every study has, as data."""

from lycoris_bench.adapters.presets.preset import Override, Preset

ATTENTION = ("Attention", "CrossAttention", "SelfAttention", "FluxAttention", "JointAttention")
# a U-Net's transformers, and the blocks of SD3 and Flux with all that is in them
TRANSFORMER = ("Transformer2DModel", "JointTransformerBlock", "FluxTransformerBlock",
               "FluxSingleTransformerBlock")  # fmt: skip
RESNET = ("ResnetBlock2D",)
RESAMPLE = ("Downsample2D", "Upsample2D")
CLIP_ATTENTION = ("CLIPAttention", "CLIPSdpaAttention")
CLIP = (*CLIP_ATTENTION, "CLIPMLP")
TIME = (r"time_embedding\.linear_[12]$", r"time_text_embed\.")
ENDS = (r"conv_in$", r"conv_out$", r"(x|context)_embedder$", r"norm_out\.linear$", r"proj_out$")
WHOLE = TRANSFORMER + RESNET + RESAMPLE
ON_INPUT = r"(.*\.)?(ff\.net\.2|mlp\.fc2)$"
PRESETS = {
    "attn-only": Preset(ATTENTION, CLIP_ATTENTION),
    "attn-mlp": Preset(TRANSFORMER, CLIP),
    "full-lin": Preset(TRANSFORMER + RESNET, CLIP, TIME),
    "full": Preset(WHOLE, CLIP, TIME + ENDS, convolutions=True, norms=True),
    "unet-only": Preset(WHOLE, (), TIME + ENDS, convolutions=True),
    "unet-transformer-only": Preset(TRANSFORMER),
    "unet-convblock-only": Preset(RESNET + RESAMPLE, (), ENDS[:2], convolutions=True),
    "ia3": Preset(
        unet_names=(r"(.*\.)?(to_k|to_v)$",),
        text_encoder_names=(r"(.*\.)?(k_proj|v_proj)$",),
        by_name=((ON_INPUT, Override(options={"train_on_input": True})),),
        only="ia3",
    ),
}

"""Faster drawing that leaves the images as they are, but for the last bits."""

import torch

from lycoris_bench.diffusion.backbone import Backbone


def prepared(backbone: Backbone, compiled: bool = False) -> Backbone:
    """The same backbone, made ready to draw: on CUDA with channels last, which is what its
    convolutions are fast at; `compiled` with a U-Net that torch.compile rewrites at its first
    call. Merging writes into the weights in place, so that it is compiled once for all
    checkpoints, and again for each other size of a batch."""
    if backbone.device.type == "cuda":
        for model in (backbone.unet, backbone.vae):
            model.to(memory_format=torch.channels_last)
    if compiled:
        backbone.unet.compile(dynamic=False)
    return backbone

"""Small models whose class names are those that presets look for, and what is done with them."""

import torch
from torch import Tensor, nn

from lycoris_bench.adapters.attach import AdapterNetwork

LAYERS = {
    "linear": lambda: nn.Linear(12, 20),
    "conv3x3": lambda: nn.Conv2d(12, 20, 3, stride=2, padding=1),
    "conv1x1": lambda: nn.Conv2d(12, 20, 1, bias=False),
    "conv1d": lambda: nn.Conv1d(12, 20, 3, padding=2, dilation=2),
    "conv3d": lambda: nn.Conv3d(12, 20, (1, 2, 3), padding=1, stride=(1, 2, 1)),
    "grouped": lambda: nn.Conv2d(24, 20, 3, groups=2, dilation=2, padding=1),
}
INPUTS = {
    "linear": (2, 5, 12), "conv3x3": (2, 12, 7, 7), "conv1x1": (2, 12, 4, 4),
    "conv1d": (2, 12, 8), "conv3d": (2, 12, 3, 4, 5), "grouped": (2, 24, 6, 6),
}  # fmt: skip


class ResnetBlock2D(nn.Module):
    """A block with one layer of the kind under test; presets know blocks by their class name."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Toy(nn.Module):
    """A "U-Net" of one block; its layer is called lora_unet_down_blocks_0_layer in files."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.down_blocks = nn.ModuleList([ResnetBlock2D(LAYERS[kind]())])

    @property
    def layer(self) -> nn.Module:
        return self.down_blocks[0].layer  # type: ignore[return-value]  # nn.Module knows no layer

    def forward(self, x: Tensor) -> Tensor:
        return self.down_blocks[0](x)


def toy(kind: str) -> tuple[Toy, Tensor]:
    """The same model and input every time."""
    torch.default_generator.manual_seed(5)
    return Toy(kind), torch.randn(INPUTS[kind])


def randomise(network: AdapterNetwork, seed: int = 3, size: float = 0.3) -> None:
    """Moves every parameter away from its initial value."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=size)


def predict(models: tuple[nn.Module, nn.Module], batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """The noise prediction, through both models."""
    unet, text_encoder = models
    latents, steps, tokens = batch
    return unet(latents, steps, text_encoder(tokens).last_hidden_state).sample

"""The simplest adapter, W' = W + D, and a training of it that keeps everything it is told."""

import torch
from torch import nn
from torch.nn.utils import parametrize

from lycoris_bench.training.loop import train
from tests.support.copies import copied


class Delta(nn.Module):
    """W' = W + D, the simplest adapter; D starts at 0."""

    def __init__(self, weight):
        super().__init__()
        self.delta = nn.Parameter(torch.zeros_like(weight))

    def forward(self, weight):
        return weight + self.delta


class Network(nn.Module):
    """Deltas on every linear layer of the models, or on other kinds of layers."""

    def __init__(self, *models, kinds=(nn.Linear,)):
        super().__init__()
        self.deltas = nn.ModuleList()
        for model in models:
            for module in [m for m in model.modules() if type(m) in kinds]:
                delta = Delta(module.weight)
                parametrize.register_parametrization(module, "weight", delta)
                self.deltas.append(delta)


def run(world, training, *, network=None, epochs=(1, 2), seed=23, lr=2e-3, **more):
    """Trains a copy of the world; the states of all steps, and the weights at each checkpoint."""
    backbone, data, cache = world
    backbone = copied(backbone)
    network = network or Network(backbone.unet, backbone.text_encoder)
    kept, states, losses = {}, [], []

    def on_epoch(epoch, module, record):
        kept[epoch] = ({k: v.clone() for k, v in module.state_dict().items()}, record)

    train(
        backbone, network, data, cache, training, seed=seed, epochs=epochs, lr=lr,
        on_epoch=on_epoch, on_state=states.append,
        on_step=lambda done, total, loss: losses.append((done, total, float(loss))), **more,
    )  # fmt: skip
    return kept, states, losses


def same(one, other):
    return all(torch.equal(one[k], other[k]) for k in one) and one.keys() == other.keys()

"""The positions of Meta's hub code against the cubic kernel written out, and what they change."""

import math

import pytest
import timm
import torch

from lycoris_bench.scoring.encoders import dinov2_l_hub
from lycoris_bench.scoring.encoders.dinov2_l_hub import DINOv2LHub, positions


def kernel(x):
    """Keys' cubic convolution with a = -3/4."""
    x, a = abs(x), -0.75
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def sampled(row, at):
    """A row of numbers at a real place; beyond its ends it goes on as it ends."""
    first = math.floor(at) - 1
    taps = range(first, first + 4)
    return sum(row[min(max(k, 0), len(row) - 1)] * kernel(at - k) for k in taps)


@pytest.mark.parametrize(("m", "side"), [(37, 16), (7, 3), (5, 8)])
def test_positions_are_sampled_where_the_hub_code_samples(m, side):
    table = torch.randn(1, 1 + m * m, 2, generator=torch.Generator().manual_seed(m))
    found = positions(table, side)
    assert found.shape == (1, 1 + side * side, 2)
    torch.testing.assert_close(found[:, 0], table[:, 0])
    places = [(i + 0.5) * m / (side + 0.1) - 0.5 for i in range(side)]
    for channel in range(2):
        grid = table[0, 1:, channel].double().reshape(m, m).tolist()
        rows = [[sampled(row, x) for x in places] for row in grid]
        for y, at in enumerate(places):
            for x in range(side):
                expected = sampled([row[x] for row in rows], at)
                assert float(found[0, 1 + y * side + x, channel]) == pytest.approx(
                    expected, abs=1e-4
                )


def test_the_network_takes_224_pixels_and_only_its_positions_differ(monkeypatch):
    """A narrow network of the same kind, against one that timm itself builds for 224 pixels."""

    def narrow(size):
        torch.manual_seed(0)
        made = timm.create_model("vit_tiny_patch16_224", patch_size=14, img_size=size, depth=2)
        return made.eval().requires_grad_(False)

    monkeypatch.setattr(dinov2_l_hub, "timm_network", lambda model, record: narrow(518))
    hub = DINOv2LHub(DINOv2LHub.record)
    learned, small = narrow(518), narrow(224)
    small.load_state_dict({**learned.state_dict(), "pos_embed": small.pos_embed})
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    seen = hub.encode(images)
    assert (small(images) - seen).abs().max() > 1e-4
    small.pos_embed.copy_(positions(learned.pos_embed, 16))
    torch.testing.assert_close(small(images), seen)

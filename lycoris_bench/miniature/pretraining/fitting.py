"""One resumable training loop for every network of the miniature world.

AdamW, one-cycle rate, gradient norm 1, an exponential moving average of the weights.  Step k draws
its data from generators seeded by (seed, k), so a resumed run sees what an unbroken one would.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import distributed as dist
from torch import nn

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a network is trained."""

    steps: int
    rate: float
    seed: int = 0
    ema: float = 0.999
    warm_up: float = 0.1  # share of the steps
    weight_decay: float = 0.01
    save_every: int = 500


def rate_at(step: int, schedule: Schedule) -> float:
    """One-cycle: linear up to `rate`, then a cosine down to 1 % of it."""
    up = max(1, int(schedule.steps * schedule.warm_up))
    if step < up:
        return schedule.rate * (step + 1) / up
    t = min(1.0, (step - up) / max(1, schedule.steps - up))
    return schedule.rate * (0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * t))))


def rank_and_size() -> tuple[int, int]:
    """This process's number and how many train together (torchrun's environment), or (0, 1)."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def generators(seed: int, step: int) -> tuple[np.random.Generator, torch.Generator]:
    """The random generators of one step of this process."""
    seed = seed + 1000 * rank_and_size()[0]
    return np.random.default_rng([seed, step]), torch.Generator().manual_seed(seed * 10**7 + step)


def share_gradients(parameters: list[nn.Parameter]) -> None:
    """Average the gradients over all processes.

    Two processes of one thread each waste far less time than one of two threads, whose cores wait
    for each other at every small operation.
    """
    size = rank_and_size()[1]
    if size == 1:
        return
    if not dist.is_initialized():
        dist.init_process_group("gloo")
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    for g, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        g.copy_(part.view_as(g) / size)


def _write(state: object, path: Path) -> None:
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def fit(
    name: str,
    model: M,
    loss_of: Callable[[int], torch.Tensor],
    schedule: Schedule,
    work: Path,
    on_save: Callable[[M, int], None] | None = None,
) -> M:
    """Train `model` until `schedule.steps`, continuing from `work/name.pt`; return its EMA copy.

    `loss_of(step)` computes the loss with `model`; `on_save(ema, step)` is called at every save.
    """
    ema = copy.deepcopy(model).requires_grad_(False).eval()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=schedule.rate, betas=(0.9, 0.99), weight_decay=schedule.weight_decay
    )
    path, start, spent = work / f"{name}.pt", 0, 0.0
    if path.exists():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        ema.load_state_dict(state["ema"])
        optimizer.load_state_dict(state["optimizer"])
        start, spent = state["step"], state["seconds"]
    clock, recent = time.perf_counter(), []
    for step in range(start, schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, schedule)
        loss = loss_of(step)
        loss.backward()
        share_gradients(trained)
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        keep = min(schedule.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for slow, fast in zip(ema.parameters(), model.parameters(), strict=True):
                slow.lerp_(fast, 1 - keep)
            for kept, seen in zip(ema.buffers(), model.buffers(), strict=True):
                kept.copy_(seen)
        recent.append(float(loss.detach()))
        if rank_and_size()[0] > 0:
            continue
        if (step + 1) % 100 == 0:
            seconds = spent + time.perf_counter() - clock
            print(
                f"{name} step {step + 1}/{schedule.steps} loss {np.mean(recent):.4f} "
                f"{seconds / 60:.1f} min",
                flush=True,
            )
            recent = []
        if (step + 1) % schedule.save_every == 0 or step + 1 == schedule.steps:
            _write(
                {
                    "model": model.state_dict(),
                    "ema": ema.state_dict(),
                    "step": step + 1,
                    "optimizer": optimizer.state_dict(),
                    "seconds": spent + time.perf_counter() - clock,
                },
                path,
            )
            if on_save:
                on_save(ema, step + 1)
    return ema

"""What the races of training methods share: files of images, the numbers that networks start from, and PyTorch's side."""

import gzip
import time

import numpy as np

# Times of evaluations are so far apart.
RATIO = 1.25


def uniforms(n, seed):
    """Numbers in [0, 1) of SplitMix64, as the crate draws them."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15) * np.arange(1, n + 1, dtype=np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def read_idx(path, rank, most):
    """The first of the arrays of bytes in a file of so many dimensions."""
    opened = gzip.open(path) if str(path).endswith(".gz") else open(path, "rb")
    with opened as file:
        kind, count, *shape = (int.from_bytes(file.read(4), "big") for _ in range(1 + rank))
        assert kind == 0x800 + rank, f"{path} is no IDX file of {rank} dimensions"
        shape = [min(count, most), *shape]
        return np.frombuffer(file.read(int(np.prod(shape))), np.uint8).reshape(shape)


def samples_differentiated(point):
    """Gradients of one sample that a point of the crate's curve cost: a gradient is 1, with the value that comes along with it,
    a further value 1/3, and a product with the Gauss-Newton matrix 4/3, as their operations are."""
    gradients = point["sample_gradients"]
    return gradients + max(point["sample_values"] - gradients, 0) / 3 + point["sample_products"] * 4 / 3


def torch_curve(initial, optimizer_of, loss, evaluate, samples, size, end, falls=False):
    """The learning curve of an optimizer of PyTorch for so many seconds, on batches of `size` out of so many samples: `loss` of
    the parts and the samples drawn, `evaluate` of the parts. Where the rate falls, it does so linearly to zero."""
    import torch

    # What is made at first use does not count.
    for steps in (3, None):
        parts, curve = initial(), []
        optimizer = optimizer_of(parts)
        seconds, mark, differentiated, iterations = 0.0, 0.0, 0, 0
        while steps is None or iterations < steps:
            for drawn in torch.randperm(samples).split(size):
                if seconds >= mark or seconds >= end:
                    curve.append({"seconds": seconds, "samples": differentiated, "iterations": iterations} | evaluate(parts))
                    mark = max(seconds * RATIO, seconds + 0.1)
                    if seconds >= end:
                        return curve
                started = time.perf_counter()
                if falls:
                    for group in optimizer.param_groups:
                        now = group.setdefault("rate", group["lr"])
                        group["lr"] = now * (1 - seconds / end)
                optimizer.zero_grad(set_to_none=True)
                loss(parts, drawn).backward()
                optimizer.step()
                seconds, differentiated = seconds + time.perf_counter() - started, differentiated + len(drawn)
                iterations += 1
                if iterations == steps:
                    break

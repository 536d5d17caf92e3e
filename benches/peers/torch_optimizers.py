"""Golden values for tests/torch_optimizers.rs: PyTorch's first-order methods, step by step.

    python benches/peers/torch_optimizers.py > tests/data/torch_optimizers.json

Each method takes 100 steps in float32 from the same point on

    f(x) = sum_i w_i (x_i - a_i)^2 / 2 + sum_i (x_i - x_{i+1})^4 / 4,   w = (1, 10, 100), a = (1, -2, 0.5).

The gradient is written out, in the order in which the test computes it, so that only the methods can differ. Needs
torch; the version is stored with the values.
"""

import torch

STEPS = 100
START = [0.5, 1.0, -1.0]

METHODS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.005, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.005, momentum=0.9, nesterov=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1, eps=1e-10),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9, eps=1e-8),
    "adam": lambda p: torch.optim.Adam(p, lr=0.05, betas=(0.9, 0.999), eps=1e-8),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.05, betas=(0.8, 0.99), eps=1e-8, weight_decay=0.1),
}


def gradient(x, w, a):
    g = w * (x - a)
    d = x[:-1] - x[1:]
    cube = d * d * d
    g[:-1] += cube
    g[1:] -= cube
    return g


def run(method):
    w = torch.tensor([1.0, 10.0, 100.0])
    a = torch.tensor([1.0, -2.0, 0.5])
    x = torch.nn.Parameter(torch.tensor(START))
    optimizer = method([x])
    path = []
    for _ in range(STEPS):
        x.grad = gradient(x.detach(), w, a)
        optimizer.step()
        path.append(x.detach().tolist())
    return path


def main():
    print("{")
    print(f'  "torch": "{torch.__version__}",')
    print(f'  "start": {START},')
    print('  "paths": {')
    for i, (name, method) in enumerate(METHODS.items()):
        points = ",\n      ".join("[" + ", ".join(f"{v:.9g}" for v in point) + "]" for point in run(method))
        comma = "," if i + 1 < len(METHODS) else ""
        print(f'    "{name}": [\n      {points}\n    ]{comma}')
    print("  }\n}")


if __name__ == "__main__":
    main()

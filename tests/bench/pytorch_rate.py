"""pytorch_rate.py NETWORK STEPS: best rate of PyTorch in this process over 1 thread and all cores, images a second.

The networks, batch and optimizer are those of against_pytorch.sh; images are random, since the rate does not depend on them.
"""
import os
import sys
import time

import torch
from torch import nn

BATCH = 128

NETWORKS = {
    "784-4096-4096-10 with dropout": lambda: mlp(4096, 0.2),
    "784-512-512-10 with dropout": lambda: mlp(512, 0.2),
    "784-128-10": lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)),
    "conv 32-64, pool, dense 128": lambda: nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
}


def mlp(units, rate):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, units), nn.ReLU(), nn.Dropout(rate), nn.Linear(units, units),
                         nn.ReLU(), nn.Dropout(rate), nn.Linear(units, 10))


def rate(make, steps, threads):
    torch.set_num_threads(threads)
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    loss = nn.CrossEntropyLoss()
    batches = [(torch.randn(BATCH, 1, 28, 28), torch.randint(10, (BATCH,))) for _ in range(16)]
    warmup = max(1, steps // 10)
    for step in range(steps):
        if step == warmup:
            start = time.perf_counter()
        x, y = batches[step % len(batches)]
        optimizer.zero_grad(set_to_none=True)
        loss(model(x), y).backward()
        optimizer.step()
    return (steps - warmup) * BATCH / (time.perf_counter() - start)


network, count = NETWORKS[sys.argv[1]], int(sys.argv[2])
print(round(max(rate(network, count, threads) for threads in {1, len(os.sched_getaffinity(0))})))

"""gpu_pytorch.py NETWORK PRECISION BATCH VARIANT: PyTorch's training rate, for gpu_against_pytorch.py, which asks for it.

Makes the variant ready, says so with a line of JSON on stdout, then answers each line of stdin, a number of seconds, with one more:
{"rate": samples a second, "loss": the last step's}. VARIANT is how a good user might run it, words joined by '+':

    eager | compile | autotune     torch.compile with mode default or max-autotune-no-cudagraphs
    reduce-overhead                torch.compile with graphs of its own around forward and backward
    graph                          the whole step, update included, captured as one CUDA graph
    channels-last                  of images and weights
    autocast | master              with bf16: autocast over fp32 parameters, or bf16 parameters beside fp32 ones that are updated

The data set is random images of MNIST's shape that lie on the device as bytes; batches are gathered there by index, in an order
that is drawn anew every epoch. Nothing waits for the device within a measurement. The optimizer is the configs': SGD with momentum
and weight decay (fused where there is one for the device), at a constant rate, which costs less than theirs.
"""
import argparse
import json
import sys
import time

import torch
from torch import nn

SAMPLES = 60000
MODES = {"compile": "default", "autotune": "max-autotune-no-cudagraphs", "reduce-overhead": "reduce-overhead"}


def mlp(units):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, units), nn.ReLU(), nn.Dropout(0.2), nn.Linear(units, units), nn.ReLU(),
                         nn.Dropout(0.2), nn.Linear(units, 10))


def cnn():
    return nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
                         nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.25), nn.Linear(128, 10))


NETWORKS = {"mnist": lambda: mlp(512), "mnist-20m": lambda: mlp(4096), "mnist-cnn": cnn}


def set_precision(precision):
    tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True


def variants(network, precision, device):
    """In groups; those of a group may become ready beside one another. What compilers try out, they measure."""
    if device == "cpu":
        groups = [["eager"] + (["compile"] if hasattr(torch, "compile") else [])]
    else:
        groups = [["eager", "eager+graph", "compile+graph", "reduce-overhead"], ["autotune+graph"]]
    formats = ["", "+channels-last"] if network == "mnist-cnn" else [""]
    kinds = ["+master", "+autocast"] if precision == "bf16" else [""]
    return [[base + kind + form for base in group for kind in kinds for form in formats] for group in groups]


class Training:
    def __init__(self, network, precision, batch, words, device):
        self.device, self.batch, self.words = device, batch, words
        self.tensor_type = torch.bfloat16 if "master" in words else torch.float32
        self.model = NETWORKS[network]().to(device).to(self.tensor_type)
        if "channels-last" in words:
            self.model.to(memory_format=torch.channels_last)
        self.params = list(self.model.parameters())
        self.updated = self.params
        if "master" in words:
            self.updated = [p.detach().float().clone() for p in self.params]
            for p in self.updated:
                p.grad = torch.empty_like(p)
        fused = {"fused": True} if device == "cuda" else {}
        self.optimizer = torch.optim.SGD(self.updated, lr=0.05, momentum=0.9, weight_decay=1e-4, **fused)
        self.images = torch.randint(256, (SAMPLES, 1, 28, 28), dtype=torch.uint8, device=device)
        self.labels = torch.randint(10, (SAMPLES,), device=device)
        self.order = torch.randperm(SAMPLES, device=device)
        self.at = torch.zeros((), dtype=torch.int64, device=device)
        self.range = torch.arange(batch, device=device)
        self.steps_left = SAMPLES // batch
        self.loss = None
        self.loss_of = self.forward
        for word, mode in MODES.items():
            if word in words:
                self.loss_of = torch.compile(self.forward, mode=mode)
                for tensor in (self.images, self.labels, self.order, self.range, self.at):  # or graphs copy them every step
                    torch._dynamo.mark_static_address(tensor)

    def forward(self, at):
        chosen = self.order[at + self.range]
        x = self.images[chosen].to(self.tensor_type).mul(1 / 78.6).sub(0.4242)
        if "channels-last" in self.words:
            x = x.contiguous(memory_format=torch.channels_last)
        if "autocast" in self.words:
            with torch.autocast(self.device, dtype=torch.bfloat16):
                y = self.model(x)
        else:
            y = self.model(x)
        return nn.functional.cross_entropy(y.float(), self.labels[chosen])

    def step(self):
        for p in self.params:
            p.grad = None
        self.loss = self.loss_of(self.at)
        self.loss.backward()
        if self.updated is self.params:
            self.optimizer.step()
        else:
            torch._foreach_copy_([p.grad for p in self.updated], [p.grad for p in self.params])
            self.optimizer.step()
            with torch.no_grad():
                torch._foreach_copy_(self.params, self.updated)
        self.at += self.batch

    def one(self):
        if self.steps_left == 0:
            torch.randperm(SAMPLES, device=self.device, out=self.order)
            self.at.zero_()
            self.steps_left = SAMPLES // self.batch
        self.steps_left -= 1
        self.run()

    def own_graphs(self):
        torch.compiler.cudagraph_mark_step_begin()
        self.step()

    def make_ready(self):
        self.run = self.own_graphs if "reduce-overhead" in self.words else self.step
        if "graph" not in self.words:
            for _ in range(10):
                self.one()
            return
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(10):
                self.one()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        for p in self.params:
            p.grad = None
        with torch.cuda.graph(graph):
            self.step()
        self.run = graph.replay

    def wait(self):
        if self.device == "cuda":
            torch.cuda.synchronize()

    def rate(self, seconds):
        steps = 20
        while True:
            self.wait()
            start = time.perf_counter()
            for _ in range(steps):
                self.one()
            self.wait()
            took = time.perf_counter() - start
            if took >= 0.7 * seconds:
                return steps * self.batch / took
            steps = max(steps * 2, int(steps * seconds / took))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("precision", choices=["fp32", "tf32", "bf16"])
    parser.add_argument("batch", type=int)
    parser.add_argument("variant", help="as above, or `list` for the names of all, in groups")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    options = parser.parse_args()
    if options.variant == "list":
        print(json.dumps(variants(options.network, options.precision, options.device)))
        return
    answers, sys.stdout = sys.stdout, sys.stderr  # compilers chat
    set_precision(options.precision)
    training = Training(options.network, options.precision, options.batch, options.variant.split("+"), options.device)
    training.make_ready()
    print(json.dumps({"torch": torch.__version__, "parameters": sum(p.numel() for p in training.params)}), file=answers, flush=True)
    for line in sys.stdin:
        rate = training.rate(float(line))
        print(json.dumps({"rate": rate, "loss": float(training.loss)}), file=answers, flush=True)


main()

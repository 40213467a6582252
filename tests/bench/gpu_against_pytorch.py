"""gpu_against_pytorch.py [--build DIR]: training rates of ddpt on a GPU beside those of PyTorch on the same GPU, in the same run.

For each network: PyTorch's variants (gpu_pytorch.py) are made ready, a group of them at a time and within --patience seconds, and
measured once, one after the other; then ddpt (bench step, batches and all) and the best of them take turns, and medians are compared. The floor of a step
is what it would take if the GPU did nothing but the larger of

    bytes over the rate of copies     every parameter read for forward and backward, its gradient written, the update's reads and
                                      writes; each output of a dense, convolution or pooling layer written, read by the next layer
                                      and by backward, its gradient written and read; the images
    FLOPs over the rate of products   8192 x 8192 x 8192 in the run's precision

both measured by ddpt bench on this GPU first. What stays in caches can be faster than the first.
"""
import argparse
import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# network, precision, batch, what its rate has to be over PyTorch's
CASES = [("mnist", "fp32", 128, 1.5), ("mnist", "tf32", 128, 1.5), ("mnist-cnn", "fp32", 128, 1.5), ("mnist-cnn", "tf32", 128, 1.5),
         ("mnist-20m", "bf16", 128, 1.0), ("mnist-20m", "bf16", 4096, 1.0)]


def say(text):
    print(text, file=sys.stderr, flush=True)


class Ddpt:
    def __init__(self, program, device):
        self.program, self.device = program, device
        self.data = []
        try:
            self.bench("mnist", "fp32", 128, 10)
        except RuntimeError:
            say("no MNIST here ($DDPT_DATA): random images instead")
            self.data = ["--set", "data={format=synthetic;classes=10;train_samples=60000;test_samples=1000}"]
            self.bench("mnist", "fp32", 128, 10)

    def json(self, *arguments):
        environment = dict(os.environ)
        if "DDPT_LIBRARY_PATH" in environment:  # ours are not for Python
            environment["LD_LIBRARY_PATH"] = environment["DDPT_LIBRARY_PATH"]
        done = subprocess.run([self.program, *arguments, "--json"], capture_output=True, text=True, env=environment)
        if done.returncode != 0:
            raise RuntimeError(f"ddpt {' '.join(arguments)}: status {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def config(self, network):
        return os.path.join(ROOT, "examples", network + ".cfg")

    def bench(self, network, precision, batch, steps):
        result = self.json("bench", "step", "--steps", str(steps), "--set", f"train.device={self.device}", "--set",
                           f"train.precision={precision}", "--set", f"train.batch={batch}", *self.data, self.config(network))
        return result["performance"]["samples_per_second"], result

    def measured_steps(self, network, precision, batch, seconds):
        steps = 60
        rate, _ = self.bench(network, precision, batch, steps)
        return max(steps, int(seconds * rate / batch))

    def layers(self, network):
        return self.json("summary", self.config(network))["layers"]

    def memory_rate(self):
        return self.json("bench", "memory", "--device", self.device)["gbytes_per_second"] * 1e9

    def product_rate(self, precision):
        side = "8192" if self.device == "gpu" else "1024"
        point = self.json("bench", "gemm", "--device", self.device, "--precision", precision, "--m", side, "--n", side, "--k", side)
        return max(rate for rate in point["points"][0]["gflops"].values() if rate is not None) * 1e9


class Variant:
    """A process that holds a variant of PyTorch ready."""

    def __init__(self, case, name, options, log):
        self.name, self.about = name, None
        self.process = subprocess.Popen([*worker(case), name, "--device", torch_device(options)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=log, text=True)

    def answer(self, patience):
        if not select.select([self.process.stdout], [], [], max(0.0, patience))[0]:
            raise TimeoutError("not ready in time")
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"ended with status {self.process.wait()}")
        return json.loads(line)

    def rate(self, seconds):
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return self.answer(60.0 + 10.0 * seconds)["rate"]

    def close(self):
        self.process.kill()
        self.process.communicate()


def torch_device(options):
    return "cuda" if options.device == "gpu" else "cpu"


def worker(case):
    network, precision, batch, _ = case
    return [sys.executable, os.path.join(HERE, "gpu_pytorch.py"), network, precision, str(batch)]


def measure_group(case, names, options, log, results):
    """Those that gave a rate, running, with it."""
    ready, measured = [], []
    running = [Variant(case, name, options, log) for name in names]
    end = time.monotonic() + options.patience
    for variant in running:
        try:
            variant.about = variant.answer(end - time.monotonic())
            ready.append(variant)
        except (RuntimeError, TimeoutError) as error:
            results[variant.name] = str(error)
            variant.close()
    for variant in ready:
        try:
            results[variant.name] = variant.rate(options.seconds)
            measured.append((results[variant.name], variant))
        except (RuntimeError, TimeoutError, BrokenPipeError) as error:
            results[variant.name] = str(error)
            variant.close()
    for variant in running:
        result = results[variant.name]
        say(f"    PyTorch {variant.name}: " + (result if isinstance(result, str) else f"{result:,.0f} samples/s"))
    return measured


def best_variant(case, options, log):
    """The fastest variant, running, and what each gave; None without PyTorch."""
    listed = subprocess.run([*worker(case), "list", "--device", torch_device(options)], capture_output=True, text=True)
    if listed.returncode != 0 and "No module named 'torch'" not in listed.stderr:
        raise RuntimeError(f"PyTorch cannot be used: {listed.stderr.strip().splitlines()[-1]}")
    groups = json.loads(listed.stdout) if listed.returncode == 0 else []
    best, results = (0.0, None), {}
    for names in groups:
        for measured in measure_group(case, names, options, log, results):
            loser = best if measured[0] > best[0] else measured
            best = measured if loser is best else best
            if loser[1]:
                loser[1].close()
    if groups and not best[1]:
        raise RuntimeError(f"no variant of PyTorch runs: {results}")
    return best[1], results


def step_bytes(layers, precision, batch):
    e = 2 if precision == "bf16" else 4
    parameters = sum(layer["parameters"] for layer in layers)
    size = {layer["name"]: layer["output"] for layer in layers}
    elements = 0
    for layer in layers:
        if layer["type"] in ("dense", "conv2d", "max_pool2d", "avg_pool2d"):
            count = 1
            for extent in size[layer["name"]]:
                count *= extent
            elements += count
    image = 1
    for extent in layers[0]["output"]:
        image *= extent
    update = 4 + 5 * 4 + (2 if precision == "bf16" else 0)
    return parameters * (2 * e + update) + batch * (elements * 5 * e + image * (1 + 3 * e))


def floor_of(case, ddpt, rates, flops):
    network, precision, batch, _ = case
    if precision not in rates:
        rates[precision] = ddpt.product_rate(precision)
    moved = step_bytes(ddpt.layers(network), precision, batch) / rates["memory"]
    computed = batch * flops / rates[precision]
    return max(moved, computed), "bytes" if moved > computed else "FLOPs"


def take_turns(case, ddpt, variant, steps, options):
    """All rates of both, and what ddpt said last."""
    network, precision, batch, _ = case
    ours, theirs, bench = [], [], None
    for _ in range(options.pairs):
        rate, bench = ddpt.bench(network, precision, batch, steps)
        ours.append(rate)
        if variant:
            theirs.append(variant.rate(options.seconds))
    if variant and variant.about["parameters"] != bench["model"]["parameters"]:
        raise RuntimeError(f"PyTorch's network has {variant.about['parameters']} parameters, not {bench['model']['parameters']}")
    return ours, theirs, bench


def compare(case, ddpt, rates, options, log):
    network, precision, batch, wanted = case
    say(name_of(case))
    steps = ddpt.measured_steps(network, precision, batch, options.seconds)
    variant, results = best_variant(case, options, log)
    try:
        ours, theirs, bench = take_turns(case, ddpt, variant, steps, options)
    finally:
        if variant:
            variant.close()
    floor, bound = floor_of(case, ddpt, rates, bench["model"]["flops_train_per_sample"])
    rate, best = statistics.median(ours), statistics.median(theirs) if theirs else None
    return {"network": network, "precision": precision, "batch": batch, "wanted": wanted, "ddpt": rate, "ddpt_all": ours,
            "pytorch": best, "pytorch_all": theirs, "pytorch_version": variant.about["torch"] if variant else None,
            "variant": variant.name if variant else None, "variants": results, "ratio": rate / best if best else None,
            "step_us": 1e6 * batch / rate, "floor_us": 1e6 * floor, "floor_is": bound, "floor_share": floor * rate / batch}


def name_of(case):
    return f"{case[0]} {case[1]} batch {case[2]}"


def rows_of(name, result):
    """Lines of run.sh's table: check, figure, wanted, verdict."""
    yield (f"{name}: share of the floor",
           f"{100 * result['floor_share']:.0f} % ({result['step_us']:.1f} us a step, {result['floor_us']:.1f} by {result['floor_is']})", "-", "shown")
    if result["ratio"] is None:
        yield f"{name}: samples/s", f"{result['ddpt']:.0f}; no PyTorch", f">= {result['wanted']} x PyTorch", "skipped"
        return
    yield (f"{name}: samples/s", f"{result['ddpt']:.0f} / {result['pytorch']:.0f} = {result['ratio']:.2f} ({result['variant']})",
           f">= {result['wanted']} x PyTorch", "pass" if result["ratio"] >= result["wanted"] else "fail")


def chosen(options):
    cases = [case for case in CASES if not options.networks or case[0] in options.networks.split(",")]
    if options.device == "cpu":
        cases = [case for case in cases if case[1] == "fp32"]
    if not cases:
        sys.exit(f"gpu_against_pytorch.py: no such network: {options.networks}; there are mnist, mnist-cnn, mnist-20m")
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--networks", help="some of mnist,mnist-cnn,mnist-20m")
    parser.add_argument("--device", choices=["gpu", "cpu"], default="gpu", help="cpu: to try this script")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--patience", type=float, default=100.0, help="seconds for a group of variants to be ready")
    parser.add_argument("--rows", help="file for the rows of run.sh's table")
    parser.add_argument("--log", help="file for what PyTorch says")
    options = parser.parse_args()
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "4")  # of each variant that becomes ready
    ddpt = Ddpt(os.path.join(options.build, "ddpt"), options.device)
    rates = {"memory": ddpt.memory_rate()}
    results = []
    with open(options.log, "a") if options.log else tempfile.TemporaryFile("w+") as log:
        for case in chosen(options):
            try:
                results.append(compare(case, ddpt, rates, options, log))
                rows = list(rows_of(name_of(case), results[-1]))
            except (RuntimeError, TimeoutError, BrokenPipeError) as error:
                say(f"    {error}")
                rows = [(f"{name_of(case)}: samples/s", str(error).replace("|", "/").splitlines()[0], f">= {case[3]} x PyTorch", "fail")]
            if options.rows:
                with open(options.rows, "a") as file:
                    file.writelines("|".join(row) + "\n" for row in rows)
    json.dump({"rates": rates, "results": results}, sys.stdout, indent=2)
    print()


main()

"""coordinator.py: what telemetry costs a training.

    coordinator.py [--ddpt DDPT] [--mpiexec MPIEXEC] [--ranks N] [--config CFG] [--pairs N] [--steps N]

Runs pairs of trainings, in changing order: steps with the coordinator (default) against --no-coordinator. Prints a line a
pair and the median of the ratios of mean step times. A shared machine disturbs single runs by more than the cost that is
looked for, so the CPU time of telemetry's own threads is read too: all that the option adds runs in them. Their share of
the CPU time of the whole job is what a job that has no core to spare loses.

Expected: below 0.5 %, since a thread a rank looks at a ring in memory ten times a second and sends a few hundred bytes
once. Needs $DDPT_DATA for MNIST.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
THREADS = ("ddpt-telemetry", "ddpt-coordinate", "ZMQbg/")


def cpu_times(mark):
    """{(pid, tid, is telemetry): seconds of CPU} of the workers whose command line holds `mark`."""
    times = {}
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if mark.encode() not in words or not words[0].endswith(b"ddpt"):
                continue
            for task in (process / "task").iterdir():
                name = (task / "comm").read_text()
                seconds = int((task / "schedstat").read_text().split()[0]) * 1e-9
                times[process.name, task.name, name.startswith(THREADS)] = seconds
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile
    return times


def run(options, folder, *more):
    """(mean step in ms, CPU time of telemetry's threads over that of the job)"""
    command = [options.mpiexec, "-n", str(options.ranks), options.ddpt, "train", options.config, "--out", folder,
               "--set", f"train.max_steps={options.steps}", "--set", "train.eval_every=0", *more]
    times = {}
    with tempfile.TemporaryFile() as log:
        job = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        while job.poll() is None:
            times.update(cpu_times(folder))
            try:
                job.wait(0.2)
            except subprocess.TimeoutExpired:
                pass
        if job.returncode != 0:
            log.seek(0)
            raise SystemExit(log.read().decode())
    step = json.loads((pathlib.Path(folder) / "run.json").read_text())["performance"]["step_ms"]["mean"]
    own = sum(seconds for (_, _, is_telemetry), seconds in times.items() if is_telemetry)
    return step, own / sum(times.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ddpt", default=str(HERE / "../../build/ddpt"))
    parser.add_argument("--mpiexec", default="mpiexec")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--config", default=str(HERE / "../../examples/mnist.cfg"))
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=4000)
    options = parser.parse_args()
    print(f"{os.path.basename(options.config)}, {options.ranks} ranks, {options.steps} steps a run; mean step in ms")
    ratios, shares = [], []
    with tempfile.TemporaryDirectory() as work:
        for pair in range(options.pairs):
            results = {}
            for name in ("without", "with") if pair % 2 else ("with", "without"):
                more = ["--no-coordinator"] if name == "without" else []
                results[name] = run(options, f"{work}/{pair}-{name}", *more)
            (without, nothing), (with_it, share) = results["without"], results["with"]
            if nothing or not share:
                raise SystemExit("telemetry's threads are not where they are looked for")
            ratios.append(with_it / without)
            shares.append(share)
            print(f"without {without:.4f}  with {with_it:.4f}  ratio {ratios[-1]:.4f}  "
                  f"telemetry's threads {1e2 * share:.3f} % of the CPU time", flush=True)
    print(f"median ratio {statistics.median(ratios):.4f} ({min(ratios):.4f} to {max(ratios):.4f}), "
          f"telemetry's threads {1e2 * statistics.median(shares):.3f} % ({1e2 * min(shares):.3f} to "
          f"{1e2 * max(shares):.3f}) of the CPU time")


main()

"""telemetry_client.py COORDINATOR_JSON: a viewer and a worker written from telemetry.proto alone (telemetry_pb2 is made of
it by protoc). Sees a training run of at least two ranks get on, then is a rank of a run itself. Ends with 0 if all is well.
"""
import json
import math
import sys
import time

import telemetry_pb2 as telemetry
import zmq

PATIENCE_S = 60
PHASES = ("data_s", "forward_s", "backward_s", "wait_s", "reduce_s", "update_s", "other_s", "checkpoint_s", "evaluate_s")


def connect(context, path):
    with open(path, encoding="utf-8") as file:
        key = json.load(file)
    assert key["schema"] == "ddpt.coordinator.v1", key["schema"]
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.curve_serverkey = key["server_public"].encode()
    socket.curve_publickey = key["member_public"].encode()
    socket.curve_secretkey = key["member_secret"].encode()
    socket.connect(key["addresses"][0])
    return socket


def receive(socket, deadline):
    while not socket.poll(100):
        assert time.monotonic() < deadline, "no answer from the coordinator"
    message = telemetry.Message()
    message.ParseFromString(socket.recv())
    return message


def ask(socket, query_id, run_id=""):
    message = telemetry.Message()
    message.query.query_id = query_id
    message.query.run_id = run_id
    message.query.ranks = True
    socket.send(message.SerializeToString())
    answer = receive(socket, time.monotonic() + PATIENCE_S)
    assert answer.WhichOneof("body") == "state", answer
    assert answer.state.query_id == query_id
    counts = answer.state.counts
    assert counts.received == (counts.accepted + counts.malformed + counts.oversized + counts.replayed + counts.foreign
                               + counts.queries), counts
    return answer.state


def ask_until(socket, holds, what, run_id=""):
    deadline = time.monotonic() + PATIENCE_S
    query_id = 1
    while True:
        state = ask(socket, query_id, run_id)
        if holds(state):
            return state
        assert time.monotonic() < deadline, f"it has not come true that {what}: {state}"
        query_id += 1
        time.sleep(0.05)


def check_training(run):
    assert len(run.id) == 32 and run.name and run.host
    assert run.state == telemetry.RUN_STATE_RUNNING
    assert run.size == run.ranks_heard == len(run.ranks)
    assert 0 < run.steps_done <= run.total_steps
    assert run.parameters > 0 and run.global_batch_samples > 0 and run.samples_per_second > 0
    assert 0 < run.efficiency <= 1 and run.elapsed_s > 0
    assert math.isfinite(run.loss)
    assert run.curve and all(a.step < b.step for a, b in zip(run.curve, run.curve[1:]))
    for number, rank in enumerate(run.ranks):
        assert rank.rank == number and rank.host
        assert telemetry.PHASE_DATA <= rank.phase <= telemetry.PHASE_EVALUATE
        assert rank.step.forward_s > 0 and rank.step.backward_s > 0 and rank.step.update_s > 0
        assert rank.own_s >= rank.step.forward_s + rank.step.backward_s
        total = sum(getattr(rank.total, phase) for phase in PHASES)
        assert 0 < total < run.elapsed_s + 5, (total, run.elapsed_s)


def watch(socket):
    first = ask_until(socket, lambda state: state.runs and state.runs[0].ranks_heard >= 2
                      and all(rank.steps_per_second > 0 for rank in state.runs[0].ranks), "two ranks train").runs[0]
    check_training(first)
    then = ask_until(socket, lambda state: state.runs[0].steps_done > first.steps_done
                     and state.runs[0].elapsed_s > first.elapsed_s + 1, "the run gets on", first.id).runs[0]
    check_training(then)
    print(f"run {then.name} on {then.size} ranks: step {first.steps_done} to {then.steps_done}, loss {then.loss:.4f}, "
          f"{then.samples_per_second:.0f} samples/s")


def work(socket):
    message = telemetry.Message()
    summary = message.summary
    summary.run.id = "5eed" * 8
    summary.run.name = "from another language"
    summary.run.ranks = 3
    summary.run.total_steps = 100
    summary.rank = 2
    summary.host = "here"
    summary.process_id = 1
    summary.sequence = 1
    summary.state = telemetry.RUN_STATE_RUNNING
    summary.phase = telemetry.PHASE_UPDATE
    summary.steps_done = 42
    summary.total.forward_s = 0.5
    summary.window.steps = 0
    summary.window.SetInParent()
    socket.send(message.SerializeToString())
    state = ask_until(socket, lambda state: state.runs, "the coordinator knows our run", summary.run.id)
    run = state.runs[0]
    assert run.name == summary.run.name and run.ranks[0].rank == 2 and run.ranks[0].steps_done == 42
    assert run.ranks[0].phase == telemetry.PHASE_UPDATE
    assert state.counts.malformed == state.counts.foreign == state.counts.refused == 0, state.counts


def main():
    context = zmq.Context()
    socket = connect(context, sys.argv[1])
    watch(socket)
    work(socket)
    socket.close()
    context.term()
    print("all well")


main()

"""A scanner's sender in 40 lines: plays a made-up run into `mindeye-daemon run` and prints each trial. Needs pyzmq, numpy.

    python3 pyzmq_client.py VOLUMES RESULTS [RUN]     (the two addresses of the daemon's line "listening volumes=... results=...")
"""
import json, sys
import numpy as np, zmq

TR, SHAPE, VOXEL_MM = 1.5, (64, 64, 36), 3.0  # the grid of the demo bundle: 3 mm, RAS+, its centre at 0 mm
volumes, results, run = sys.argv[1], sys.argv[2], (sys.argv[3:] or ["python-1"])[0]
affine = np.diag([VOXEL_MM] * 3 + [1.0])
affine[:3, 3] = [-VOXEL_MM * (n - 1) / 2 for n in SHAPE]
onsets = [9.0, 15.0, 21.0]
events = [{"trial": i, "onset_s": t, "duration_s": 3.0, "image": f"scene-{i:03}"} for i, t in enumerate(onsets)]

context = zmq.Context()
listener, scanner = context.socket(zmq.SUB), context.socket(zmq.DEALER)
for socket in (listener, scanner):
    socket.setsockopt(zmq.RCVTIMEO, 60_000)
    socket.setsockopt(zmq.LINGER, 0)
listener.subscribe(b"")
listener.connect(results)
listener.recv_multipart()  # the first status: from here on we miss nothing
scanner.connect(volumes)


def ask(kind, voxels=None, **fields):
    """Sends one message and waits for its answer. What was not accepted is ours to send again; here it ends the program."""
    header = json.dumps({"protocol": "mindeye-volume/1", "type": kind, "run": run, **fields}).encode()
    scanner.send_multipart([header] if voxels is None else [header, voxels])
    answer = json.loads(scanner.recv())
    assert answer["type"] != "refused", answer
    return answer


start = ask("run_start", session="example", tr_s=TR, shape=SHAPE, affine=affine.tolist(), dtype="int16", events=events)
print("ready:", start["bundle"], start["engine"])
random, head = np.random.default_rng(1), 1000 * np.ones(SHAPE)
count = int((onsets[-1] + 9) / TR)
for index in range(start["next_index"], count):
    volume = (head + 14 * random.standard_normal(SHAPE)).astype("<i2")
    ask("volume", volume.tobytes(order="F"), index=index, dtype="int16", shape=SHAPE, acquired_s=index * TR)  # x fastest
ask("run_end", volumes=count)
waiting = set(range(len(onsets)))
while waiting:
    topic, message, *picture = listener.recv_multipart()
    trial = json.loads(message)
    if topic == b"trial" and trial["run"] == run and trial["final"]:
        best = ", ".join(item["id"] for item in trial["retrieval"])
        print(f"trial {trial['trial']}: {trial['effort']}, {len(picture[0])} bytes of PNG, looks like {best}")
        waiting.discard(trial["trial"])

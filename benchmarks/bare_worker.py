"""The peer of bench_batch: a bare ONNX Runtime process that reads, scales and runs rows of a .npy file.

Run as `python -m benchmarks.bare_worker MODEL NPY START STOP BATCH`; prints `ready`, waits for a line on stdin, works, prints `done`.
"""

import sys

import numpy as np
import onnxruntime

from fabric.demo import squeezenet


def main() -> None:
    """Load the model, then work once for each line on stdin."""
    model, npy, start, stop, batch = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    session.run(None, {name: np.zeros((1, 3, 224, 224), np.float32)})
    print("ready", flush=True)
    for _ in sys.stdin:
        images = np.load(npy, mmap_mode="r")
        outputs = [
            session.run(None, {name: squeezenet.scaled(images[i : min(i + batch, stop)])})[0] for i in range(start, stop, batch)
        ]
        np.concatenate(outputs)
        print("done", flush=True)


if __name__ == "__main__":
    main()

"""What it costs that models run in a child process of their own: the same computation in this process and in the sandbox."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from benchmarks.table import Row, median, show
from benchmarks.trivial import trivial_model
from fabric.demo import squeezenet
from fabric.sandbox import launch
from fabric.sandbox.compute import Computation
from fabric.sandbox.items import InputReader
from fabric.sandbox.memory import Block
from fabric.sandbox.messages import InputAt, ModelForm, PartAt, SubtaskAt
from fabric.sandbox.process import Runner
from fabric.sandbox.sessions import CPU, Sessions
from fabric.sandbox.stop import Stop

ROUNDS = {"trivial": (400, 10), "squeezenet": (150, 1)}  # and calls in each
STARTS = 5
REACH_SHARE = "≤ 1.05 at 10 ms a run"
REACH_CALL = "≤ 150 µs"


class Never:
    """A wish to give up that never comes."""

    def stops(self, run: object) -> None:
        """Nothing will stop it."""


class Case:
    """One model on one item, computed here and in a runner."""

    def __init__(self, runner: Runner, content: bytes, form: ModelForm, item: NDArray[np.float32]):
        """Load the model in both places."""
        self.form = form
        self.runner = runner
        self.inputs = runner.blocks.take(item.nbytes)
        self.inputs.view[: item.nbytes] = item.tobytes()
        name = next(iter(form.inputs))
        part = PartAt(1, "rows", 0, item.nbytes, "float32", item.shape, ())
        self.subtask = SubtaskAt(1, (InputAt(name, (part,), False),))
        self.content = content
        self.sessions = Sessions(CPU, 1)
        self.sessions.load(form.sha256, content, 1, Stop())
        self.load()

    def load(self) -> None:
        """Load the model in the runner."""
        block = self.runner.blocks.take(len(self.content))
        block.view[: len(self.content)] = self.content
        self.runner.load(self.form.sha256, block, len(self.content), 1, Never())
        self.runner.give_back(block)

    def here(self) -> bytes:
        """One call in this process, as an actor without a sandbox would make it."""
        model = self.sessions.get(self.form.sha256)
        assert model is not None
        reader = InputReader(self.form.inputs, model, self.inputs.view.toreadonly())
        return b"".join(Computation(self.form, model, reader, Stop()).frame_of(self.subtask)[0])

    def there(self) -> bytes:
        """The same call in the runner."""
        outputs: list[Block] = []
        ((answer, frame),) = (
            (answer, bytes(view)) for answer, view in self.runner.run(self.form, [self.subtask], self.inputs, outputs, Never())
        )
        assert answer.status == "done", answer
        for block in outputs:
            self.runner.give_back(block)
        return frame

    def measure(self, rounds: int, calls: int) -> tuple[float, float]:
        """Seconds of one call here and there, in rounds that take turns. The best ones count: what else the machine does is no
        property of either.
        """
        assert self.here() == self.there()
        here, there = [], []
        for _ in range(rounds):
            here.append(_seconds(self.here, calls))
            there.append(_seconds(self.there, calls))
        return min(here), min(there)


def run() -> list[Row]:
    """Calls, runs of about ten milliseconds, and a start."""
    rows = []
    with _runner() as runner:
        for name, content, item in (
            ("trivial", trivial_model(), np.ones(4, np.float32)),
            ("squeezenet", squeezenet.build(), np.ascontiguousarray(squeezenet.scaled(squeezenet.images(1))[0])),
        ):
            case = Case(runner, content, _form(name, content), item)
            here, there = case.measure(*ROUNDS[name])
            where = f"{name}, in the {launch.isolation()}"
            reach = REACH_SHARE if name == "squeezenet" else ""
            rows.append(Row(f"run of {where}", there * 1e3, "ms", "in the actor's process", here * 1e3, reach))
            rows.append(Row(f"added to a call of {where}", (there - here) * 1e6, "µs", reach=REACH_CALL))
        rows.append(Row("start of a runner, until it has loaded squeezenet", _start_s(case) * 1e3, "ms"))
    return rows


def _seconds(act: Callable[[], bytes], calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        act()
    return (time.perf_counter() - started) / calls


def _start_s(case: Case) -> float:
    seconds = []
    for _ in range(STARTS):
        case.runner.life.close()
        started = time.perf_counter()
        case.load()
        seconds.append(time.perf_counter() - started)
    return median(seconds)


def _form(name: str, content: bytes) -> ModelForm:
    inputs, outputs = {"trivial": (("x", [4]), ("y", [4])), "squeezenet": (("image", [3, 224, 224]), ("logits", [1000]))}[name]
    spec = {"codec": {"codec": "tensor"}, "dtype": "float32"}
    return ModelForm(
        sha256(content).hexdigest(),
        {inputs[0]: {**spec, "shape": [None, *inputs[1]]}},
        {outputs[0]: {"dtype": "float32", "shape": [None, *outputs[1]]}},
        batchable=True, batch_items_max=1, batch_fixed=False,
    )  # fmt: skip


@contextmanager
def _runner() -> Iterator[Runner]:
    runner = Runner(CPU, 1)
    try:
        yield runner
    finally:
        runner.close()


if __name__ == "__main__":
    show("sandbox", run())

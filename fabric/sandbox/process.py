"""The parent's side of a slot's runner: loads and runs models in the child, keeps it within its limits, replaces it when it is lost."""

import functools
import threading
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import psutil

from fabric.sandbox import launch
from fabric.sandbox.devices import ANY_DEVICE, Device, devices_of, environment_of
from fabric.sandbox.launch import Limits, StartFailed
from fabric.sandbox.life import PROGRAM, Life, Lost
from fabric.sandbox.memory import Block, Blocks, can_share
from fabric.sandbox.messages import (
    Answer,
    BadAnswer,
    ModelForm,
    RunRequest,
    SubtaskAt,
    answer_of,
    fields_of_request,
    loaded_of,
    text_of,
)
from fabric.sandbox.watch import Doing, Stoppable, Watch
from fabric.sandbox.wire import BrokenWire

MODELS_BYTES_MAX = 4 * 1024**3  # of model files held at once by one slot
OUTPUT_BYTES_FIRST = 1024**2  # room for outputs that a run has without asking
MEMORY_BYTES_MIN = 512 * 1024**2  # less, and nothing could be loaded at all
MEMORY_SHARE = 0.8  # of the machine, for a slot that was told no limit
CODE_BYTES = 256 * 1024**2  # of the runner itself, which its limit does not count
STOP_GRACE_S = 1.0  # after the wish to stop, before the runner is ended
STARTS_OF_A_LOAD = 2


class NotLoaded(Exception):
    """The runner does not hold this model: it is a new one, or had to make room."""


class InvalidForm(Exception):
    """The card of the model does not fit the model."""


class LoadRefused(Exception):
    """The model cannot be run here."""

    def __init__(self, code: str, detail: str):
        self.code = code
        super().__init__(detail)


class Runner:
    """The runner of one slot. Safe to use from several threads: one run and one load at a time, others wait."""

    def __init__(
        self,
        execution_provider: str,
        threads: int,
        *,
        memory_bytes: int | None = None,
        device: Device = ANY_DEVICE,
        models_bytes_max: int = MODELS_BYTES_MAX,
        stop_grace_s: float = STOP_GRACE_S,
        program: str = PROGRAM,
    ):
        """Compute with ONNX Runtime's `execution_provider` on `device` and `threads` CPU threads, in so much of the machine's memory.
        Starts a child ahead.
        """
        self._arguments = (program, execution_provider, str(threads), device.id, str(device.memory_bytes or 0))
        self._devices = devices_of(execution_provider)
        self._environment = environment_of(execution_provider, device)
        self._memory_bytes = max(MEMORY_BYTES_MIN, memory_bytes or default_memory_bytes())
        self._models_bytes_max = models_bytes_max
        self._grace_s = stop_grace_s
        self._numbers = count(1)
        self._running = threading.Lock()
        self._loading = threading.Lock()
        self._starting = threading.Lock()
        self._life: Life | None = None
        self._run_number: int | None = None
        self._is_closed = False
        self._watch = Watch(self._look)
        self.blocks = Blocks(shared=can_share() and launch.isolation() == launch.SANDBOX)
        self.start_ahead()

    @property
    def loaded(self) -> tuple[str, ...]:
        """The hashes of the models that are loaded, least recently used first."""
        life = self._life
        return () if life is None or life.is_over else tuple(life.models.copy())

    @property
    def is_running(self) -> bool:
        """True while a run is in the runner's hands."""
        return self._run_number is not None

    @property
    def life(self) -> Life:
        """The present child, started when there is none.

        Raises:
            Lost: there cannot be one.
        """
        with self._starting:  # held while one starts
            if self._is_closed:
                raise Lost("stopped", "runner_lost", "the slot was closed")
            if self._life is None or self._life.is_over:
                self._life = self._new_life(self._life)
            return self._life

    def start_ahead(self) -> None:
        """Start the child now, beside whatever goes on, so that nobody waits for it later."""

        def begin() -> None:
            try:
                _ = self.life
            except Lost:
                pass  # whoever needs it will be told

        threading.Thread(target=begin, daemon=True, name="runner-start").start()

    def use(self, sha256: str) -> bool:
        """True when the model is loaded; it is then the most recently used."""
        life = self._life
        if life is None or life.is_over or sha256 not in life.models:
            return False
        life.models.move_to_end(sha256)
        return True

    def load(self, sha256: str, content: Block, size: int, items_max: int, cancellation: Stoppable) -> None:
        """Make a session of the model whose `size` bytes lie in `content`, making room by evicting the least recently used.

        Raises:
            LoadRefused: ONNX Runtime refuses it, or there is not enough memory.
            Lost: the runner ended over it, or the wish to stop came.
        """
        with self._loading:
            for start in range(1, STARTS_OF_A_LOAD + 1):
                life = self.life
                number = next(self._numbers)
                try:
                    self._load(life, number, sha256, content, size, items_max, cancellation)
                    return
                except (BrokenWire, BadAnswer) as error:
                    lost = life.lost(number, error)
                    self.start_ahead()
                    # What ran beside it may have ended the runner, so it has another chance.
                    if start == STARTS_OF_A_LOAD or life.is_to_blame(number):
                        raise lost from error

    def run(
        self, form: ModelForm, subtasks: Sequence[SubtaskAt], inputs: Block, outputs: list[Block], cancellation: Stoppable
    ) -> Iterator[tuple[Answer, memoryview]]:
        """Run the subtasks in order: an answer for each, and its frame as the child's memory holds it.

        The blocks in which frames lie are added to `outputs`; the caller gives them back. Iterate to the end: closing the iterator
        earlier ends the runner.

        Raises:
            NotLoaded, InvalidForm: nothing was run.
            Lost: the runner ended; what was not answered was not done.
        """
        with self._running:
            life = self.life
            number = next(self._numbers)
            self._run_number = number
            doing = Doing(life, number, self._grace_s)
            finished = False
            try:
                with self._watch:
                    cancellation.stops(doing)
                    outputs.append(self.blocks.take(OUTPUT_BYTES_FIRST))
                    request = RunRequest(number, form, tuple(subtasks), _place(inputs), _place(outputs[-1]), ())
                    self._hand_over(life, request, inputs, outputs[-1])
                    yield from self._answers(life, number, subtasks, outputs)
                finished = True
            except (NotLoaded, InvalidForm):
                finished = True
                raise
            except (BrokenWire, BadAnswer) as error:
                finished = True
                raise life.lost(number, error) from error
            finally:
                doing.over()
                self._run_number = None
                if not finished:
                    life.end(Lost("stopped", "runner_lost", "its answers were not wanted"))
                if life.is_ended:
                    self.start_ahead()

    def give_back(self, block: Block) -> None:
        """The block is not needed any more."""
        number = self.blocks.give_back(block)
        life = self._life
        if number is not None and life is not None and number in life.known:
            life.known.discard(number)
            life.forget.append(number)

    def close(self) -> None:
        """End the child, for good."""
        with self._starting:
            self._is_closed = True
            life = self._life
        self._watch.close()
        if life is not None:
            life.close()
        self.blocks.close()

    def _new_life(self, before: Life | None) -> Life:
        if before is not None:
            before.close()
        limits = Limits(memory_bytes=self._memory_bytes)
        try:
            return Life(self._arguments, limits, self._devices, self._environment, shared=self.blocks.shared)
        except StartFailed as error:
            raise Lost("failed", "runner_failed", str(error)) from error

    def _load(
        self, life: Life, number: int, sha256: str, content: Block, size: int, items_max: int, cancellation: Stoppable
    ) -> None:
        evicted = self._evicted(life, size)
        doing = Doing(life, number, self._grace_s)
        try:
            with self._watch:
                cancellation.stops(doing)
                message = [number, sha256, size, items_max, evicted, content.size]
                if self.blocks.shared:
                    life.loading.send(message, descriptors=[content.descriptor])
                else:
                    life.loading.send(message, contents=[content.view[:size]])
                reply = life.loading.receive()
        finally:
            doing.over()
        match reply:
            case ["loaded", hashes]:
                self._agree(life, set(loaded_of(hashes)))
                life.models[sha256] = size
            case ["failed", code, detail]:
                raise LoadRefused(text_of(code), text_of(detail))
            case ["stopped"]:
                raise Lost("stopped", "stopped", "the load was given up")
            case _:
                raise BadAnswer("no answer to a load")

    def _evicted(self, life: Life, size: int) -> list[str]:
        evicted = []
        while life.models and sum(life.models.values()) + size > self._models_bytes_max:
            evicted.append(life.models.popitem(last=False)[0])
        return evicted

    def _agree(self, life: Life, held: set[str]) -> None:
        # When memory is short the runner makes room without being asked.
        for sha256 in [known for known in life.models if known not in held]:
            del life.models[sha256]

    def _hand_over(self, life: Life, request: RunRequest, inputs: Block, output: Block) -> None:
        fields = fields_of_request(request)
        if not self.blocks.shared:
            life.running.send(fields, contents=[inputs.view])
            return
        fields[-1], life.forget = life.forget, []
        new = [block for block in (inputs, output) if block.number not in life.known]
        life.known.update(block.number for block in new)
        life.running.send(fields, descriptors=[block.descriptor for block in new])

    def _answers(
        self, life: Life, number: int, subtasks: Sequence[SubtaskAt], outputs: list[Block]
    ) -> Iterator[tuple[Answer, memoryview]]:
        is_short = False
        index, refused_at = 0, -1
        while index < len(subtasks):
            match life.running.receive():
                case ["answer", fields]:
                    room = outputs[-1].size if self.blocks.shared else self._memory_bytes
                    answer = answer_of(fields, index=index, item_count=subtasks[index].item_count, room=room)
                    is_short = is_short or answer.code == "memory_limit"
                    yield answer, self._frame(life, answer, outputs)
                    index += 1
                case ["room", length] if type(length) is int and length > 0 and self.blocks.shared and refused_at < index:
                    if not self._give_room(life, length, outputs):
                        refused_at = index
                case ["absent"] if index == 0:
                    life.models.clear()
                    raise NotLoaded
                case ["invalid", detail] if index == 0:
                    raise InvalidForm(text_of(detail))
                case _:
                    raise BadAnswer("no answer to a run")
        if is_short:
            # What is left of its memory is in pieces; the next order gets a fresh one.
            life.end(Lost("failed", "memory_limit", "the runner was replaced"), number)

    def _frame(self, life: Life, answer: Answer, outputs: list[Block]) -> memoryview:
        if self.blocks.shared:
            return outputs[-1].view[answer.offset : answer.offset + answer.length]
        frame = memoryview(bytearray(answer.length))
        life.running.receive_into(frame)
        return frame

    def _give_room(self, life: Life, length: int, outputs: list[Block]) -> bool:
        if sum(block.size for block in outputs) + length > self._memory_bytes:
            life.running.send([])
            return False
        block = self.blocks.take(max(length, 2 * outputs[-1].size))
        outputs.append(block)
        new = block.number not in life.known
        life.known.add(block.number)
        life.running.send(_place(block), descriptors=[block.descriptor] if new else [])
        return True

    def _look(self) -> None:
        """End the runner when it holds more than it may: its private memory, what is shared, and itself."""
        life = self._life
        if life is not None and not life.is_over:
            held, limit = life.child.memory_bytes(), self._memory_bytes + self.blocks.bytes + CODE_BYTES
            if held > limit:
                detail = f"{held >> 20} MiB were used where {self._memory_bytes >> 20} MiB are allowed"
                life.end(Lost("failed", "memory_limit", detail), self._run_number)


@functools.cache
def default_memory_bytes() -> int:
    """A share of what this machine, or the container that this is, has."""
    total = psutil.virtual_memory().total
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path(path).read_text()))
        except (OSError, ValueError):
            continue
    return int(total * MEMORY_SHARE)


def _place(block: Block) -> tuple[int, int]:
    return block.number, block.size

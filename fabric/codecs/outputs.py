"""What a job delivers: a model's outputs after the steps that its card names. Checked at upload, applied where the model runs.

A card's entry of an output is `{"labels": [texts] | null, "steps": [{"do": …} …], "deliver": true | false}`; an output without an
entry is delivered as it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fabric.codecs.base import refuse_unknown_keys
from fabric.codecs.boxes import DETECTIONS
from fabric.codecs.picture_outputs import IMAGE
from fabric.codecs.steps import STEPS, Around, Array, Entry, Spec, Step
from fabric.codecs.texts import BFLOAT16
from fabric.core.errors import Invalid

STEPS_MAX = 8
ALL_STEPS: dict[str, Step] = {**STEPS, "detections": DETECTIONS, "image": IMAGE}
Tensors = Mapping[str, Mapping[str, Any]]
_ENTRY_KEYS = frozenset({"labels", "steps", "deliver", "description"})


def complete_output(name: str, entry: Mapping[str, Any], inputs: Tensors, outputs: Tensors) -> Entry:
    """An entry with every default filled in; completing it again changes nothing. The labels are the caller's to check.

    Raises:
        Invalid: a step is unknown, wrong, or does not fit what the ones before it give.
    """
    refuse_unknown_keys(entry, _ENTRY_KEYS)
    steps, deliver = entry.get("steps") or [], entry.get("deliver", True)
    if not isinstance(steps, list) or len(steps) > STEPS_MAX:
        raise Invalid(f"`steps` must be a list of at most {STEPS_MAX}.")
    if not isinstance(deliver, bool):
        raise Invalid("`deliver` must be true or false.")
    if steps and not deliver:
        raise Invalid("an output that is not delivered needs no steps.")
    completed, _ = _walk(name, steps, entry.get("labels"), inputs, outputs)
    return {"labels": entry.get("labels"), "steps": completed, "deliver": deliver}


def delivered(outputs: Tensors, entries: Mapping[str, Mapping[str, Any]], inputs: Tensors) -> dict[str, Spec]:
    """What jobs of this model deliver, by name: `{"dtype", "shape"}`, and `media_type` of texts and files."""
    found: dict[str, Spec] = {}
    for name, spec in outputs.items():
        entry = entries.get(name) or {}
        if entry.get("deliver", True):
            found[name] = _walk(name, entry.get("steps") or [], entry.get("labels"), inputs, outputs)[1]
            found[name] = found[name] if found[name]["dtype"] != BFLOAT16 else {**spec, "dtype": "float32"}
    return found


def is_processed(entries: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether what is delivered may have another size than what the model gives."""
    return any(entry.get("steps") for entry in entries.values())


class Delivery:
    """The steps of all outputs of a model, ready to be applied to batches."""

    def __init__(self, outputs: Tensors, inputs: Tensors):
        """Each spec of an output may carry its completed card entry as `card`."""
        entries = {name: spec.get("card") or {} for name, spec in outputs.items()}
        self.specs = delivered(outputs, entries, inputs)
        self._entries = {name: entries[name] for name in self.specs}

    def apply(self, values: Mapping[str, Array], feeds: Mapping[str, Array]) -> dict[str, Array]:
        """What is delivered of one batch, from the model's outputs and inputs of it.

        Raises:
            BadOutput: the model gave something that a step cannot use.
        """
        made = {}
        for name, entry in self._entries.items():
            around = Around(values, feeds, entry.get("labels"))
            rows = values[name]
            for step in entry.get("steps") or []:
                rows = ALL_STEPS[step["do"]].apply(rows, step, around)
            made[name] = rows
        return made


def _walk(
    name: str, steps: Sequence[Any], labels: Sequence[str] | None, inputs: Tensors, outputs: Tensors
) -> tuple[list[Entry], Spec]:
    around = Around(outputs, inputs, labels)
    spec: Spec = dict(outputs[name])
    spec.pop("card", None)
    completed: list[Entry] = []
    for step in steps:
        if not isinstance(step, dict) or not isinstance(step.get("do"), str) or step["do"] not in ALL_STEPS:
            raise Invalid(f'a step is {{"do": one of {", ".join(ALL_STEPS)}}}.')
        if "media_type" in spec:
            raise Invalid(f"`{completed[-1]['do']}` must be the last step.")
        try:
            entry, spec = ALL_STEPS[step["do"]].complete(step, spec, around)
        except Invalid as error:
            raise Invalid(f"step `{step['do']}` {error.detail}") from None
        completed.append(entry)
    return completed, spec

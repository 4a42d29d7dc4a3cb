"""Pure: checks a model card against what the file says, and fills in every default."""

import json
from collections.abc import Mapping
from typing import Any

from fabric.codecs.derived import NAME as DERIVED
from fabric.codecs.derived import derived_rank_problem, sources_of
from fabric.codecs.outputs import complete_output
from fabric.codecs.registry import codec_named
from fabric.core.errors import Invalid

DESCRIPTION_CHARACTERS_MAX = 10_000
LABELS_MAX = 100_000
LABEL_CHARACTERS_MAX = 200
Tensors = Mapping[str, Mapping[str, Any]]


def complete_card(card: object, inputs: Tensors, outputs: Tensors) -> dict[str, Any]:
    """The card with an entry for each input and all defaults filled in; completing it again changes nothing.

    Raises:
        Invalid: with `errors`, everything that is wrong.
    """
    errors: list[dict[str, str]] = []
    if not _is_text(card):
        raise Invalid("the model card is wrong: it has a NUL or half a character", errors=[_error("card", "must be proper text")])
    fields = dict(_mapping(card, "card", errors))
    for key in sorted(set(fields) - {"description", "inputs", "outputs"}):
        errors.append(_error(f"card.{key}", "there is no such field; a card has description, inputs and outputs"))
    description = fields.get("description") or ""
    if not isinstance(description, str) or len(description) > DESCRIPTION_CHARACTERS_MAX:
        errors.append(_error("card.description", f"must be text of at most {DESCRIPTION_CHARACTERS_MAX} characters"))
    completed = {
        "description": description,
        "inputs": _inputs(_mapping(fields.get("inputs"), "card.inputs", errors), inputs, errors),
        "outputs": _outputs(_mapping(fields.get("outputs"), "card.outputs", errors), inputs, outputs, errors),
    }
    if errors:
        raise Invalid(f"the model card is wrong: {errors[0]['loc']}: {errors[0]['msg']}", errors=errors)
    return completed


def _is_text(card: object) -> bool:
    """Whether Postgres can store every text in it."""
    try:
        return "\\u0000" not in json.dumps(card) and bool(json.dumps(card, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        return False


def _inputs(entries: Mapping[str, Any], inputs: Tensors, errors: list[dict[str, str]]) -> dict[str, Any]:
    _refuse_unknown("card.inputs", entries, inputs, errors)
    completed: dict[str, Any] = {}
    implied = _implied(entries, inputs)
    for name, tensor in inputs.items():
        where = f"card.inputs.{name}"
        entry = _mapping(entries.get(name, implied.get(name)), where, errors)
        try:
            completed[name] = codec_named(entry.get("codec", "tensor")).complete_entry(entry, tensor)
        except Invalid as error:
            errors.append(_error(where, error.detail))
    _check_sources(completed, inputs, errors)
    return completed


def _implied(entries: Mapping[str, Any], inputs: Tensors) -> dict[str, Any]:
    """What goes without saying: beside an input of texts, inputs that are called as the tokenizer's other fields derive from it."""
    texts = [name for name, entry in entries.items() if isinstance(entry, dict) and entry.get("codec") == "text"]
    fields = codec_named("text").fields[1:]
    return {name: {"codec": DERIVED, "from": texts[0], "field": name} for name in fields if name in inputs} if texts else {}


def _check_sources(completed: Mapping[str, Any], inputs: Tensors, errors: list[dict[str, str]]) -> None:
    for name, (source, field) in sources_of(completed).items():
        where, given = f"card.inputs.{name}", completed.get(source)
        fields = codec_named(given["codec"]).fields[1:] if given else ()
        if field not in fields:
            errors.append(_error(where, f"{source!r} gives no {field!r}" + (f"; it gives {', '.join(fields)}" if fields else "")))
        elif problem := derived_rank_problem(field, inputs[name]):
            errors.append(_error(where, problem))


def _outputs(entries: Mapping[str, Any], inputs: Tensors, outputs: Tensors, errors: list[dict[str, str]]) -> dict[str, Any]:
    _refuse_unknown("card.outputs", entries, outputs, errors)
    completed = {}
    for name in outputs:
        if name not in entries:
            continue
        where = f"card.outputs.{name}"
        entry = _mapping(entries[name], where, errors)
        labels, known = entry.get("labels"), len(errors)
        if labels is not None:
            # What a step makes of the labels is for the step to say.
            _check_labels(labels, [] if entry.get("steps") else outputs[name]["shape"], f"{where}.labels", errors)
        if len(errors) > known:
            continue
        try:
            completed[name] = complete_output(name, entry, inputs, outputs)
        except Invalid as error:
            errors.append(_error(where, error.detail))
    if completed and not any(completed.get(name, {}).get("deliver", True) for name in outputs):
        errors.append(_error("card.outputs", "nothing would be delivered"))
    return completed


def _check_labels(labels: object, shape: list[int | None], where: str, errors: list[dict[str, str]]) -> None:
    if not isinstance(labels, list) or not 1 <= len(labels) <= LABELS_MAX:
        errors.append(_error(where, f"must be a list of 1 to {LABELS_MAX} texts"))
        return
    if any(not isinstance(label, str) or len(label) > LABEL_CHARACTERS_MAX for label in labels):
        errors.append(_error(where, f"each label must be text of at most {LABEL_CHARACTERS_MAX} characters"))
    classes = shape[-1] if len(shape) > 1 else None
    if classes is not None and len(labels) != classes:
        errors.append(_error(where, f"{len(labels)} labels for an axis of {classes}"))


def _refuse_unknown(where: str, entries: Mapping[str, Any], known: Tensors, errors: list[dict[str, str]]) -> None:
    for name in sorted(map(str, set(entries) - set(known))):
        errors.append(_error(f"{where}.{name}", f"the model has no such tensor; it has {', '.join(known)}"))


def _mapping(value: object, where: str, errors: list[dict[str, str]]) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        errors.append(_error(where, "must be an object"))
        return {}
    return value


def _error(where: str, message: str) -> dict[str, str]:
    return {"loc": where, "msg": message}

"""The child program of admission: reads one model, bounds it, runs it on generated inputs, and says what it found.

A JSON object comes in on stdin, JSON objects go out on stdout, one a line: first what the file says, then what was measured, so
that the parent knows how far it came. Holds no secret; `sandbox.launch` has confined it before this module is loaded.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fabric.catalog.card import complete_card
from fabric.catalog.inspect import Inspection, inspect_model
from fabric.catalog.profile import measure
from fabric.codecs.registry import codec_named
from fabric.core.errors import Invalid, InvalidModel


def examine(request: Mapping[str, Any]) -> None:
    """Answer one request on stdout."""
    path = Path(request["path"])
    try:
        inspection = inspect_model(path, control_flow=request["control_flow"])
        card = complete_card(request["card"], inspection.inputs, inspection.outputs)
        _check_assets(card, inspection)
        _say({"card": card, "inspection": inspection.as_json(), "suspect": _suspect(inspection)})
        _say({"profile": measure(path, inspection).as_json()})
    except Invalid as error:
        _refuse(error)
    except MemoryError:
        _refuse(InvalidModel("reading it or running it on generated inputs needs too much memory", reason="too_large"))
    except Exception as error:
        # A file that trips a library must not look like an outage: it is refused, and says over what.
        _refuse(InvalidModel(f"the file cannot be read: {type(error).__name__}", reason="malformed"))


def _check_assets(card: Mapping[str, Any], inspection: Inspection) -> None:
    """Make every decoder once: a tokenizer that did not come along, or cannot be read, is told now and not in each job."""
    errors = []
    for name, entry in card["inputs"].items():
        codec = codec_named(entry["codec"])
        if not codec.encoding:
            continue
        try:
            codec.decoder(entry, inspection.inputs[name], inspection.assets)
        except Invalid as error:
            errors.append({"loc": f"card.inputs.{name}", "msg": error.detail})
    if errors:
        raise Invalid(f"the model card is wrong: {errors[0]['loc']}: {errors[0]['msg']}", errors=errors)


def _suspect(inspection: Inspection) -> dict[str, Any] | None:
    """Which node to name should the run not end: one that repeats something without a bound, else the one with most to do."""
    suspect: dict[str, Any] | None = inspection.bounds["unbounded"] or inspection.bounds["costliest"]
    return suspect


def _refuse(error: Invalid) -> None:
    _say({"refused": {"code": error.code, "detail": error.detail, "fields": error.fields}})


def _say(line: Mapping[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    examine(json.load(sys.stdin))

"""`python -m tests.attack.programs`: runs one attack after the other where it is started, each in a process of its own.

Each line of standard input is {"program": "MODULE:FUNCTION", "given": {…}}; each answer is one line of JSON.
"""

import importlib
import json
import os
import sys
import traceback
from typing import Any

from tests.attack.programs import wire  # what takes a second to import is imported once

_ = wire


def run(order: dict[str, Any]) -> dict[str, Any]:
    """The attack returns (succeeded, evidence) or (succeeded, evidence, facts). One that breaks is a mistake of this suite."""
    module, _, function = order["program"].partition(":")
    try:
        attack = getattr(importlib.import_module(f"tests.attack.programs.{module}"), function)
        succeeded, evidence, *facts = attack(**order["given"])
    except Exception:
        return {"broke": traceback.format_exc()}
    return {"succeeded": bool(succeeded), "evidence": evidence, "facts": facts[0] if facts else {}}


def main() -> None:
    """Serve until standard input ends."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what an attack prints is no answer
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            answer = run(json.loads(line))
            os.write(answers, (json.dumps(answer) + "\n").encode())
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()

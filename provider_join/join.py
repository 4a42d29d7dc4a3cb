"""The script an owner runs: check, register, start, stay."""

import json
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

try:
    from rich.console import Console

    from provider_join import autostart, benchmark, commands, doctor, hardware, install, upgrade
    from provider_join.api import ControlPlane, Refused, Unreachable
    from provider_join.config import EXIT_REFUSED, EXIT_UPGRADE, EXIT_VERSIONS, Home, Options, Stop, read_options
    from provider_join.from_afar import FromAfar, keep_said
    from provider_join.limits import SLOT_GIB_MIN, Limits, kept_limits, rules_of_house, without_limits
    from provider_join.ray_node import end_orphans
    from provider_join.restraint import Restraint
    from provider_join.stay import BACK_OFF_MAX_S, Member, Stay
    from provider_join.trust import trust_of
except ModuleNotFoundError as missing:
    raise SystemExit(f"provider-join needs the package {missing.name}: pip install 'onnx-fabric[provider]'") from None

Result = TypeVar("Result")
DISTRIBUTION = "onnx-fabric"
_console = Console(highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Tell the owner, with the time of day."""
    _console.print(f"{time.strftime('%H:%M:%S')} {text}", markup=False)
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run the agent, or what a first word like `status` asks for; the exit code.

    0 left in order, 1 cannot lend, 2 command line, 3 refused, 4 other versions wanted, 5 already running, 7 not running.
    """
    try:
        words = sys.argv[1:] if arguments is None else arguments
        if words and words[0] in commands.COMMANDS:
            return commands.run(words[0], words[1:])
        options = read_options(words)
        if options.check:
            return doctor.report(options, say)
        home = Home(options.home)
        with home.locked():
            code, successor = _lend(options, home)
        if successor is None:
            return code
        return upgrade.become(successor, without_limits(words), say)
    except Stop as stop:
        say(str(stop))
        return stop.code
    except KeyboardInterrupt:
        return 130


def _lend(options: Options, home: Home) -> tuple[int, Path | None]:
    """Be a machine of the fabric until that is over; the exit code, and the environment of a newer agent that goes on."""
    present = upgrade.installed()
    if present is not None:
        install.remove_others(Path(sys.prefix))
        autostart.renew(home, say)
    try:
        return _stay(options, home)
    except Stop as stop:
        if stop.code != EXIT_VERSIONS or present is None:
            raise
        say("the fabric wants other versions; installing them")
        try:
            return EXIT_UPGRADE, upgrade.fetch(options, home, present)
        except (install.Stop, OSError, subprocess.CalledProcessError) as error:
            raise Stop(f"{stop}\nThey could not be installed: {error}", EXIT_VERSIONS) from None


def _stay(options: Options, home: Home) -> tuple[int, Path | None]:
    if ended := end_orphans(home):
        say(f"ended {ended} processes that an earlier agent left behind")
    limits = replace(kept_limits(home), **options.limits)
    restraint = Restraint(home, limits)
    control = ControlPlane(options.url, trust_of(options))
    try:
        application = describe_machine(options, limits)
        keep(home, options, limits, len(application["capabilities"]["slots"]))  # only now: they can be kept here
        member, session = _join(control, options, home, application)
        control.share_trust(home)
        stay = Stay(control, member, session, options, home, restraint, FromAfar(home, restraint), say)
        code = stay.run()
        return code, stay.successor if code == EXIT_UPGRADE else None
    finally:
        control.close()


def describe_machine(options: Options, limits: Limits = Limits()) -> dict[str, Any]:
    """What this machine tells the fabric: versions, hardware, slots and their measured speed. Takes about two seconds.

    Slots are planned as if the machine had no more memory than the owner's cap leaves them.

    Raises:
        Stop: it cannot lend anything.
    """
    runtime = benchmark.detect_runtime()
    machine = hardware.detect_hardware()
    if problem := hardware.problem_of(machine, runtime.execution_providers):
        say(problem)
    isolation, why_not = hardware.detect_isolation()
    if why_not:
        say(f"models will run in a plain child process, and your offers say so: {why_not}")
    say(f"{machine.cpu}, {machine.cpu_cores} cores, {machine.memory_gib:.0f} GiB; ONNX Runtime {runtime.version}; measuring …")

    def planned(broken: tuple[str, ...]) -> list[hardware.Slot]:
        wishes = replace(options.wishes, without=(*options.wishes.without, *broken))
        return hardware.plan_slots(lendable(machine, limits), runtime.execution_providers, runtime.devices, wishes)

    slots, speeds = benchmark.measure_what_runs(planned, say)
    if not slots:
        raise Stop("Nothing to lend: no accelerator that ONNX Runtime could use, and no CPU slot was asked for.")
    check_memory(slots, limits)
    for slot, speed in zip(slots, speeds, strict=True):
        say(f"  slot {slot.slot}: {slot.accelerator} ({slot.device}), {slot.threads} threads, {speed:.0f} runs/s")
    reports = [
        {
            "slot": s.slot, "resource": s.resource, "accelerator": s.accelerator, "device": s.device,
            "execution_provider": s.execution_provider, "threads": s.threads, "memory_gib": s.memory_gib,
            "benchmark_runs_per_s": round(speed, 2), "device_id": s.device_id, "device_key": s.key,
        }
        for s, speed in zip(slots, speeds, strict=True)
    ]  # fmt: skip
    return {
        "name": options.name, "region": options.region, "price_usd_per_hour": options.price, "platform": platform.platform()[:200],
        "agent_version": installed(DISTRIBUTION), "fabric_version": installed(DISTRIBUTION), "ray_version": installed("ray"),
        "python_version": platform.python_version(),
        "capabilities": {
            "cpu": machine.cpu, "cpu_cores": machine.cpu_cores, "memory_gib": machine.memory_gib,
            "onnxruntime_version": runtime.version, "execution_providers": runtime.execution_providers, "slots": reports,
            "isolation": isolation, "opset_max": runtime.opset_max, "ir_version_max": runtime.ir_version_max,
        },
    }  # fmt: skip


def lendable(machine: hardware.Hardware, limits: Limits) -> hardware.Hardware:
    """Pure: the machine with no more memory than the owner lends; of it, slots take hardware's share."""
    if limits.max_memory_gib is None:
        return machine
    return replace(machine, memory_gib=min(machine.memory_gib, limits.max_memory_gib / hardware.MEMORY_SHARE))


def check_memory(slots: list[hardware.Slot], limits: Limits) -> None:
    """See that the owner's cap leaves each slot what a model needs at least.

    Raises:
        Stop: it does not.
    """
    if limits.max_memory_gib is not None and limits.max_memory_gib < SLOT_GIB_MIN * len(slots):
        raise Stop(
            f"--max-memory-gib {limits.max_memory_gib:g} is too little for {len(slots)} slots: each needs {SLOT_GIB_MIN:g} at least.",
            2,
        )


def keep(home: Home, options: Options, limits: Limits, slots: int) -> None:
    """Write down what outlives this start, and tell the actors of this machine what they must keep to."""
    home.keep_settings(
        limits=asdict(limits), start=autostart.words_of(options), url=options.url, fingerprint=options.fingerprint,
        allow_plaintext=options.allow_plaintext, ca_file=str(options.ca_file) if options.ca_file else None,
    )  # fmt: skip
    keep_said(home, options.limits)
    if limits.max_disk_gib is None:
        shutil.rmtree(home.ray_home / "models", ignore_errors=True)  # kept under an earlier limit
    home.write_private(home.ray_home / "fabric-house.json", json.dumps(rules_of_house(limits, slots, home.work_log)))


def _join(control: ControlPlane, options: Options, home: Home, application: dict[str, Any]) -> tuple[Member, dict[str, Any]]:
    """Come back with the credential of an earlier enrolment, or enrol with the token."""
    later = {**application, "price_usd_per_hour": None}  # a price changed meanwhile must outlive the loss of a node
    if known := home.credential():
        try:
            session = _patiently(lambda: control.session(known, application))
            say(f"rejoined {control.url} as {known.provider_id}")
            return Member(known, later), session
        except Refused as refusal:
            if not options.token:
                raise Stop(
                    f"{control.url} does not know this machine any more: {refusal}\nGive a new --token.", EXIT_REFUSED
                ) from None
    if not options.token:
        raise Stop("The first start needs a join token: --token fjt_… (make one in the console, or with `fabric providers`).", 2)
    token = options.token
    try:
        credential, session = _patiently(lambda: control.enroll(token, application))
    except Refused as refusal:
        raise Stop(f"{control.url} does not let this machine in: {refusal}", EXIT_REFUSED) from None
    home.keep(credential)
    say(f"joined {control.url} as {credential.provider_id}")
    return Member(credential, later), session


def _patiently(act: Callable[[], Result]) -> Result:
    """Again and again while the fabric does not answer."""
    wait_s = 1.0
    while True:
        try:
            return act()
        except Unreachable as error:
            say(f"{error}; trying again in {wait_s:.0f} s")
        time.sleep(wait_s)
        wait_s = min(wait_s * 2, BACK_OFF_MAX_S)


def installed(distribution: str) -> str:
    """The installed version of a distribution, or `none`."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "none"


if __name__ == "__main__":
    sys.exit(main())

"""The rules of the attack suite: everything here is marked `attack`, nothing may be skipped, and the table is printed at the end."""

from pathlib import Path

import pytest

from tests.attack.table import TABLE

HERE = Path(__file__).parent
_not_run: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.attack)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and "tests/attack/" in report.nodeid:  # an expected failure is one too
        _not_run.append(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if (_not_run or TABLE.unproven()) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not (TABLE.rows or _not_run):
        return
    terminalreporter.section("attacks")
    terminalreporter.write_line(TABLE.text())
    for row in TABLE.unproven():
        terminalreporter.write_line(f"{row.verdict}: {row.attack}", red=True, bold=True)
    for skipped in _not_run:
        terminalreporter.write_line(f"SKIPPED, which is a failure here: {skipped}", red=True, bold=True)

"""Names a failed test when it fails: workers show what went wrong at the end of the run, half an hour later."""

import pytest


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Write where the terminal's reporter writes; workers have none."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Failing(config))


class _Failing:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and terminal is not None:
            crash = getattr(report.longrepr, "reprcrash", None)
            first, *_ = str(crash.message if crash else report.longrepr).strip().splitlines() or [""]
            terminal.write_line(f"\nfailed ({report.when}): {report.nodeid}: {first[:200]}", red=True)

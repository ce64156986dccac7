"""What the setup installs is in Debian 12 and in Debian 13; what is not in both is no prerequisite.

Weaker than installing: names are compared with what the suites' indexes had when `debian_packages.txt` was written.
"""

import re
import tomllib
from pathlib import Path

from hyops_assets.image.programs import OPTIONAL, PACKAGES

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
SETUP = (CHECKOUT / "tools/setup/system-packages.sh").read_text()
RECORDED = {
    name: set(suites)
    for name, *suites in (
        line.split() for line in (HERE / "debian_packages.txt").read_text().splitlines() if line[0] != "#"
    )
}
BOTH = {"bookworm", "trixie"}
INSTALLED = {"ansible": "ansible-core"}
"""What the setup installs in a package's stead: the tests' playbooks need none of the collections of the whole."""


def listed(array: str) -> set[str]:
    """The packages of one array of the setup."""
    body = re.search(rf"^{array}=\(\n(.*?)^\)", SETUP, re.M | re.S)
    assert body is not None
    return set(body[1].split())


def test_every_package_that_is_required_is_in_both_suites() -> None:
    assert {name: RECORDED.get(name, set()) for name in listed("packages")} == dict.fromkeys(listed("packages"), BOTH)


def test_every_package_of_a_program_is_in_both_suites_or_optional() -> None:
    needed = {package for program, package in PACKAGES.items() if program not in OPTIONAL}
    assert {name for name in needed if RECORDED.get(name) != BOTH} == set()


def test_what_one_build_method_alone_needs_is_optional() -> None:
    needed = {PACKAGES[program] for program in OPTIONAL}
    assert listed("optional") == {INSTALLED.get(package, package) for package in needed}
    assert listed("optional") & listed("packages") == set()


def test_the_record_names_nothing_else() -> None:
    assert set(RECORDED) == listed("packages") | listed("optional") | set(PACKAGES.values()) - INSTALLED.keys()


def test_the_python_of_both_suites_is_supported_and_linted_for() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11,<3.14"
    assert {"Programming Language :: Python :: 3.11", "Programming Language :: Python :: 3.13"} <= set(
        project["classifiers"]
    )
    assert "pyright --pythonversion 3.13" in (CHECKOUT / "Makefile").read_text()


def test_a_fresh_system_of_each_suite_runs_the_readme_s_commands() -> None:
    """Weaker than `make elsewhere` itself, which takes an hour: what it would run is compared."""
    makefile = (CHECKOUT / "Makefile").read_text()
    suites, targets = (re.search(rf"^{name} \?= (.*)$", makefile, re.M) for name in ("SUITES", "TARGETS"))
    assert suites is not None
    assert targets is not None
    assert set(suites[1].split()) == BOTH
    readme = (CHECKOUT / "README.md").read_text()
    assert {target for target in targets[1].split() if f"`make {target}`" in readme} == {"demo", "test-fast"}

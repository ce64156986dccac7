"""Commands of HybridOps that this pipeline does not have: each says so, and what serves in its place.

Hidden from the help. Without them, typer would offer the nearest command instead: `deploy` for `destroy`.
"""

from collections.abc import Mapping

import typer

from hyops_assets.cli.usage import BadUsage

commands = typer.Typer()

NOT_HERE: Mapping[str, tuple[str, str]] = {
    "destroy": (
        "what was published or seeded is never destroyed by its module",
        "hyops cleanup plans what is superseded and removes it with --apply",
    ),
    "import": (
        "a template, a snapshot or a record that is there already is taken in by its own module",
        "apply core/onprem/vyos-template-import, core/hetzner/vyos-image-register or core/shared/vyos-image-artifact",
    ),
    "blueprint": (
        "a blueprint's steps are HybridOps' to run; it finds our states and skips the steps that they satisfy",
        "run blueprints with HybridOps, or apply the modules one after another",
    ),
    "module": (
        "no overlay of inputs is made for a module",
        "copy modules/<module>/examples/, edit it, and give it with --inputs",
    ),
    "runner": ("everything runs on the host where it is called", "run hyops on that host"),
    "setup": ("system packages are installed by the checkout", "make setup; hyops doctor says what is missing"),
    "state": (
        "there is no Terraform state to unlock or to detach from: a run that was killed is begun again",
        "apply the module again; hyops show <module> prints its state",
    ),
    "stacks": ("there are no Terraform stacks", "hyops show <module> prints a module's state"),
    "terragrunt": ("there is no Terraform here", "hyops plan and hyops apply call the graph"),
    "tfc": ("there is no Terraform here", "hyops plan and hyops apply call the graph"),
    "secrets": (
        "secrets come from the environment of the process only",
        "export the variable, or run HybridOps' hyops secrets exec -- hyops apply …",
    ),
    "vault": (
        "secrets come from the environment of the process only",
        "export the variable, or run HybridOps' hyops secrets exec -- hyops apply …",
    ),
    "inventory": ("there is no inventory and no NetBox here", "hyops show <module> prints a module's state"),
    "test": ("there are no Ansible roles to be tested here", "make test runs the tests of the checkout"),
    "update": ("no release is looked for or installed", "git pull in the checkout, then make setup"),
}
"""By name: why it is not here, and what to do instead."""


def _add(name: str, why: str, instead: str) -> None:
    @commands.command(
        name,
        hidden=True,
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )
    def refuse() -> None:  # pyright: ignore[reportUnusedFunction] - typer keeps it
        raise BadUsage(f"hyops {name} is a command of HybridOps that is not here: {why}", hint=instead)


for _name, (_why, _instead) in NOT_HERE.items():
    _add(_name, _why, _instead)

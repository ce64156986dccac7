"""The repository of one run: the bucket that a state names, in place of what `pipeline.yml` names.

The reference is handed over to the run by `hyops apply` (`repo_state_ref`); executing the run again publishes there
again.
"""

from hyops_assets.contract.consumed import require_ready
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.references import StateRef
from hyops_assets.settings.object_repo import repository_settings
from hyops_assets.settings.pipeline import Settings
from resources.settings import load_settings
from resources.states.store import StateStore


def settings_of_run(root: RuntimeRoot, repo_state_ref: str) -> Settings:
    """Return an environment's settings, with the repository that a state names where a reference is given.

    Raises:
        SettingsError: `pipeline.yml` does not validate.
        UnresolvedState: the reference leads to no state that may be consumed.
        BadRepository: the state names no usable bucket.
    """
    settings = load_settings(root)
    if not repo_state_ref:
        return settings
    ref = StateRef.parse(repo_state_ref)
    state = require_ready(ref, StateStore(root).find(ref))
    return settings.model_copy(update={"repository": repository_settings(ref, state.outputs)})

import pytest
from pydantic import JsonValue

from hyops_assets.contract.publishable import Unpublishable, require_publishable


@pytest.mark.parametrize("accelerator", ["none", "kvm", "unknown"])
def test_what_was_not_emulated_may_be_published(accelerator: str) -> None:
    require_publishable({"method": "packer", "accelerator": accelerator, "publishable": True})


@pytest.mark.parametrize(
    "build",
    [
        {"method": "packer", "accelerator": "tcg", "publishable": False},
        {"method": "native"},
        {"method": "native", "publishable": "yes"},
        {},
    ],
)
def test_what_was_emulated_or_does_not_say_is_refused(build: dict[str, JsonValue]) -> None:
    with pytest.raises(Unpublishable, match="for debugging only"):
        require_publishable(build)

from pathlib import Path

import pytest

from hyops_assets.lab.authority import Authority


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that anonymous clients of this test trust, and no proxy between."""
    made = Authority(tmp_path / "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(made.certificate_file))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    return made

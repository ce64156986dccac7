from tests.assets.conftest import home, lab_key, miniature, packages

__all__ = ["home", "lab_key", "miniature", "packages"]

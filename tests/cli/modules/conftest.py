from tests.assets.conftest import home, lab_key, miniature, packages, seeded

__all__ = ["home", "lab_key", "miniature", "packages", "seeded"]

from tests.assets.conftest import ground, home, lab_key, miniature, packages, seeded

__all__ = ["ground", "home", "lab_key", "miniature", "packages", "seeded"]

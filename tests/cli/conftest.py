from tests.assets.conftest import built, ground, home, lab_key, miniature, packages, published, released, seeded

__all__ = ["built", "ground", "home", "lab_key", "miniature", "packages", "published", "released", "seeded"]

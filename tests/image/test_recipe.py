from hyops_assets.image.recipe import Recipe
from hyops_assets.settings.build import BuildSettings

ISO, HELPER = "1" * 64, "2" * 64


def recipe(build: BuildSettings, **changes: object) -> Recipe:
    digests: dict[str, object] = {
        "method_inputs": {},
        "iso_sha256": ISO,
        "helper_sha256": HELPER,
        "builder": "1",
        "lock_sha256": None,
    }
    return Recipe.of(build, **(digests | changes))  # type: ignore[arg-type]


def test_the_order_of_packages_and_what_decides_no_byte_make_no_other_recipe():
    one = recipe(BuildSettings(packages=["bb", "aa"], boot_timeout_seconds=60, record_key="vyos-1.5"))
    other = recipe(BuildSettings(packages=["aa", "bb"], boot_timeout_seconds=90, record_key="vyos-1.4"))
    assert one.digest == other.digest


def test_everything_that_decides_bytes_makes_another_recipe():
    recipes = [
        recipe(BuildSettings()),
        recipe(BuildSettings(disk_bytes=8 << 30)),
        recipe(BuildSettings(console="tty0")),
        recipe(BuildSettings(console_speed=9600)),
        recipe(BuildSettings(menu_timeout_seconds=0)),
        recipe(BuildSettings(packages=["cloud-init"])),
        recipe(BuildSettings(method="packer")),
        recipe(BuildSettings(method="packer"), method_inputs={"template_sha256": "4" * 64}),
        recipe(BuildSettings(), iso_sha256="3" * 64),
        recipe(BuildSettings(), helper_sha256="3" * 64),
        recipe(BuildSettings(), builder="2"),
        recipe(BuildSettings(), lock_sha256="3" * 64),
    ]
    assert len({one.digest for one in recipes}) == len(recipes)


def test_a_recipe_turns_our_settings_into_those_of_its_disk():
    theirs = BuildSettings(disk_bytes=8 << 30, console="tty0", menu_timeout_seconds=1, packages=["cloud-init"])
    ours = BuildSettings(record_key="vyos-1.4", boot_timeout_seconds=99)
    settings = recipe(theirs).settings(ours)
    assert recipe(settings) == recipe(theirs)
    assert (settings.record_key, settings.boot_timeout_seconds) == ("vyos-1.4", 99)

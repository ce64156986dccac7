import pytest

from resources.secrets import MissingSecret, secret


def test_a_secret_is_read_by_name() -> None:
    assert secret("TOKEN", {"TOKEN": " value\n"}) == "value"


@pytest.mark.parametrize("environ", [{}, {"TOKEN": ""}, {"TOKEN": " \n"}])
def test_an_unset_secret_is_an_error_that_names_the_variable(environ: dict[str, str]) -> None:
    with pytest.raises(MissingSecret, match="TOKEN is unset or empty"):
        secret("TOKEN", {**environ, "OTHER": "hidden"})

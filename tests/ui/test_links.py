import socket
from pathlib import Path

import pytest

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.ui.links import LIFETIME_SECONDS, Entrance, link, new_code, new_key
from hyops_assets.ui.serve import NoUi, PortTaken, Ui, key_file, open_link

NOW = 1_800_000_000.0


def entrance(key: str, now: float = NOW) -> Entrance:
    return Entrance(key, clock=lambda: now)


def test_a_code_opens_one_session_and_is_dead_afterwards() -> None:
    key = new_key()
    door, code = entrance(key), new_code(key, clock=lambda: NOW)
    cookie = door.redeem(code)
    assert cookie is not None
    assert door.knows(cookie)
    assert door.redeem(code) is None


def test_a_code_is_dead_after_its_minute() -> None:
    key = new_key()
    code = new_code(key, clock=lambda: NOW)
    assert entrance(key, NOW + LIFETIME_SECONDS + 1).redeem(code) is None
    assert entrance(key, NOW + LIFETIME_SECONDS).redeem(code) is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda code: "",
        lambda code: "..",
        lambda code: code[:-1] + ("0" if code[-1] != "0" else "1"),
        lambda code: "9" + code,
        lambda code: code.rpartition(".")[0],
        lambda code: code + "é",
        lambda code: code.replace(".", "\0", 1),
    ],
)
def test_a_changed_code_opens_nothing(change) -> None:
    key = new_key()
    code = new_code(key, clock=lambda: NOW)
    assert entrance(key).redeem(change(code)) is None


def test_a_code_of_another_key_opens_nothing() -> None:
    assert entrance(new_key()).redeem(new_code(new_key(), clock=lambda: NOW)) is None


@pytest.mark.parametrize("cookie", ["", "guessed", "\udce9"])
def test_a_cookie_that_was_not_given_out_is_unknown(cookie: str) -> None:
    assert not entrance(new_key()).knows(cookie)


def test_neither_key_nor_session_shows_in_a_repr() -> None:
    key = new_key()
    door = entrance(key)
    cookie = door.redeem(new_code(key, clock=lambda: NOW))
    assert cookie is not None
    assert key not in repr(door)
    assert cookie not in repr(door)


def test_the_link_carries_the_code_and_nothing_else() -> None:
    made = link("http://127.0.0.1:3000", new_key())
    assert made.startswith("http://127.0.0.1:3000/enter?code=")
    assert made.count("?") == 1
    assert "&" not in made


def test_a_link_is_not_made_where_no_ui_runs(tmp_path: Path) -> None:
    root = RuntimeRoot(tmp_path)
    with pytest.raises(NoUi, match="no UI of this environment runs"):
        open_link(root)
    left = key_file(root, 1)
    left.parent.mkdir(parents=True)
    # What a killed UI left: nothing listens there any more.
    left.write_text(new_key())
    with pytest.raises(NoUi):
        open_link(root)


def test_a_taken_port_is_named_before_a_link_is_printed(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"127\.0\.0\.1:{port} cannot be listened on.*(?s:.*)--port"):
            Ui(RuntimeRoot(tmp_path), port)

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from hyops_assets.image.variants.ordered_map import ordered_map


def test_results_come_in_the_order_of_their_items_whichever_is_ready_first() -> None:
    second_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_is_done.wait(10)
        if item == 1:
            second_is_done.set()
        return item * item

    assert list(ordered_map(iter(range(50)), work, threads=2)) == [(item, item * item) for item in range(50)]


@pytest.mark.parametrize("threads", [1, 3])
def test_only_so_many_items_are_taken_ahead(threads: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        while taken < 1000:
            taken += 1
            yield taken

    with closing(ordered_map(items(), lambda item: item, threads=threads)) as results:
        for count, _ in enumerate(results, 1):
            assert taken - count <= 8 * threads
            if count > 100:
                break
    assert taken < 150


def test_an_error_comes_where_its_item_would_have_and_ends_the_work() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise ValueError(item)
        return item

    others = set(threading.enumerate())
    with closing(ordered_map(iter(range(100)), work, threads=2)) as results:
        assert [next(results)[0] for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="3"):
            next(results)
    assert set(threading.enumerate()) <= others

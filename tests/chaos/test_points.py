"""From the trace of a run to the places where the next one is killed."""

import re

from chaos.points import Point, points_of
from hyops_lab.faults import FaultTable, Kill
from hyops_lab.trace import Request

MIB = 1 << 20


def asked(system: str, method: str, path: str, *, body: int = 0, answer: int = 0) -> Request:
    return Request(system, method, path, 200, body, answer)


def shown(*requests: Request) -> list[str]:
    return [str(point) for point in points_of(requests) if not isinstance(point.when, int)]


def test_a_reading_call_is_a_point_before_and_a_changing_one_before_and_after() -> None:
    assert shown(asked("hetzner", "GET", "/images"), asked("hetzner", "POST", "/servers")) == [
        "GET /images, before",
        "POST /servers, before",
        "POST /servers, after",
    ]


def test_a_command_on_a_server_is_a_point_before_and_after_each_time() -> None:
    command = asked("rescue", "SSH", "/servers/1005")
    assert shown(command, command) == [
        "SSH /servers/<id>, before",
        "SSH /servers/<id>, after",
        "SSH /servers/<id> #2, before",
        "SSH /servers/<id> #2, after",
    ]


def test_a_poll_is_one_point_however_often_it_is_made() -> None:
    poll = asked("hetzner", "GET", "/actions/7")
    assert shown(poll, poll, asked("hetzner", "GET", "/servers/5"), poll) == [
        "GET /actions/<id>, before",
        "GET /servers/<id>, before",
        "GET /actions/<id> #2, before",
    ]


def test_a_file_is_never_polled() -> None:
    fetched = asked("objects", "GET", "/a.qcow2")
    assert shown(fetched, fetched) == ["GET /a.qcow2, before", "GET /a.qcow2 #2, before"]


def test_ids_and_workers_of_a_run_match_those_of_the_next() -> None:
    first = "/api2/json/nodes/pve1/tasks/UPID:pve1:000003E9:000187A4:6566A0C4:download:a:x@pve!t:/status"
    (point,) = [point for point in points_of([asked("proxmox", "GET", first)]) if point.method == "GET"]
    assert str(point) == "GET /nodes/pve1/tasks/UPID/status, before"
    table = FaultTable()
    table.add(point.rule(0))
    assert table.due("GET", "/nodes/pve1/tasks/UPID:pve1:000003EA:0:0:download:a:x@pve!t:/status") == Kill(0, "before")


def test_a_rule_hits_the_nth_call_of_its_kind_and_counts_polls_once() -> None:
    table = FaultTable()
    table.add(Point("hetzner", "GET", "/actions/<id>", 2, "before").rule(0))
    calls = ["/actions/1", "/actions/1", "/actions/1", "/actions/2", "/actions/2"]
    assert [table.due("GET", path) is not None for path in calls] == [False, False, False, True, False]


def test_a_download_has_points_in_its_midst_and_so_has_what_is_written_of_it() -> None:
    points = points_of([asked("proxmox", "GET", "/version"), asked("objects", "GET", "/a.qcow2", answer=32 * MIB)])
    stages = [point for point in points if isinstance(point.when, int)]
    assert {point.method for point in stages} == {"GET", "IMPORT"}
    assert all(isinstance(point.when, int) and 0 < point.when < 32 * MIB for point in stages)
    assert len(stages) == len(set(stages)) > 10


def test_an_import_is_hit_whatever_the_vmid_is() -> None:
    points = points_of([asked("proxmox", "POST", "/api2/json/nodes/pve1/storage/local/upload", body=32 * MIB)])
    table = FaultTable()
    table.add(next(point for point in points if point.method == "IMPORT").rule(0))
    assert table.due("IMPORT", "local-lvm:vm-9200-disk-0") is not None


def test_an_upload_has_points_in_its_midst() -> None:
    sent = asked("proxmox", "POST", "/api2/json/nodes/pve1/storage/local/upload", body=32 * MIB)
    stages = [point for point in points_of([sent]) if isinstance(point.when, int)]
    assert {(point.table, point.method) for point in stages} == {("proxmox", "POST"), ("proxmox", "IMPORT")}


def test_what_is_sent_over_ssh_has_points_where_it_reaches_the_disk() -> None:
    stages = [
        point
        for point in points_of([asked("rescue", "SSH", "/servers/5", body=32 * MIB)])
        if isinstance(point.when, int)
    ]
    assert {(point.table, point.method) for point in stages} == {("hetzner", "SSH")}
    assert all(re.fullmatch(r"SSH /servers/<id>, at [\d.]+ MiB", str(point)) for point in stages)

"""The S3 stand-in is no laxer than the service: what makes no sense, or is not signed, is refused."""

import base64
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from hyops_lab.authority import Authority
from resources.buckets.s3_client import KEY, KEY_ID, s3_client
from tests.s3_scene import BUCKET, IMPATIENT, PART_BYTES, PUBLISHER, S3Scene, s3_scene, trust

NAME = "a/b+c~d"


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Scene]:
    authority = Authority(tmp_path / "authority")
    trust(authority, monkeypatch)
    with s3_scene(tmp_path, authority) as scene:
        yield scene


@pytest.fixture
def client(scene: S3Scene) -> Any:
    environ = {**os.environ, KEY_ID: PUBLISHER, KEY: scene.keys[PUBLISHER]}
    return s3_client(scene.stand_in.url, None, environ, IMPATIENT)


def refusal(caught: "pytest.ExceptionInfo[ClientError]") -> str:
    return str(caught.value.response.get("Error", {}).get("Code"))


def anonymously(scene: S3Scene, method: str, path: str, **headers: str) -> httpx.Response:
    with httpx.Client() as anyone:
        return anyone.request(method, f"{scene.stand_in.url}/{BUCKET}{path}", headers=headers)


def test_an_anonymous_reader_may_only_read_objects(scene: S3Scene, client: Any) -> None:
    client.put_object(Bucket=BUCKET, Key=NAME, Body=b"0123456789", Metadata={"record": "r"})
    found = anonymously(scene, "GET", "/a/b%2Bc~d", Range="bytes=2-4")
    assert (found.status_code, found.content, found.headers["x-amz-meta-record"]) == (206, b"234", "r")
    assert anonymously(scene, "HEAD", "/a/b%2Bc~d").headers["Content-Length"] == "10"
    for asked in ("GET /absent", "GET ?list-type=2", "HEAD ", "PUT /x", "POST /x?uploads", "DELETE /x"):
        assert anonymously(scene, *asked.split(" ")).status_code == 403, asked


def test_a_header_that_decides_and_is_not_signed_is_refused(scene: S3Scene, client: Any) -> None:
    def added(request: Any, **_: Any) -> None:
        request.headers["x-amz-meta-sha256"] = "added on the way"

    client.meta.events.register_first("before-send.s3", added)
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket=BUCKET, Key=NAME, Body=b"x")
    assert refusal(caught) == "AccessDenied"
    assert scene.held.find(NAME) is None


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"IfNoneMatch": '"a-tag"'}, "NotImplemented"),
        ({"IfMatch": '"a-tag"'}, "NoSuchKey"),
        ({"ContentMD5": base64.b64encode(hashlib.md5(b"y").digest()).decode()}, "BadDigest"),
        ({"ChecksumSHA256": base64.b64encode(hashlib.sha256(b"y").digest()).decode()}, "BadDigest"),
    ],
)
def test_a_condition_that_does_not_hold_writes_nothing(
    scene: S3Scene, client: Any, given: dict[str, str], code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket=BUCKET, Key=NAME, Body=b"x", **given)
    assert refusal(caught) == code
    assert scene.held.find(NAME) is None


def test_parts_are_as_the_service_wants_them(scene: S3Scene, client: Any) -> None:
    where: dict[str, Any] = {"Bucket": BUCKET, "Key": NAME}
    where["UploadId"] = client.create_multipart_upload(**where)["UploadId"]
    tags = [
        {"PartNumber": number, "ETag": client.upload_part(**where, PartNumber=number, Body=body)["ETag"]}
        for number, body in ((1, b"a" * PART_BYTES), (2, b"b"), (3, b"c"))
    ]

    def completed(*parts: dict[str, Any]) -> str:
        try:
            answer = client.complete_multipart_upload(**where, MultipartUpload={"Parts": list(parts)})
        except ClientError as error:
            return str(error.response.get("Error", {}).get("Code"))
        return str(answer["ETag"])

    assert completed(*tags) == "EntityTooSmall"
    assert completed(tags[1], tags[0]) == "InvalidPartOrder"
    assert completed({**tags[0], "ETag": '"another"'}) == "InvalidPart"
    assert completed(*tags[:2]).endswith('-2"')
    assert scene.held.get(NAME).content == b"a" * PART_BYTES + b"b"
    assert completed(*tags[:2]) == "NoSuchUpload"

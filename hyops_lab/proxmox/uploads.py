"""Reading an upload: the fields of the form in the order that Proxmox' own parser takes them, then the file.

pve-http-server, AnyEvent.pm, `file_upload_multipart`. It looks for `content`, `checksum-algorithm` and `checksum`, in
this order, in what has come so far, and then for the file. A field that stands behind one that is looked for later
swallows that one: the answer is 400 with an empty body (the reason phrase would have had a line break in it), and the
connection is closed in the middle of what is sent.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import BodyPartReader, web

from hyops_lab.faults import Action, kill_between
from hyops_lab.proxmox.answers import ApiError
from hyops_lab.proxmox.call import Call
from hyops_lab.proxmox.images import write_stream

_CHUNK_BYTES = 1 << 20
_ORDER = ("content", "checksum-algorithm", "checksum", "filename")


async def read_upload(request: web.Request, call: Call, spool: Path, fault: Action | None) -> int:
    """Spool an upload without holding it in memory; return the bytes of the file.

    Raises:
        ApiError: 400, a field comes too late; 500, the file is not the field `filename`, or none came.
    """
    count, passed = 0, -1
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or call.upload is not None:
            # What follows the file would be taken for the file's own bytes.
            raise ApiError(500, "upload failed", bare=True)
        name = str(part.name)
        if part.filename is not None and name != "filename":
            raise ApiError(500, f"wrong field name '{name}' for file upload, expected 'filename'", bare=True)
        if name not in _ORDER or _ORDER.index(name) <= passed:
            raise ApiError(400, "Bad Request", bare=True)
        passed = _ORDER.index(name)
        if part.filename is None:
            call.parameters[name] = (await part.text()).strip()
            continue
        call.parameters[name] = part.filename
        call.upload = spool / f"pveupload-{id(call):x}"
        count = await write_stream(call.upload, _chunks(part, fault))
    return count


async def _chunks(part: BodyPartReader, fault: Action | None) -> AsyncIterator[bytes]:
    received = 0
    while chunk := await part.read_chunk(_CHUNK_BYTES):
        kill_between(fault, received, received + len(chunk))
        received += len(chunk)
        yield chunk
        await asyncio.sleep(0)

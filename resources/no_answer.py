"""Why a request of the library `requests` got no answer, in words of ours.

Nothing of the library's own text or names, which are for programmers and may hold what a proxy's URL holds. What the
silence means is the caller's to say.
"""

import ssl
from collections.abc import Iterator

import requests

from hyops_assets.contract.errors import said_by_system

_MOST_CAUSES = 20


def why_unanswered(error: requests.RequestException) -> str:
    """Return why there was no answer, as the end of a sentence: `the name has no address`, `Connection refused`."""
    text = repr(error)
    if "NameResolutionError" in text:
        return "the name has no address"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy does not let it through, or does not answer"
    if isinstance(error, requests.exceptions.SSLError):
        return "the certificate is not trusted" if "CERTIFICATE_VERIFY_FAILED" in text else "no TLS could be agreed on"
    if isinstance(error, requests.Timeout):
        return "it takes too long"
    said = [said_by_system(cause) for cause in _causes(error) if _of_system(cause)]
    return said[-1] if said else "the connection broke, or what came is no HTTP"


def _of_system(cause: BaseException) -> bool:
    """Tell whether an error is one of the system's, with words for people; TLS writes its own for programmers."""
    return isinstance(cause, OSError) and bool(cause.strerror) and not isinstance(cause, ssl.SSLError)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what the libraries wrapped into it, the innermost last."""
    found: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if found is None:
            return
        yield found
        wrapped = [getattr(found, "reason", None), *found.args, found.__cause__, found.__context__]
        found = next((one for one in wrapped if isinstance(one, BaseException)), None)

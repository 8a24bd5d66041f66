"""What goes wrong, and when: rules that a test hands to a double, as dicts or as JSON.

When:  request N (of all, from 1), or operation (a name such as PutObject, or several with |), key (a regular expression
       searched in the key), nth (of the requests that match; default 1); times (how many from there; 0: for ever), share
       (this part of them only, by chance with a fixed seed).
What:  do = one of
  error    answers status, code, message, headers; not carried out (with status 200: an error in a success, as S3 may
           answer CompleteMultipartUpload and CopyObject)
  after    is carried out, then answers that error
  reset    the connection is reset, close ends it, stall stops for `seconds`: `of` request (default) or answer, once `at`
           bytes of it went (request: of its body; answer: head and all). In the request: not carried out, but for stall
  length   the answer's Content-Length is `by` too many
  text     the answer's body is `text`, with status 200
  drop     the answer lacks the headers `names`
  ignore   the request's headers `names` are as if absent
  change   before it is carried out, `put` ({key: text}) and `delete` ([keys]) happen in its bucket
KINDS names the usual ones: {"request": 3, **KINDS["slow down"]}."""
import dataclasses
import random
import re

ACTIONS = ("error", "after", "reset", "close", "stall", "length", "text", "drop", "ignore", "change")


def error(status, code, **headers):
    return {"do": "error", "status": status, "code": code, "headers": {name.replace("_", "-"): value
                                                                      for name, value in headers.items()}}


KINDS = {
    "slow down": error(503, "SlowDown"),
    "slow down, wait a second": error(503, "SlowDown", Retry_After="1"),
    "too many requests": error(429, "TooManyRequests"),
    "internal error": error(500, "InternalError"),
    "internal error, but done": {"do": "after", "status": 500, "code": "InternalError"},
    "bad gateway": {"do": "text", "status": 502, "text": "<html>Bad Gateway</html>"},
    "request timeout": error(400, "RequestTimeout"),
    "conflict": error(409, "OperationAborted"),
    "denied": error(403, "AccessDenied"),
    "expired token": error(400, "ExpiredToken"),
    "skewed": error(403, "RequestTimeTooSkewed"),
    "reset before": {"do": "reset", "of": "request", "at": 0},
    "reset in request": {"do": "reset", "of": "request", "at": 20_000},
    "closed, nothing answered": {"do": "close", "of": "answer", "at": 0},
    "reset in head": {"do": "reset", "of": "answer", "at": 40},
    "reset in answer": {"do": "reset", "of": "answer", "at": 1000},
    "truncated": {"do": "close", "of": "answer", "at": 1000},
    "stall": {"do": "stall", "of": "answer", "at": 0, "seconds": 3600},
    "stall in request": {"do": "stall", "of": "request", "at": 20_000, "seconds": 3600},
    "stall in answer": {"do": "stall", "of": "answer", "at": 1000, "seconds": 3600},
    "longer than said": {"do": "length", "by": -1},
    "shorter than said": {"do": "length", "by": 1},
    "no xml": {"do": "text", "text": "It works!"},
    "error in success": error(200, "InternalError"),
    "no etag": {"do": "drop", "names": ["etag"]},
    "condition ignored": {"do": "ignore", "names": ["if-none-match"]},
}


@dataclasses.dataclass
class Rule:
    do: str
    request: int = 0
    operation: str = ""
    key: str = ""
    nth: int = 1
    times: int = 1
    share: float = 1.0
    status: int = 200
    code: str = ""
    message: str = "as the test wants it"
    headers: dict = dataclasses.field(default_factory=dict)
    of: str = "request"
    at: int = 0
    seconds: float = 0
    by: int = 0
    text: str = ""
    names: list = dataclasses.field(default_factory=list)
    put: dict = dataclasses.field(default_factory=dict)
    delete: list = dataclasses.field(default_factory=list)
    seen: int = 0
    hits: int = 0

    def __post_init__(self):
        assert self.do in ACTIONS, self.do
        assert self.of in ("request", "answer"), self.of

    def matches(self, number, operation, key):
        if self.request:
            return True
        return (not self.operation or operation in self.operation.split("|")) and re.search(self.key, key or "") is not None

    def due(self, number):
        place, first = (number, self.request) if self.request else (self.seen, self.nth)
        return place >= first and (self.times == 0 or place < first + self.times)

    def breaks(self, side):
        return self.do in ("reset", "close", "stall") and self.of == side


class Plan:
    """The caller holds a lock."""

    def __init__(self, rules=()):
        self.rules = [rule if isinstance(rule, Rule) else Rule(**rule) for rule in rules]
        self.random = random.Random(1)

    def choose(self, number, operation, key):
        chosen = None
        for rule in self.rules:
            if not rule.matches(number, operation, key):
                continue
            rule.seen += 1
            if not chosen and rule.due(number) and (rule.share >= 1 or self.random.random() < rule.share):
                chosen = rule
                rule.hits += 1
        return chosen

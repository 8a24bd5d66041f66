"""The S3 double: signature, body, faults, log, control."""
import copy
import dataclasses
import json
import re
import urllib.parse

from . import sigv4
from .http_server import Answer, Double
from .s3_listing import Listings
from .s3_requests import check_body, check_shape, error_body, operation_of
from .s3_store import Bucket

# The bucket in the host's name: ours, and as Amazon has it.
IN_HOST = re.compile(r"(.+)\.(?:localhost|s3\.[a-z0-9-]+\.amazonaws\.com)$")


@dataclasses.dataclass
class Settings:
    region: str = ""  # whose endpoint this is; empty: signatures for any region do
    page: int = 1000  # most entries in one answer to a listing
    min_part: int = 5 << 20
    copy_limit: int = 5 << 30
    conditions: str = "honour"  # If-None-Match and If-Match on writes: honour, ignore, refuse
    etag_at_completion: bool = True
    drop_parts: bool = False  # of uploads in parts, only sizes and the first bytes of each part are kept
    checksums: bool = True  # False: x-amz-checksum-… is neither checked nor told, as servers before 2022


@dataclasses.dataclass
class Logged:
    number: int
    operation: str
    method: str
    bucket: str
    key: str
    query: str
    status: int | None  # None: never answered
    fault: str
    connection: int
    resumed: bool
    sent: int
    headers: dict


class S3Double(Double):
    """An S3 server in this process. Stop it with close(). Thread-safe."""

    def __init__(self, context=None, port=0, buckets=("bucket",), keys=None, **settings):
        self.settings = Settings(**settings)
        self.keys = keys if keys is not None else {"AKIDDOUBLE": sigv4.Key("double/secret+key")}
        self.operations = Listings(self.settings)
        for name in buckets:
            self.operations.buckets[name] = Bucket(name, self.settings.region)
        self.log = []
        self.moved = {}  # bucket → (region, endpoint) of where it is
        super().__init__(context, port)

    # --- what a test asks for

    def bucket(self, name="bucket"):
        return self.operations.buckets[name]

    def objects(self, name="bucket"):
        """Key → content, as a listing would show it at this moment."""
        with self.lock:
            return self.bucket(name).objects()

    def saved(self):
        """What is stored now, for restore(), which may be given it again and again."""
        with self.lock:
            return copy.deepcopy(self.operations.buckets)

    def restore(self, saved):
        with self.lock:
            self.operations.buckets = copy.deepcopy(saved)

    def forget(self):
        """Counts from one again."""
        with self.lock:
            self.log = []

    def count(self, *operations):
        with self.lock:
            return len([each for each in self.log if not operations or each.operation in operations])

    def summary(self):
        with self.lock:
            return [f"{each.number} {each.operation or each.method} {each.key or each.query} {each.status}"
                    + (f" ({each.fault})" if each.fault else "") for each in self.log]

    # --- what the HTTP server asks

    def begin(self, request):
        host = request.headers["host"].rpartition(":")[0] or request.headers["host"]
        path = urllib.parse.unquote(request.path[1:], errors="surrogateescape")
        named = IN_HOST.match(host)
        if named:
            request.bucket, request.key = named[1], path
        else:
            request.bucket, _, request.key = path.partition("/")
        if request.bucket == "-":
            return None
        request.operation = operation_of(request)
        with self.lock:
            request.number = len(self.log) + 1
            rule = self.plan.choose(request.number, request.operation, request.key)
            headers = {name: value for name, value in request.headers.items() if name != "authorization"}
            self.log.append(Logged(request.number, request.operation, request.method, request.bucket, request.key, request.query,
                                   None, rule.do if rule else "", request.connection, request.resumed, 0, headers))
        if rule and rule.do == "ignore":
            # The signature was made with them, so they go once it has been checked.
            request.ignored = rule.names
        return rule

    def finished(self, request, rule, status):
        if request.bucket == "-":
            return
        with self.lock:
            if request.number <= len(self.log):
                entry = self.log[request.number - 1]
                entry.status, entry.sent = status, len(request.body)

    def answer_error(self, refused, request):
        headers = {"x-amz-request-id": f"R{request.number}", "Content-Type": "application/xml", **refused.headers}
        if request.method == "HEAD" or refused.status == 304:
            return Answer(refused.status, headers)
        return Answer(refused.status, headers, error_body(refused, request))

    def refuse_early(self, request, rule):
        """Before the body, as to Expect: 100-continue: what the head alone tells."""
        try:
            if rule and rule.do == "error":
                raise sigv4.Refused(rule.status, rule.code, rule.message, rule.headers)
            self.check_head(request)
            return None
        except sigv4.Refused as refused:
            return self.answer_error(refused, request)

    def check_head(self, request):
        with self.lock:
            keys = dict(self.keys)
        if request.bucket in self.moved:
            region, endpoint = self.moved[request.bucket]
            raise sigv4.Refused(301, "PermanentRedirect", "The bucket you are attempting to access must be addressed using the "
                                "specified endpoint.", {"x-amz-bucket-region": region}, Endpoint=endpoint, Bucket=request.bucket)
        sigv4.check(request, keys, "s3", self.settings.region)

    def respond(self, request, rule):
        if request.bucket == "-":
            return self.control(request)
        try:
            if rule and rule.do == "error":
                raise sigv4.Refused(rule.status, rule.code, rule.message, rule.headers)
            if rule and rule.do == "text":
                return Answer(rule.status, {"Content-Type": "text/html"}, rule.text.encode())
            answer = self.carry_out(request, rule)
            if rule and rule.do == "after":
                raise sigv4.Refused(rule.status, rule.code, rule.message, rule.headers)
        except sigv4.Refused as refused:
            answer = self.answer_error(refused, request)
        if rule and rule.do == "drop":
            answer.headers = {name: value for name, value in answer.headers.items() if name.lower() not in rule.names}
        return answer

    def carry_out(self, request, rule):
        self.check_head(request)
        if not self.settings.checksums:
            request.headers = {name: value for name, value in request.headers.items() if not name.startswith("x-amz-checksum-")}
        check_body(request)
        check_shape(request, request.arguments())
        for name in getattr(request, "ignored", ()):
            request.headers.pop(name, None)
        if not request.operation:
            raise sigv4.Refused(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        with self.lock:
            if rule and rule.do == "change":
                bucket = self.operations.bucket(request)
                for key, text in rule.put.items():
                    bucket.put(key, text.encode())
                for key in rule.delete:
                    bucket.delete(key)
            answer = getattr(self.operations, request.operation)(request)
        if answer.body and "Content-Type" not in answer.headers and answer.body.startswith(b"<?xml"):
            answer.headers["Content-Type"] = "application/xml"
        answer.headers["x-amz-request-id"] = f"R{request.number}"
        return answer

    def control(self, request):
        """/-/log gives the log; PUT /-/faults with a list of rules and DELETE /-/log are for tests in other processes."""
        if request.path == "/-/faults" and request.method == "PUT":
            self.fail(*json.loads(request.body))
            return Answer(204)
        if request.path == "/-/log" and request.method == "DELETE":
            self.forget()
            return Answer(204)
        if request.path == "/-/log":
            with self.lock:
                entries = [dataclasses.asdict(each) for each in self.log]
            return Answer(200, {"Content-Type": "application/json"}, json.dumps(entries).encode())
        return Answer(404)

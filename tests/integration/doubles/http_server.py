"""HTTP/1.1 in which every byte can be made to go wrong: one thread per connection, strict about what it is sent."""
import dataclasses
import itertools
import socket
import ssl
import struct
import threading
import urllib.parse

from . import faults

REASONS = {200: "OK", 204: "No Content", 206: "Partial Content", 301: "Moved Permanently", 304: "Not Modified",
           307: "Temporary Redirect", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 409: "Conflict",
           411: "Length Required", 412: "Precondition Failed", 416: "Range Not Satisfiable", 429: "Too Many Requests",
           500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable"}
MAX_HEAD = 64 << 10


@dataclasses.dataclass
class Request:
    method: str
    path: str  # as sent
    query: str
    headers: dict  # names in lower case
    connection: int
    secure: bool
    resumed: bool = False
    body: bytes = b""
    number: int = 0
    operation: str = ""
    bucket: str = ""
    key: str = ""

    def arguments(self):
        pairs = [pair.partition("=")[::2] for pair in self.query.split("&") if pair]
        return {urllib.parse.unquote(name): urllib.parse.unquote(value) for name, value in pairs}


@dataclasses.dataclass
class Answer:
    status: int = 200
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""
    head_only: int | None = None  # to HEAD: the length of the body that is not sent


class Gone(Exception):
    """The connection ended, or was ended."""


class Connection:
    def __init__(self, server, raw, number):
        self.server, self.socket, self.number = server, raw, number
        self.buffer = bytearray()

    def run(self):
        try:
            self.socket.settimeout(120)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.server.context:
                self.socket = self.server.context.wrap_socket(self.socket, server_side=True)
            while self.exchange(self.read_head()):
                pass
        except (Gone, OSError, ValueError):
            pass
        finally:
            self.socket.close()
            self.server.forget(self)

    def receive(self):
        data = self.socket.recv(256 << 10)
        if not data:
            raise Gone
        self.buffer += data

    def read_head(self):
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            if len(self.buffer) > MAX_HEAD or self.buffer and not self.buffer[:1].isupper():  # TLS, for one
                raise Gone
            self.receive()
        head = bytes(self.buffer[:end]).decode("latin-1")
        del self.buffer[:end + 4]
        first, *lines = head.split("\r\n")
        method, target, version = first.split(" ")
        headers = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip() or name.lower() in headers or "\n" in line:
                raise Gone
            headers[name.lower()] = value.strip()
        if version != "HTTP/1.1" or "host" not in headers or not target.startswith("/"):
            raise Gone
        path, _, query = target.partition("?")
        secure = bool(self.server.context)
        return Request(method, path, query, headers, self.number, secure, secure and bool(self.socket.session_reused))

    def exchange(self, request):
        application = self.server.application
        rule = application.begin(request)
        if request.headers.get("expect", "").lower() == "100-continue":
            early = application.refuse_early(request, rule)
            if early:
                self.send(request, early, rule, {"Connection": "close"})
                return False
            self.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            request.body = self.read_body(request, rule)
            answer = application.respond(request, rule)
        except Gone:
            application.finished(request, rule, None)
            raise
        return self.send(request, answer, rule, {})

    def read_body(self, request, rule):
        length = int(request.headers.get("content-length", "0"))
        if rule and rule.breaks("request"):
            # A request that is shorter breaks at its end.
            self.fill(min(length, rule.at))
            self.break_off(rule)
        self.fill(length)
        with memoryview(self.buffer)[:length] as view:
            body = bytes(view)
        del self.buffer[:length]
        return body

    def fill(self, length):
        missing = length - len(self.buffer)
        if missing <= 0:
            return
        start = len(self.buffer)
        self.buffer += bytes(missing)
        with memoryview(self.buffer) as view:
            while start < length:
                count = self.socket.recv_into(view[start:])
                if not count:
                    raise Gone
                start += count

    def break_off(self, rule):
        """Returns after a stall only."""
        if rule.do == "stall":
            self.server.stopping.wait(rule.seconds)
            return
        if rule.do == "reset":
            self.server.stopping.wait(0.01)  # else the reset overtakes what was sent before it
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Gone

    def send(self, request, answer, rule, more):
        length = len(answer.body) if answer.head_only is None else answer.head_only
        if rule and rule.do == "length":
            length = max(0, length + rule.by)
        headers = {"Content-Length": str(length), **answer.headers, **more}
        if answer.status in (204, 304):
            del headers["Content-Length"]
        # A body without a length was not read, so what follows on the connection is no request.
        close = (headers.get("Connection") == "close" or bool(rule and rule.do == "length")
                 or "transfer-encoding" in request.headers)
        head = f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Other')}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        raw = head.encode("latin-1")
        body = answer.body if request.method != "HEAD" else b""
        self.server.application.finished(request, rule, answer.status)
        if rule and rule.breaks("answer"):
            raw, body = raw + body, b""
            self.socket.sendall(raw[:rule.at])
            self.break_off(rule)
            raw = raw[rule.at:]
        if len(body) < 64 << 10:
            raw, body = raw + body, b""
        self.socket.sendall(raw)
        if body:
            self.socket.sendall(body)
        return not close and request.headers.get("connection", "").lower() != "close"


def end_listening(listener, accepting):
    """Closes it once the thread that accepts has seen the end: else that might accept on what gets its number next."""
    try:
        listener.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    accepting.join()
    listener.close()


class Server:
    """Listens from the start; close() ends every connection. `context`: an ssl.SSLContext for https."""

    def __init__(self, application, context=None, port=0):
        self.application, self.context = application, context
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.connections = set()
        self.numbers = itertools.count(1)
        self.listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.accepting = threading.Thread(target=self.accept, daemon=True)
        self.accepting.start()

    def accept(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            connection = Connection(self, raw, next(self.numbers))
            with self.lock:
                self.connections.add(connection)
            threading.Thread(target=connection.run, daemon=True).start()

    def forget(self, connection):
        with self.lock:
            self.connections.discard(connection)

    def close(self):
        self.stopping.set()
        end_listening(self.listener, self.accepting)
        with self.lock:
            for connection in self.connections:
                try:
                    connection.socket.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


def server_context(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


class Double:
    """A service in this process: `endpoint`, faults on order, and a lock over all that its requests share."""

    def __init__(self, context=None, port=0):
        self.lock = threading.RLock()
        self.plan = faults.Plan()
        self.server = Server(self, context, port)
        self.endpoint = f"{'https' if context else 'http'}://localhost:{self.server.port}"

    def close(self):
        self.server.close()

    def fail(self, *rules):
        """Replaces the plan; without rules, nothing fails. Returns them, to see their hits."""
        with self.lock:
            self.plan = faults.Plan(rules)
            return self.plan.rules

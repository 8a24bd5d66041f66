"""slow_proxy.py --to HOST:PORT [--port N] [--delay MS] [--fail SHARE] [--refuse SHARE] : a TCP proxy with the delay of a far
place, which breaks connections now and then.

Each direction is a line of its own: what arrives leaves `delay` ms later, however much is under way, so throughput is not
limited but by what the ends keep in flight. The first bytes of a connection wait for the round trip of its handshake too.
--fail: this share of the client's turns (it sends after it was sent something: a request, also under TLS) ends in a reset
of the connection, somewhere in its first 64 KiB. --refuse: this share of connections is reset at once. Chance has a fixed
seed. One thread; about a third of a core at 500 MB/s. Prints its port; also used as a class by tests."""
import argparse
import collections
import heapq
import itertools
import random
import selectors
import socket
import struct
import threading
import time

CHUNK = 256 << 10
WINDOW = 64 << 20  # most bytes under way per direction; beyond it the sender is held back


class Line:
    """One direction of a connection."""

    def __init__(self, source, target, from_client):
        self.source, self.target, self.from_client = source, target, from_client
        self.other = None
        self.chunks = collections.deque()  # (due, buffer or None for the end, first byte, end)
        self.under_way = 0
        self.reading, self.held, self.blocked, self.ended = True, False, False, False
        self.first = True  # nothing was read yet
        self.fresh = True  # nothing was read since the other direction spoke


class Proxy:
    def __init__(self, host, port, delay=0.0, fail=0.0, refuse=0.0, listen=0, seed=1):
        self.to, self.delay, self.fail, self.refuse = (host, port), delay, fail, refuse
        self.random = random.Random(seed)
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", listen), backlog=256)
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.selector.register(self.listener, selectors.EVENT_READ, None)
        self.due, self.numbers, self.pool, self.lines = [], itertools.count(), [], {}
        self.connections = self.turns = self.failures = 0
        self.stopping = False

    def start(self):
        threading.Thread(target=self.run, daemon=True).start()
        return self

    def close(self):
        self.stopping = True
        socket.create_connection(("127.0.0.1", self.port)).close()  # wakes it

    def run(self):
        while not self.stopping:
            timeout = max(0.0, self.due[0][0] - time.monotonic()) if self.due else None
            for key, events in self.selector.select(timeout):
                if key.data is None:
                    self.accept()
                    continue
                if events & selectors.EVENT_READ and key.fileobj in self.lines:
                    self.read(self.lines[key.fileobj])
                if events & selectors.EVENT_WRITE and key.fileobj in self.lines:
                    self.write(self.lines[key.fileobj].other)
            now = time.monotonic()
            while self.due and self.due[0][0] <= now:
                line = heapq.heappop(self.due)[2]
                if line.source in self.lines:
                    self.write(line)
        for each in [self.listener, *self.lines]:
            each.close()

    def accept(self):
        client, _ = self.listener.accept()
        self.connections += 1
        try:
            if self.random.random() < self.refuse:
                raise OSError
            server = socket.create_connection(self.to)
        except OSError:
            self.reset(client)
            return
        for each in (client, server):
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        up, down = Line(client, server, True), Line(server, client, False)
        up.other, down.other = down, up
        for line in (up, down):
            self.lines[line.source] = line
            self.selector.register(line.source, selectors.EVENT_READ, line)

    def interests(self, line):
        """What is waited for at the socket that `line` reads from and the other line writes to."""
        if line.source not in self.lines:
            return  # ended meanwhile
        events = (selectors.EVENT_READ if line.reading else 0) | (selectors.EVENT_WRITE if line.other.blocked else 0)
        registered = line.source in self.selector.get_map()
        if events and registered:
            self.selector.modify(line.source, events, line)
        elif events:
            self.selector.register(line.source, events, line)
        elif registered:
            self.selector.unregister(line.source)

    def read(self, line):
        buffer = self.pool.pop() if self.pool else bytearray(CHUNK)
        try:
            count = line.source.recv_into(buffer)
        except BlockingIOError:
            self.pool.append(buffer)
            return
        except OSError:
            self.break_off(line)
            return
        wait = self.delay
        if line.from_client and line.fresh and count:
            self.turns += 1
            wait += 2 * self.delay if line.first else 0
            line.first = False
            if self.random.random() < self.fail:
                self.failures += 1
                count = min(count, self.random.randrange(64 << 10))
                self.push(line, wait, buffer, count)
                self.push(line, wait, None, -1)
                line.reading = False
                self.interests(line)
                return
        line.fresh, line.other.fresh = False, True
        self.push(line, wait, buffer if count else None, count)
        line.held = line.under_way > WINDOW
        if not count or line.held:
            line.reading = False
            self.interests(line)

    def push(self, line, wait, buffer, count):
        due = time.monotonic() + wait
        line.chunks.append((due, buffer, 0, count))
        line.under_way += max(count, 0)
        if not self.delay and line.source in self.lines:
            self.write(line)
        elif len(line.chunks) == 1:
            heapq.heappush(self.due, (due, next(self.numbers), line))

    def write(self, line):
        now = time.monotonic()
        while line.chunks and (line.chunks[0][0] <= now or not self.delay):
            due, buffer, first, end = line.chunks[0]
            try:
                if buffer is None and end < 0:
                    self.break_off(line)
                    return
                if buffer is None:
                    line.ended = True
                    line.target.shutdown(socket.SHUT_WR)
                else:
                    with memoryview(buffer)[first:end] as view:
                        first += line.target.send(view) if view else 0
            except BlockingIOError:
                self.hold(line, True)
                return
            except OSError:
                self.break_off(line)
                return
            if buffer is not None and first < end:
                line.chunks[0] = (due, buffer, first, end)
                continue
            line.chunks.popleft()
            if buffer is not None:
                line.under_way -= end
                self.pool.append(buffer)
        self.hold(line, False)
        if line.chunks:
            heapq.heappush(self.due, (line.chunks[0][0], next(self.numbers), line))
        if line.held and line.under_way < WINDOW // 2:
            line.reading, line.held = True, False
            self.interests(line)
        if line.ended and line.other.ended:
            self.end(line)

    def hold(self, line, blocked):
        if line.blocked != blocked:
            line.blocked = blocked
            self.interests(line.other)

    def end(self, line):
        for each in (line, line.other):
            if each.source in self.selector.get_map():
                self.selector.unregister(each.source)
            self.lines.pop(each.source, None)
            each.source.close()
            each.chunks.clear()

    def break_off(self, line):
        for each in (line.source, line.target):
            try:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                pass
        self.end(line)

    @staticmethod
    def reset(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--to", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0, help="milliseconds each way")
    parser.add_argument("--fail", type=float, default=0)
    parser.add_argument("--refuse", type=float, default=0)
    options = parser.parse_args()
    host, _, port = options.to.rpartition(":")
    proxy = Proxy(host, int(port), options.delay / 1000, options.fail, options.refuse, options.port)
    print(proxy.port, flush=True)
    proxy.run()


if __name__ == "__main__":
    main()

"""A proxy that programs reach a service through which cannot be told another address."""
import contextlib
import socket
import threading

from .http_server import end_listening


class Tunnel:
    """Whatever host is asked for, what is said to it goes to `port` here. With `context`, the host's certificate, TLS ends
    here; without, it is the service's."""

    def __init__(self, port, context=None):
        self.to, self.context, self.asked = port, context, set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.accepting = threading.Thread(target=self.run, daemon=True)
        self.accepting.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=[client], daemon=True).start()

    def serve(self, client):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        self.asked.add(head.split()[1].decode())
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            inside = self.context.wrap_socket(client, server_side=True) if self.context else client
            with contextlib.closing(inside), socket.create_connection(("127.0.0.1", self.to)) as service:
                back = threading.Thread(target=pump, args=[service, inside], daemon=True)
                back.start()
                pump(inside, service)
                back.join()
        except OSError:
            pass  # the program says what became of its request

    def close(self):
        end_listening(self.listener, self.accepting)


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass

"""A proxy that programs reach a service through which cannot be told another address: CONNECT ends here, TLS too."""
import socket
import threading


class Tunnel:
    """Whatever host is asked for, what is said to it goes to `port` here, in the clear. `context`: the host's certificate."""

    def __init__(self, port, context):
        self.to, self.context, self.asked = port, context, set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.run, daemon=True).start()

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
            with self.context.wrap_socket(client, server_side=True) as inside, socket.create_connection(("127.0.0.1", self.to)) as service:
                back = threading.Thread(target=pump, args=[service, inside], daemon=True)
                back.start()
                pump(inside, service)
                back.join()
        except OSError:
            pass  # the program says what became of its request

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass

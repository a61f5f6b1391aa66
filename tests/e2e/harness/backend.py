# SPDX-License-Identifier: Apache-2.0
"""Upstream servers in threads of the test process. Each serves until closed; errors of single connections are theirs alone."""
import socket
import threading

from harness.net import free_port, receive_all


class Backend:
    """Accepts on 127.0.0.1:port; serve(connection) runs per connection in a thread."""

    def __init__(self, port=None, backlog=128):
        self.port = port or free_port()
        self.accepted = 0
        self.socket = socket.create_server(("127.0.0.1", self.port), backlog=backlog)
        self.threads = threading.Thread(target=self._accept, daemon=True)
        self.threads.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        with connection:
            connection.settimeout(60)
            try:
                self.serve(connection)
            except OSError:
                pass

    def serve(self, connection):
        raise NotImplementedError

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        self.threads.join(5)


class HttpBackend(Backend):
    """Answers every request with 200 and its name; one request per connection unless keep_alive."""

    def __init__(self, name="backend", port=None):
        self.name = name
        super().__init__(port)

    def serve(self, connection):
        pending = b""
        while True:
            while b"\r\n\r\n" not in pending:
                data = connection.recv(65536)
                if not data:
                    return
                pending += data
            head, _, pending = pending.partition(b"\r\n\r\n")
            close = b"connection: close" in head.lower()
            body = self.name.encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n%s\r\n%s"
                               % (len(body), b"Connection: close\r\n" if close else b"", body))
            if close:
                return


class EchoBackend(Backend):
    """Sends back what comes; ends its side when the client has ended its own."""

    def serve(self, connection):
        while True:
            data = connection.recv(65536)
            if not data:
                connection.shutdown(socket.SHUT_WR)
                return
            connection.sendall(data)


class ScriptBackend(Backend):
    """serve is a function given by the test."""

    def __init__(self, script, port=None):
        self.script = script
        super().__init__(port)

    def serve(self, connection):
        self.script(connection)


class CollectBackend(Backend):
    """Reads to the end of the client's side, then answers with how many bytes came and ends."""

    def __init__(self, port=None):
        self.received = []
        super().__init__(port)

    def serve(self, connection):
        data = receive_all(connection)
        self.received.append(data)
        connection.sendall(b"got %d" % len(data))

"""A connection that can be cut: a TCP proxy that stops forwarding, both ways, without a word to either side."""

import socket
import threading

CHUNK_BYTES = 65_536


class Proxy:
    """Forwards what comes to `port` to another port of this machine, unless it is cut."""

    def __init__(self, port: int, target_port: int) -> None:
        self._target_port = target_port
        self._open = threading.Event()
        self._open.set()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                inside, _ = self._listener.accept()
            except OSError:
                return
            outside = socket.create_connection(("127.0.0.1", self._target_port))
            self._sockets += [inside, outside]
            for source, target in ((inside, outside), (outside, inside)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(CHUNK_BYTES):
                self._open.wait()
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            end.close()

    def cut(self) -> None:
        """From now on nothing goes through; connections stay, new ones are taken."""
        self._open.clear()

    def heal(self) -> None:
        """All goes through again, what was held back first."""
        self._open.set()

    def close(self) -> None:
        """End all connections."""
        self._open.set()
        for end in (self._listener, *self._sockets):
            end.close()

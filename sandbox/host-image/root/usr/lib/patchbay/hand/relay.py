"""Connections into a lab from outside, side by side over stdin and stdout: the other end of the engine driver's
`relay.ts`. A frame is a kind, the connection's number, a length and so many bytes:

    OPEN    to the hand     {"address", "port", "timeoutMs"}
    OPENED  from the hand
    DATA    both ways       at most what CREDIT allows
    END     both ways       no more DATA from this side
    CLOSE   both ways       the connection is over; from the hand with errno's name where it broke
    CREDIT  both ways       so many bytes more may be sent; each side begins with WINDOW
"""

import errno
import json
import os
import selectors
import socket
import struct
import time

from processes import enter_net_of

HEADER = struct.Struct("!BII")
OPEN, OPENED, DATA, END, CLOSE, CREDIT = range(1, 7)
WINDOW = 128 << 10
CHUNK = 64 << 10
NOBODY = 65534


def send(kind, number, payload=b""):
    """Blocks until the driver has taken it, which reads without end and holds no more than the windows."""
    view = memoryview(HEADER.pack(kind, number, len(payload)) + payload)
    while view:
        view = view[os.write(1, view):]


class Connection:
    """One connection; `ready` and `receive` are true until it is over."""

    def __init__(self, number, request):
        self.number = number
        self.deadline = time.monotonic() + request["timeoutMs"] / 1000
        self.connected = False
        self.credit = WINDOW
        self.unsent = bytearray()
        self.ending = self.write_over = self.read_over = False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A lab that is gone answers nothing, and must not hold its wires for ever.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
        self.error = self.socket.connect_ex((request["address"], request["port"]))

    @property
    def interest(self):
        if not self.connected:
            return selectors.EVENT_WRITE
        reading = self.credit > 0 and not self.read_over
        return (selectors.EVENT_READ if reading else 0) | (selectors.EVENT_WRITE if self.unsent else 0)

    def receive(self, kind, payload):
        """A frame from the driver."""
        if kind == DATA:
            self.unsent += payload
        elif kind == END:
            self.ending = True
        elif kind == CREDIT:
            self.credit += struct.unpack("!I", payload)[0]
        return self.attempt(self.flush) if self.connected else True

    def ready(self, events):
        """The socket can be read or written."""
        if not self.connected:
            error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                return self.over(error)
            self.connected = True
            send(OPENED, self.number)
            return self.attempt(self.flush)
        if events & selectors.EVENT_WRITE and not self.attempt(self.flush):
            return False
        return self.attempt(self.read) if events & selectors.EVENT_READ else True

    def attempt(self, work):
        try:
            work()
        except BlockingIOError:
            pass
        except OSError as error:
            return self.over(error.errno)
        if self.read_over and self.write_over:
            return self.over(0)
        return True

    def flush(self):
        while self.unsent:
            count = self.socket.send(self.unsent[:CHUNK])
            del self.unsent[:count]
            send(CREDIT, self.number, struct.pack("!I", count))
        if self.ending and not self.write_over:
            self.write_over = True
            self.socket.shutdown(socket.SHUT_WR)

    def read(self):
        if self.credit == 0 or self.read_over:
            return
        data = self.socket.recv(min(CHUNK, self.credit))
        if data:
            self.credit -= len(data)
            send(DATA, self.number, data)
        else:
            self.read_over = True
            send(END, self.number)

    def over(self, error):
        send(CLOSE, self.number, errno.errorcode.get(error, "").encode())
        return False


class Relay:
    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.connections = {}
        self.unread = bytearray()

    def watch(self, connection):
        """Sees to it that the selector tells what the connection waits for."""
        known = self.selector.get_map().get(connection.socket)
        wanted = connection.interest
        if known is None and wanted:
            self.selector.register(connection.socket, wanted, connection)
        elif known is not None and not wanted:
            self.selector.unregister(connection.socket)
        elif known is not None and known.events != wanted:
            self.selector.modify(connection.socket, wanted, connection)

    def settle(self, connection, goes_on):
        if goes_on:
            return self.watch(connection)
        if connection.socket in self.selector.get_map():
            self.selector.unregister(connection.socket)
        connection.socket.close()
        self.connections.pop(connection.number, None)

    def take(self, kind, number, payload):
        connection = self.connections.get(number)
        if kind == OPEN:
            connection = self.connections[number] = Connection(number, json.loads(payload))
            failed = connection.error not in (0, errno.EINPROGRESS)
            self.settle(connection, not failed or connection.over(connection.error))
        elif connection is None:
            return
        elif kind == CLOSE:
            self.settle(connection, False)
        else:
            self.settle(connection, connection.receive(kind, payload))

    def read(self):
        """False at the end of stdin: the driver has left."""
        data = os.read(0, 1 << 18)
        self.unread += data
        while len(self.unread) >= HEADER.size:
            kind, number, length = HEADER.unpack_from(self.unread)
            end = HEADER.size + length
            if len(self.unread) < end:
                break
            payload = bytes(self.unread[HEADER.size:end])
            del self.unread[:end]
            self.take(kind, number, payload)
        return bool(data)

    def run(self):
        self.selector.register(0, selectors.EVENT_READ)
        while True:
            now = time.monotonic()
            late = [each for each in self.connections.values() if not each.connected and each.deadline <= now]
            for connection in late:
                self.settle(connection, connection.over(errno.ETIMEDOUT))
            waits = [each.deadline - now for each in self.connections.values() if not each.connected]
            for key, events in self.selector.select(min(waits, default=None)):
                if key.data is None:
                    if not self.read():
                        return
                # One that another event of this round has ended is no longer known.
                elif self.connections.get(key.data.number) is key.data:
                    self.settle(key.data, key.data.ready(events))


def serve(lab):
    """Connects from the gateway of a lab until stdin ends; at once over where the lab has no wires. What comes from
    a lab is handled without any right."""
    try:
        enter_net_of(f"/run/netns/{lab}")
    except FileNotFoundError:
        return
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    os.nice(5)
    Relay().run()

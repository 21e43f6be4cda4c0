"""A web service to connect to: / greets and says which container answers, /status is for health checks.

`touch /tmp/broken` in its container makes /status fail, until the file is gone."""

import os
import socket


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    path = scope["path"]
    status, text = 404, "not found"
    if path == "/":
        status, text = 200, f"hello from {socket.gethostname()}"
    elif path == "/status":
        status, text = (500, "broken") if os.path.exists("/tmp/broken") else (200, "ok")
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{text}\n".encode()})

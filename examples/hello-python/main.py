import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import humanize

GREETING = "Hello from Tarmac"
STARTED = time.monotonic()


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        up = humanize.naturaldelta(time.monotonic() - STARTED)
        body = f"{GREETING}\nup for {up}\n".encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("", int(os.environ.get("PORT", "8080"))), Page)
for number in (signal.SIGINT, signal.SIGTERM):  # Fly sends SIGINT unless fly.toml names another kill_signal
    signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
print(f"listening on port {server.server_port}", flush=True)
server.serve_forever()

"""A program that behaves as ``vllm serve`` does where it matters: it writes a real log, opens a port, leaves workers.

usage: vllm_stand_in.py serve MODEL --port N [...]; what it does is said by its model: a log's name (it writes that log,
opens the port where that came up, and fails where it did not), with ``+worker`` (a worker that
lives on when it has ended), ``+deaf`` (the same, and it hears no SIGTERM), ``+stuck`` (it does not end when it has
failed), ``+crash`` (it ends with code 5 once its port was asked), ``+silent`` (it writes no log).
"""

import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

RECORDED = Path(__file__).parents[2] / "recorded" / "vllm"
WORKER = "import time; time.sleep(120)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WORKER}"


def main() -> int:
    name, *traits = sys.argv[2].split("+")
    port = int(sys.argv[sys.argv.index("--port") + 1])
    for trait, code in (("worker", WORKER), ("deaf", DEAF)):
        if trait in traits:
            subprocess.Popen([sys.executable, "-c", code])
    text = (RECORDED / f"{name}.log").read_text(encoding="utf-8").partition("\n")[2]
    sys.stdout.write("" if "silent" in traits else text)
    sys.stdout.flush()
    if "startup complete" not in text:
        if "stuck" in traits:
            time.sleep(120)
        return 1
    return serve(port, crash="crash" in traits)


def serve(port: int, *, crash: bool) -> int:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    with HTTPServer(("127.0.0.1", port), Health) as server:
        server.handle_request()
        if crash:
            sys.stderr.write("Traceback (most recent call last):\nLookupError: the moon\n")
            return 5
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())

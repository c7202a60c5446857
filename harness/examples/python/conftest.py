"""A lab for each test: modem, card and SM-DP+ of its own, on free ports, gone when the test ends.

ESIMLAB is the program (`esimlab` on PATH when it is not set); ESIMLAB_MODEL another model of the modem.
"""

import json
import os
import subprocess
import urllib.parse
import urllib.request

import pytest
import serial

PROGRAM = os.environ.get("ESIMLAB", "esimlab")


class Control:
    """The control port: orders, faults, timeline, and what no host can do to modem and card. GET /openapi.json of it
    tells everything that there is."""

    def __init__(self, access):
        self.url = access["url"]
        self.headers = {"Authorization": "Bearer " + access["token"]}

    def _open(self, method, path, body=None, timeout=60):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=self.headers)
        return urllib.request.urlopen(request, timeout=timeout)

    def get(self, path):
        with self._open("GET", path) as answer:
            return json.load(answer)

    def post(self, path, body=None):
        with self._open("POST", path, {} if body is None else body) as answer:
            return json.load(answer)

    def delete(self, path):
        with self._open("DELETE", path) as answer:
            return json.load(answer)

    def now(self):
        """The number of the next event, to wait from later."""
        return self.get("/lab")["timeline"]

    def wait_for(self, text, since=0, seconds=30):
        """Waits for an event with this text; no test has to sleep."""
        query = urllib.parse.urlencode({"text": text, "from": since, "seconds": seconds})
        return self.get("/timeline/wait?" + query)

    def events(self, since=0):
        """The timeline as it happens (server-sent events), one dictionary each."""
        with self._open("GET", f"/timeline/events?from={since}") as stream:
            for line in stream:
                if line.startswith(b"data: "):
                    yield json.loads(line[len(b"data: "):])


class Lab:
    """What `esimlab up --json` has told, and the modem's AT port."""

    def __init__(self, ready):
        self.tty = ready["modems"][0]["ttys"][0]
        self.eid = ready["modems"][0]["eid"]
        self.ci = ready["smdp"]["ci"]
        self.orders = ready["orders"]
        self.control = Control(ready["control"])

    def activation_code(self, matching_id):
        """The activation code of an order, without the `LPA:` of the QR code."""
        order = next(order for order in self.orders if order["matching_id"] == matching_id)
        return order["activation_code"].removeprefix("LPA:")

    def at(self, command, seconds=5):
        """Sends an AT command; gives the lines of its answer, the final result code last."""
        with serial.Serial(self.tty, 115200, timeout=seconds) as port:
            # With the echo on it can be told where an answer begins: what comes before is unsolicited.
            port.write(b"ATE1\r")
            while self._line(port) != "OK":
                pass
            port.write(command.encode() + b"\r")
            while self._line(port) != command:
                pass
            lines = []
            while not lines or not (lines[-1] in ("OK", "ERROR") or lines[-1].startswith("+CME ERROR:")):
                # Empty lines only frame an answer.
                lines += filter(None, [self._line(port)])
            return lines

    @staticmethod
    def _line(port):
        line = port.readline()
        if not line.endswith(b"\n"):
            raise TimeoutError(f"the modem has said nothing for {port.timeout} s, at last {line}")
        return line.decode().strip()

    def lpa(self, *arguments):
        """Calls the LPA that comes with the lab; gives its result object. Put your own in its place."""
        called = subprocess.run(
            [PROGRAM, "lpad", "-d", self.tty, "--ci", self.ci, "--json", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
        )
        lines = [json.loads(line) for line in called.stdout.splitlines()]
        return next(line for line in reversed(lines) if "outcome" in line)


@pytest.fixture
def lab():
    command = [PROGRAM, "up", "--json"]
    if "ESIMLAB_MODEL" in os.environ:
        command += ["--model", os.environ["ESIMLAB_MODEL"]]
    # One line of JSON when all is ready: nothing has to be polled, and nobody has to sleep.
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line, "the lab did not start; it tells why above"
            yield Lab(json.loads(line))
        finally:
            process.terminate()
            process.wait(timeout=10)

"""A lab for each test: modem, card and SM-DP+ of its own, on free ports, gone when the test ends.

ESIMLAB is the program (`esimlab` on PATH when it is not set); ESIMLAB_MODEL another model of the modem.
"""

import json
import os
import subprocess

import pytest
import serial

PROGRAM = os.environ.get("ESIMLAB", "esimlab")


class Lab:
    """What `esimlab up --json` has told, and the modem's AT port."""

    def __init__(self, ready):
        self.tty = ready["modems"][0]["ttys"][0]
        self.eid = ready["modems"][0]["eid"]
        self.ci = ready["smdp"]["ci"]
        self.orders = ready["orders"]

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

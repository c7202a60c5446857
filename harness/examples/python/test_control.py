"""What a test program does to the lab, and sees of it, by the control port."""

import serial


def test_an_order_is_made_and_its_state_followed(lab):
    order = lab.control.post("/orders", {"profile": "operator-b", "matching_id": "FROM-PYTHON", "number": 7})
    assert order["state"] == "released"
    code = order["activation_code"].removeprefix("LPA:")
    assert lab.lpa("-A", code)["outcome"] == "success"
    lab.control.wait_for("downloaded to installed")
    assert lab.control.get(f"/orders/{order['number']}")["state"] == "installed"
    profiles = lab.control.get("/lab")["card"]["profiles"]
    assert [profile["iccid"] for profile in profiles] == [order["iccid"]]


def test_a_fault_fires_once_and_the_next_try_succeeds(lab):
    lab.control.post("/faults", {"http-status": 503, "function": "authenticateClient", "count": 1})
    code = lab.activation_code("OPERATOR-A")
    assert lab.lpa("-A", code)["http"] == 503
    assert lab.control.get("/faults")[0]["fired"] == 1
    assert lab.lpa("-A", code)["outcome"] == "success"


def test_the_card_is_taken_out_while_somebody_listens(lab):
    with serial.Serial(lab.tty, 115200, timeout=10) as port:
        # The lab knows that somebody is there only when it has been asked something.
        port.write(b"AT\r")
        while port.readline().strip() != b"OK":
            pass
        lab.control.post("/card/remove")
        assert port.readline().strip() == b"" and port.readline().strip() == b"+CPIN: NOT READY"
    assert lab.at("AT+CPIN?")[-1] != "OK"
    lab.control.post("/card/insert")
    assert lab.at("AT+CPIN?") == ["+CPIN: READY", "OK"]


def test_the_modem_says_something_unasked(lab):
    with serial.Serial(lab.tty, 115200, timeout=10) as port:
        port.write(b"AT\r")
        while port.readline().strip() != b"OK":
            pass
        lab.control.post("/modem/urc", {"line": "+QIND: \"act\",\"LTE\""})
        assert port.readline().strip() == b"" and port.readline().strip() == b'+QIND: "act","LTE"'


def test_the_timeline_is_followed_as_it_happens(lab):
    since = lab.control.now()
    assert lab.at("AT+CGMI")[-1] == "OK"
    events = lab.control.events(since)
    seen = next(event for event in events if event["kind"] == "at" and event["text"] == "AT+CGMI")
    assert (seen["role"], seen["direction"]) == ("modem", "command")
    answer = next(events)
    assert answer["number"] == seen["number"] + 1

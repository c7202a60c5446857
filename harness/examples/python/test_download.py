"""A product's own tests against the lab; `pytest` in this folder runs them."""


def test_the_modem_tells_the_eid(lab):
    assert lab.at('AT+QESIM="eid"') == [f'+QESIM: "eid",{lab.eid}', "OK"]


def test_a_profile_is_downloaded_and_enabled(lab):
    assert lab.lpa("-A", lab.activation_code("OPERATOR-A"))["outcome"] == "success"
    assert lab.at('AT+QESIM="profile_brief"') == ['+QESIM: "profile_brief",1', "OK"]
    assert lab.at('AT+QESIM="enable_profile",1') == ["OK"]
    detail, _ = lab.at('AT+QESIM="profile_detail",1')
    assert detail.split(",")[2] == "1"


def test_a_used_activation_code_is_refused(lab):
    code = lab.activation_code("OPERATOR-B")
    assert lab.lpa("-A", code)["outcome"] == "success"
    again = lab.lpa("-A", code)
    assert (again["outcome"], again["subject"], again["reason"]) == ("failure", "8.2.6", "3.8")


def test_a_confirmation_code_is_asked_for(lab):
    code = lab.activation_code("WITH-CODE")
    assert lab.lpa("-A", code, "-C", "00000000")["outcome"] == "failure"
    assert lab.lpa("-A", code, "-C", "12345678")["outcome"] == "success"

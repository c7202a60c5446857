//! A real client: a program in Python on pyserial, as people write them for modems.

use std::process::Stdio;

use e2e::client::{Client, installed};
use e2e::two_profiles;

/// Asks, sends a message, waits for one, and opens the terminal again.
const PROGRAM: &str = r#"
import sys, serial

def open_port(**options):
    return serial.Serial(sys.argv[1], 115200, timeout=60, write_timeout=60, **options)

def ask(port, line, end=b"OK\r\n"):
    port.write(line.encode() + b"\r")
    answer = port.read_until(end)
    assert answer.endswith(end), answer
    return answer.decode()

port = open_port(exclusive=True)
port.reset_input_buffer()
ask(port, "ATE0")
assert ask(port, "AT+CGMM") == "\r\nRM500Q-GL\r\n\r\nOK\r\n"
assert port.in_waiting == 0
try:
    open_port(exclusive=True)
    raise SystemExit("the terminal is not exclusive")
except serial.SerialException:
    pass

# The rate means nothing on this terminal, and can be set all the same.
port.baudrate = 921600
ask(port, "AT")
ask(port, "AT+CMGF=1")
ask(port, 'AT+CMGS="+15551000101"', b"> ")
port.write(b"Hello from Python\x1a")
assert "+CMGS: 0" in port.read_until(b"OK\r\n").decode()
ask(port, "AT+CNMI=2,1")
ask(port, 'AT+CMGD=0,4')
print("waiting", flush=True)
line = port.read_until(b'+CMTI: "ME",0\r\n')
assert line == b'\r\n+CMTI: "ME",0\r\n', line
assert "\r\nHello, Python\r\n" in ask(port, "AT+CMGR=0")
port.send_break()
port.close()

# The same terminal once more, with flow control, by lines.
port = open_port(rtscts=True)
port.write(b"ATE1\rATI\r")
assert port.read_until(b"ATI\r\r\n").endswith(b"\r\nOK\r\nATI\r\r\n")
assert [port.readline() for _ in range(5)] == [b"Quectel\r\n", b"RM500Q-GL\r\n", b"Revision: RM500QGLABR11A06M4G\r\n", b"\r\n", b"OK\r\n"]
print("done")
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_on_pyserial() {
    // Debian's own Python has it, which need not be the first one.
    let mut python = None;
    for program in ["python3", "/usr/bin/python3"] {
        let Some(found) = installed(program) else { continue };
        let has_it = std::process::Command::new(&found).args(["-c", "import serial"]).stderr(Stdio::null()).status();
        if has_it.unwrap().success() {
            python = Some(found);
            break;
        }
    }
    let Some(python) = python else {
        eprintln!("skipped: no Python here has pyserial");
        return;
    };
    let lab = two_profiles().start().unwrap();
    let mut program = Client::start(&python, |command| {
        command.args(["-c", PROGRAM]).arg(lab.tty());
    });
    program.line("waiting").await;
    lab.modem().try_apply(|modem| modem.deliver_message("+4915112345678", "Hello, Python")).unwrap();
    let ended = program.end().await;
    assert!(ended.status.success() && ended.text.ends_with("done"), "{}", ended.text);
}

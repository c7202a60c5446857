//! The file commands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::stage::Stage;
use crate::FileStore;

#[test]
fn upload_and_download() {
    let mut stage = Stage::without_context("EC200U");
    stage.say("AT+CMEE=1");
    stage.say("AT+QFUPL=?");
    stage.say("AT+QFLDS=\"UFS\"");
    stage.say("AT+QFUPL=\"UFS:test.txt\",10");
    stage.send(b"0123456789");
    stage.say("AT+QFLST=\"*\"");
    stage.say("AT+QFUPL=\"test.txt\",10");
    stage.say("AT+QFDWL=\"UFS:test.txt\"");
    stage.say("AT+QFDWL=\"other.txt\"");
    stage.say("AT+QFUPL=\"acked.bin\",2048,5,1");
    stage.send(&[b'x'; 1024]);
    stage.send(&[b'x'; 1024]);
    stage.say("AT+QFLDS");
    stage.say("AT+QFLST=\"*.txt\"");
    stage.say("AT+QFDEL=\"test.txt\"");
    stage.say("AT+QFDEL=\"test.txt\"");
    // Without a size, what comes until a pause is the file.
    stage.say("AT+QFUPL=\"open.txt\"");
    stage.send(b"some text");
    stage.wait(Duration::from_secs(5));
    // A size that does not come, and a host that gives up.
    stage.say("AT+QFUPL=\"late.txt\",10,2");
    stage.send(b"0123");
    stage.wait(Duration::from_secs(2));
    stage.say("AT+QFUPL=\"left.txt\",100,60");
    stage.send(b"0123");
    stage.wait(Duration::from_secs(1));
    stage.send(b"+++");
    stage.wait(Duration::from_secs(1));
    stage.say("AT+QFLST");
    stage.say("AT+QFUPL=\"huge.txt\",9999999");
    stage.say("AT+QFUPL=\"a?b\",10");
    stage.say("AT+QFUPL=\"SD:a\",10");
    stage.say("AT+QFUPL=\"none\",0");
    stage.say("AT+QFDEL=\"*\"");
    stage.say("AT+QFLST");
    insta::assert_snapshot!(stage.log());
}

#[test]
fn open_files() {
    let mut stage = Stage::without_context("RM500Q-GL");
    stage.say("AT+CMEE=2");
    for command in ["OPEN", "READ", "WRITE", "SEEK", "POSITION", "TUCAT", "FLUSH", "CLOSE"] {
        stage.say(&format!("AT+QF{command}=?"));
    }
    stage.say("AT+QFOPEN=\"log\",2");
    stage.say("AT+QFOPEN=\"log\",0");
    stage.say("AT+QFOPEN?");
    stage.say("AT+QFOPEN=\"log\",0");
    stage.say("AT+QFWRITE=1,10");
    stage.send(b"0123456789");
    stage.say("AT+QFWRITE=1,4,1");
    stage.send(b"ab");
    stage.wait(Duration::from_secs(1));
    stage.say("AT+QFPOSITION=1");
    stage.say("AT+QFSEEK=1,0,0");
    stage.say("AT+QFREAD=1,5");
    stage.say("AT+QFSEEK=1,2,1");
    stage.say("AT+QFREAD=1");
    stage.say("AT+QFREAD=1,5");
    stage.say("AT+QFSEEK=1,1,2");
    stage.say("AT+QFSEEK=1,4");
    stage.say("AT+QFTUCAT=1");
    stage.say("AT+QFDEL=\"log\"");
    stage.say("AT+QFFLUSH=1");
    stage.say("AT+QFCLOSE=1");
    stage.say("AT+QFCLOSE=1");
    stage.say("AT+QFOPEN=\"log\",2");
    stage.say("AT+QFWRITE=1,1");
    stage.say("AT+QFREAD=1");
    stage.say("AT+CFUN=1,1");
    stage.say("AT+QFREAD=1");
    stage.say("AT+QFDWL=\"log\"");
    insta::assert_snapshot!(stage.log());
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl FileStore for Kept {
    fn load(&mut self) -> Vec<(String, Vec<u8>)> {
        self.0.lock().unwrap().clone().into_iter().collect()
    }

    fn save(&mut self, name: &str, content: &[u8]) {
        self.0.lock().unwrap().insert(name.to_owned(), content.to_vec());
    }

    fn remove(&mut self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }
}

#[test]
fn files_outlive_the_modem() {
    let kept = Kept::default();
    let mut stage = Stage::without_context("EC200U");
    stage.modem.keep_files(Box::new(kept.clone()));
    for name in ["a.pem", "b.pem"] {
        stage.say(&format!("AT+QFUPL=\"{name}\",3"));
        stage.send(b"PEM");
    }
    stage.say("AT+QFDEL=\"a.pem\"");
    let mut stage = Stage::without_context("EC200U");
    stage.modem.keep_files(Box::new(kept));
    assert_eq!(stage.say("AT+QFLST"), "\r\n+QFLST: \"b.pem\",3\r\n\r\nOK\r\n");
}

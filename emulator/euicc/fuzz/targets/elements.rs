//! Unprotected profile packages: each is interpreted or refused, in bounded time and memory.
#![no_main]

use std::sync::OnceLock;

use euicc::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    static METADATA: OnceLock<Vec<u8>> = OnceLock::new();
    // The ICCID of the header, when there is one, so that what comes after it is reached.
    let metadata = match rsp::saip::ProfileHeader::of_package(data) {
        Ok(header) => fuzzing::metadata(header.iccid),
        Err(_) => METADATA.get_or_init(|| fuzzing::metadata(fuzzing::iccid())).clone(),
    };
    let _ = euicc::PreinstalledProfile::new(&metadata, data, false);
});

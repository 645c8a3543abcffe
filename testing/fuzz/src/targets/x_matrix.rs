//! `gatehouse_federation::XMatrix`: who a server says that it is, and how it proves it.

use gatehouse_federation::XMatrix;
use ruma::ServerName;

/// Longer ones are nobody's.
const MAX_BYTES: usize = 2_048;

pub(super) const CORPUS: &[&[u8]] = &[
    b"X-Matrix origin=\"a.example:80\",destination=\"b.example\",key=\"ed25519:x\",sig=\"AB+/\"",
    b"x-matrix origin=a.example,destination=[::1]:8448,key=\"ed25519:x\",sig=AB+/",
    b"X-Matrix  ORIGIN = \"a.example\" , extra=1, key=\"ed\\25519:\\\"x\\\\\", sig=\"\"",
    b"X-Matrix origin=127.0.0.1,key=,sig=",
    b"X-Matrix origin=\"a.example,key=x,sig=y",
    b"X-Matrix origin=a.example,origin=b.example,key=x,sig=y",
];

/// What is read is within its bound, names servers, says each thing once, and reads the same when it is written again.
pub fn x_matrix(data: &[u8]) -> bool {
    let Some(header) = std::str::from_utf8(data).ok() else {
        return false;
    };
    let Some(read) = XMatrix::parse(header) else {
        return false;
    };
    assert!(header.len() <= MAX_BYTES);
    let servers = std::iter::once(&read.origin).chain(&read.destination);
    for server in servers {
        assert!(ServerName::parse(server.as_str()).is_ok(), "{server}");
    }
    let written = written(&read);
    if written.len() <= MAX_BYTES - 10 {
        assert_eq!(XMatrix::parse(&written).as_ref(), Some(&read), "{written}");
        assert_eq!(XMatrix::parse(&format!("{written},sig=x")), None, "said twice");
    }
    true
}

fn written(header: &XMatrix) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let destination = header.destination.as_ref();
    let destination = destination.map_or_else(String::new, |name| {
        format!(",destination={}", quoted(name.as_str()))
    });
    format!(
        "X-Matrix origin={}{destination},key={},sig={}",
        quoted(header.origin.as_str()),
        quoted(&header.key),
        quoted(&header.sig)
    )
}

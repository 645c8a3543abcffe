//! `gatehouse_events::Pdu`: what other servers send as an event.

use gatehouse_events::{Pdu, RoomVersion, SigningKey, build::MAX_PDU_BYTES};
use ruma::{room_id, server_name, signatures::PublicKeyMap};

use super::halves;

pub(super) const CORPUS: &[&[u8]] = &[
    b"1\xFF{\"auth_events\":[[\"$a:s\",{\"sha256\":\"x\"}]],\"content\":{\"body\":\"x\",\"n\":1.5},\"depth\":7,\"event_id\":\"$e:s\",\
      \"hashes\":{\"sha256\":\"x\"},\"origin_server_ts\":5,\"prev_events\":[[\"$a:s\",{}]],\"room_id\":\"!r:s\",\"sender\":\"@a:s\",\
      \"signatures\":{\"s\":{\"ed25519:1\":\"x\"}},\"type\":\"m.room.message\",\"unsigned\":{\"age\":1}}",
    b"5\xFF{\"auth_events\":[\"$a\"],\"content\":{\"membership\":\"join\"},\"depth\":9007199254740991,\"hashes\":{\"sha256\":\"x\"},\
      \"origin_server_ts\":5,\"prev_events\":[\"$a\"],\"room_id\":\"!r:s\",\"sender\":\"@a:s\",\"state_key\":\"@a:s\",\
      \"signatures\":{},\"type\":\"m.room.member\"}",
    b"10\xFF{\"auth_events\":[],\"content\":{\"membership\":\"join\",\"join_authorised_via_users_server\":\"@b:t\"},\"depth\":1,\
      \"hashes\":{\"sha256\":\"x\"},\"origin_server_ts\":5,\"prev_events\":[],\"room_id\":\"!r:s\",\"sender\":\"@a:s\",\
      \"state_key\":\"@a:s\",\"signatures\":{},\"type\":\"m.room.member\"}",
    b"11\xFF{\"auth_events\":[\"$a\",\"$b\"],\"content\":{\"redacts\":\"$c\"},\"depth\":3,\"hashes\":{\"sha256\":\"x\"},\
      \"origin_server_ts\":5,\"prev_events\":[\"$a\"],\"redacts\":5,\"room_id\":\"!r:s\",\"sender\":\"@a:s\",\
      \"signatures\":{\"s\":{\"ed25519:1\":\"x\"}},\"type\":\"m.room.redaction\"}",
];

/// What is taken is canonical and within the limits, reads as itself, keeps its id when it is signed, and is not taken for
/// signed by somebody whose key it does not have.
pub fn pdu(data: &[u8]) -> bool {
    let (version, raw) = halves(data);
    let (Ok(version), Ok(raw)) = (std::str::from_utf8(version), std::str::from_utf8(raw)) else {
        return false;
    };
    let Some(version) = version.parse().ok().or_else(|| RoomVersion::all().last()) else {
        return false;
    };
    let Ok(mut pdu) = Pdu::parse(raw, room_id!("!r:s"), version) else {
        return false;
    };
    assert_reads_as_itself(&pdu);
    let id = pdu.event.event_id.clone();
    if let Ok(key) = SigningKey::from_seed([7; 32], "a_fuzz")
        && pdu.add_signature_of(server_name!("s"), &key).is_ok()
    {
        assert_reads_as_itself(&pdu);
        assert_eq!(pdu.event.event_id, id);
    }
    let needed = pdu.signatures_needed().unwrap_or_default();
    let verified = pdu.verify(&PublicKeyMap::new());
    assert!(
        verified.is_err() || needed.is_empty(),
        "nobody's key has signed it"
    );
    true
}

fn assert_reads_as_itself(pdu: &Pdu) {
    assert!(pdu.json.len() <= MAX_PDU_BYTES);
    let read = Pdu::parse(&pdu.json, &pdu.event.room_id, pdu.version()).ok();
    assert_eq!(read.as_ref().map(|read| &read.json), Some(&pdu.json));
    let ids = read.map(|read| (read.event.event_id, read.reference_hash));
    assert_eq!(
        ids,
        Some((pdu.event.event_id.clone(), pdu.reference_hash.clone()))
    );
    assert!(pdu.event.depth < 1 << 53, "{}", pdu.event.depth);
    assert!(pdu.event.prev_events.len() <= 20 && pdu.event.auth_events.len() <= 10);
}

//! PDUs: golden ones, and what is done to them on the way.

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, RoomId, room_id, serde::Base64, server_name,
    signatures::PublicKeyMap, user_id,
};
use serde_json::{Value, json};

use crate::{
    EventBuilder, NewEvent, Parents, Pdu, PduError, RoomVersion, SigningKey, build::MAX_PDU_BYTES,
    json::JsonInputError,
};

/// The key of the examples (appendices, "Cryptographic test vectors").
const EXAMPLE_SEED: &str = "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1";

fn version(name: &str) -> RoomVersion {
    name.parse().unwrap()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32], "a_1").unwrap()
}

fn keys<const N: usize>(of: [(&str, &SigningKey); N]) -> PublicKeyMap {
    let of = of.into_iter().map(|(server, key)| {
        let public = Base64::new(key.public_key().to_vec());
        (server.to_owned(), [(key.key_id(), public)].into())
    });
    of.collect()
}

/// A message of alice in `!r:s` (in version 12: in the room that it says).
fn built(version: RoomVersion, room_id: &RoomId) -> Value {
    let key = key(1);
    let builder = EventBuilder {
        version,
        server_name: server_name!("s"),
        key: &key,
    };
    let content = json!({"body": "x", "msgtype": "m.text"});
    let new = NewEvent {
        kind: "m.room.message".into(),
        state_key: None,
        content: serde_json::from_value(content).unwrap(),
        redacts: None,
    };
    let prev = "$p:s".try_into().unwrap();
    let parents = Parents {
        prev_events: vec![prev],
        auth_events: Vec::new(),
        depth: 7,
        hashes: Vec::new(),
    };
    let built = builder
        .build(room_id, user_id!("@alice:s"), new, parents, 5)
        .unwrap();
    serde_json::from_str(&built.pdu).unwrap()
}

fn room_of(version: RoomVersion) -> &'static RoomId {
    if version == self::version("12") {
        room_id!("!hash")
    } else {
        room_id!("!r:s")
    }
}

fn parse(pdu: &Value, version: RoomVersion) -> Result<Pdu, PduError> {
    Pdu::parse(&pdu.to_string(), room_of(version), version)
}

/// Hashes and signs what was changed anew, as a server would that means it.
fn signed_again(pdu: &Value, version: RoomVersion, by: &SigningKey) -> Value {
    let mut object: CanonicalJsonObject = serde_json::from_value(pdu.clone()).unwrap();
    object.remove("signatures");
    ruma::signatures::hash_and_sign_event("s", by, &mut object, &version.rules().redaction).unwrap();
    serde_json::to_value(object).unwrap()
}

#[test]
fn the_specifications_example_is_authentic() {
    let key = SigningKey::from_line(&format!("ed25519 1 {EXAMPLE_SEED}")).unwrap();
    let example = json!({
        "auth_events": [], "content": {}, "depth": 3,
        "hashes": {"sha256": "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos"},
        "origin": "domain", "origin_server_ts": 1_000_000, "prev_events": [], "room_id": "!x:domain",
        "sender": "@a:domain", "type": "X", "unsigned": {"age_ts": 1_000_000},
        "signatures": {"domain": {"ed25519:1":
            "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg"}},
    });
    let pdu = Pdu::parse(&example.to_string(), room_id!("!x:domain"), version("4")).unwrap();
    let keys = keys([("domain", &key)]);
    assert!(pdu.clone().verify(&keys).is_ok());
    assert!(!pdu.json.contains("unsigned"));
    let needed = pdu.signatures_needed().unwrap();
    assert_eq!(needed.len(), 1);
    assert_eq!(
        (needed[0].server.as_str(), needed[0].valid_at_ms),
        ("domain", None)
    );
    assert_eq!(needed[0].key_ids, ["ed25519:1"]);
}

#[test]
fn what_is_built_is_taken_in_every_version() {
    for version in RoomVersion::all() {
        let pdu = built(version, room_of(version));
        let parsed = parse(&pdu, version).unwrap();
        assert_eq!(parsed.json, pdu.to_string(), "{version}: canonical already");
        assert_eq!(parsed.event.depth, 7);
        let verified = parsed.verify(&keys([("s", &key(1))])).unwrap();
        assert_eq!(verified.json, pdu.to_string(), "{version}");
    }
}

#[test]
fn the_create_event_of_version_12_is_its_room() {
    let key = key(1);
    let version = version("12");
    let builder = EventBuilder {
        version,
        server_name: server_name!("s"),
        key: &key,
    };
    let create = builder
        .build_create(None, user_id!("@alice:s"), CanonicalJsonObject::new(), 5)
        .unwrap();
    let parsed = Pdu::parse(&create.pdu, &create.event.room_id, version).unwrap();
    assert_eq!(parsed.event.event_id, create.event.event_id);
    let other = Pdu::parse(&create.pdu, room_id!("!other"), version);
    assert_eq!(other.unwrap_err(), PduError::WrongRoom);

    let mut named: Value = serde_json::from_str(&create.pdu).unwrap();
    named["room_id"] = create.event.room_id.as_str().into();
    let named = Pdu::parse(&named.to_string(), &create.event.room_id, version);
    assert_eq!(named.unwrap_err(), PduError::Field("room_id"));
}

#[test]
fn an_event_of_version_12_does_not_cite_its_create_event() {
    let version = version("12");
    let mut pdu = built(version, room_of(version));
    pdu["auth_events"] = json!(["$hash"]);
    assert_eq!(parse(&pdu, version).unwrap_err(), PduError::Field("auth_events"));
    pdu["auth_events"] = json!(["$other"]);
    parse(&pdu, version).unwrap();
}

#[test]
fn fields_have_types_and_sizes() {
    let long = "x".repeat(256);
    let long_id = format!("@{long}:s");
    let wrong = [
        ("type", json!(null)),
        ("type", json!(long)),
        ("sender", json!("alice")),
        ("sender", json!(long_id)),
        ("state_key", json!(null)),
        ("state_key", json!(5)),
        ("state_key", json!(long)),
        ("content", json!([])),
        ("hashes", json!({})),
        ("hashes", json!({"sha256": 1})),
        ("signatures", json!([])),
        ("origin_server_ts", json!(-1)),
        ("origin_server_ts", json!("5")),
        ("prev_events", json!("$a")),
        ("prev_events", json!([5])),
        ("prev_events", json!(["a"])),
        ("prev_events", json!(vec!["$a:s"; 21])),
        ("auth_events", json!(vec!["$a:s"; 11])),
        ("prev_events", json!([["$a:s", {}]])),
        ("auth_events", json!({"$a": 1})),
        ("depth", json!("7")),
    ];
    for (field, value) in wrong {
        let mut pdu = built(version("10"), room_id!("!r:s"));
        pdu[field] = value.clone();
        assert_eq!(
            parse(&pdu, version("10")).unwrap_err(),
            PduError::Field(field),
            "{value}"
        );
        pdu.as_object_mut().unwrap().remove(field);
        assert_eq!(
            parse(&pdu, version("10")).is_ok(),
            field == "state_key",
            "{field}"
        );
    }
    let mut pdu = built(version("1"), room_id!("!r:s"));
    pdu["prev_events"] = json!(["$a:s"]);
    assert_eq!(
        parse(&pdu, version("1")).unwrap_err(),
        PduError::Field("prev_events"),
        "without hashes"
    );
    for id in ["$nobody", "no id", ""] {
        let mut pdu = built(version("1"), room_id!("!r:s"));
        pdu["event_id"] = id.into();
        assert_eq!(
            parse(&pdu, version("1")).unwrap_err(),
            PduError::Field("event_id"),
            "{id}"
        );
    }
}

#[test]
fn e25_e26_depths_beyond_what_json_holds_are_refused() {
    for version in RoomVersion::all() {
        let mut pdu = built(version, room_of(version));
        for depth in [
            json!(1_u64 << 53),
            json!(i64::MAX),
            json!(u64::MAX),
            json!(1e300),
            json!(-1),
        ] {
            pdu["depth"] = depth.clone();
            assert!(parse(&pdu, version).is_err(), "{version} {depth}");
        }
        pdu["depth"] = json!((1_u64 << 53) - 1);
        parse(&pdu, version).unwrap();
    }
}

#[test]
fn an_event_of_another_room_is_refused() {
    for version in RoomVersion::all() {
        let pdu = built(version, room_id!("!elsewhere:s")).to_string();
        let refused = Pdu::parse(&pdu, room_of(version), version);
        assert_eq!(refused.unwrap_err(), PduError::WrongRoom);
    }
}

#[test]
fn the_limit_is_65536_bytes_exactly() {
    let version = version("10");
    let mut pdu = built(version, room_of(version));
    let spare = MAX_PDU_BYTES - pdu.to_string().len();
    pdu["content"]["body"] = "x".repeat(spare + 1).into();
    let taken = parse(&pdu, version).unwrap();
    assert_eq!(taken.json.len(), MAX_PDU_BYTES);
    // Only what is signed counts.
    pdu["unsigned"] = json!({"a": "x".repeat(1_000)});
    parse(&pdu, version).unwrap();
    pdu["content"]["body"] = "x".repeat(spare + 2).into();
    assert_eq!(parse(&pdu, version).unwrap_err(), PduError::TooLarge);
}

#[test]
fn hostile_json_is_no_pdu() {
    let nested = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let check = |raw: &str, error: JsonInputError| {
        let refused = Pdu::parse(raw, room_id!("!r:s"), version("10")).unwrap_err();
        assert_eq!(refused, PduError::Json(error), "{raw}");
    };
    check(&nested, JsonInputError::TooDeep);
    check("[]", JsonInputError::NotAnObject);
    check("{", JsonInputError::NotJson);
    check(
        r#"{"$serde_json::private::RawValue":"1"}"#,
        JsonInputError::ReservedKey,
    );
    let padded = format!("{{{}}}", " ".repeat(1_000_000));
    assert_eq!(
        Pdu::parse(&padded, room_id!("!r:s"), version("10")).unwrap_err(),
        PduError::TooLarge
    );
}

#[test]
fn e27_numbers_are_strict_from_version_6_on() {
    for number in [
        json!(1.5),
        json!(1.0),
        json!(1e30),
        json!(1_u64 << 53),
        json!(-(1_i64 << 53)),
    ] {
        for version in RoomVersion::all() {
            let mut pdu = built(version, room_of(version));
            pdu["content"]["n"] = number.clone();
            let strict = version.rules().authorization.strict_canonical_json;
            match parse(&pdu, version) {
                Ok(pdu) => {
                    assert!(!strict, "{version} {number}");
                    assert_eq!(pdu.event.content.get(), "{}", "kept redacted");
                    let verified = pdu.verify(&keys([("s", &key(1))])).unwrap();
                    assert_eq!(verified.event.content.get(), "{}");
                }
                Err(error) => {
                    assert!(strict, "{version} {number}");
                    assert_eq!(error, PduError::Json(JsonInputError::Number));
                }
            }
        }
    }
    // What redaction keeps would have to be hashed.
    let mut pdu = built(version("5"), room_id!("!r:s"));
    pdu["type"] = "m.room.power_levels".into();
    pdu["content"] = json!({"ban": 50.5});
    assert_eq!(
        parse(&pdu, version("5")).unwrap_err(),
        PduError::Json(JsonInputError::Number)
    );
}

#[test]
fn e04_what_is_changed_on_the_way_is_found_out() {
    for version in RoomVersion::all() {
        let keys = keys([("s", &key(1))]);
        let pdu = built(version, room_of(version));
        // What redaction keeps is signed.
        let mut depth = pdu.clone();
        depth["depth"] = json!(8);
        assert_eq!(
            parse(&depth, version).unwrap().verify(&keys).unwrap_err(),
            PduError::Signature,
            "{version}"
        );
        // The rest is hashed: it is dropped, and the event is another's no more than before.
        let mut body = pdu.clone();
        body["content"]["body"] = "y".into();
        let taken = parse(&body, version).unwrap().verify(&keys).unwrap();
        assert_eq!(taken.event.content.get(), "{}", "{version}");
        assert!(!taken.json.contains("body"), "{version}");
        assert_eq!(
            taken.event.event_id,
            parse(&pdu, version).unwrap().event.event_id,
            "{version}"
        );

        let other = self::keys([("s", &key(2))]);
        assert_eq!(
            parse(&pdu, version).unwrap().verify(&other).unwrap_err(),
            PduError::Signature,
            "{version}"
        );
        let none = PublicKeyMap::from([("s".to_owned(), [].into())]);
        for none in [none, PublicKeyMap::new()] {
            let refused = parse(&pdu, version).unwrap().verify(&none).unwrap_err();
            assert_eq!(refused, PduError::NoKey("s".to_owned()), "{version}");
        }
        let mut unsigned = pdu.clone();
        unsigned["signatures"] = json!({"t": pdu["signatures"]["s"]});
        let unsigned = parse(&unsigned, version).unwrap();
        assert_eq!(
            unsigned.signatures_needed().unwrap()[0].key_ids,
            Vec::<String>::new()
        );
        assert_eq!(
            unsigned.verify(&keys).unwrap_err(),
            PduError::Unsigned("s".to_owned()),
            "{version}"
        );
    }
}

#[test]
fn e07_keys_must_have_been_valid_when_the_event_was_made_from_version_5_on() {
    for version in RoomVersion::all() {
        let pdu = parse(&built(version, room_of(version)), version).unwrap();
        let at = pdu.signatures_needed().unwrap()[0].valid_at_ms;
        let enforced = !["1", "2", "3", "4"].contains(&version.name());
        assert_eq!(at, enforced.then_some(5), "{version}");
    }
}

/// A membership event of this content, as bob of the server `t` would sign it with key 2.
fn membership(version: RoomVersion, content: Value, state_key: &str) -> Value {
    let mut pdu = built(version, room_of(version));
    pdu["type"] = "m.room.member".into();
    pdu["state_key"] = state_key.into();
    pdu["content"] = content;
    pdu["sender"] = "@bob:t".into();
    if version.rules().event_format.require_event_id {
        pdu["event_id"] = "$e:u".into();
    }
    pdu
}

#[test]
fn who_must_sign_depends_on_the_event() {
    let servers = |version: RoomVersion, content: Value| -> Vec<String> {
        let pdu = parse(&membership(version, content, "@eve:v"), version).unwrap();
        let needed = pdu.signatures_needed().unwrap().into_iter();
        needed.map(|needed| needed.server.to_string()).collect()
    };
    assert_eq!(
        servers(version("1"), json!({"membership": "join"})),
        ["t", "u"],
        "that of the id as well"
    );
    assert_eq!(servers(version("10"), json!({"membership": "join"})), ["t"]);
    let restricted = json!({"membership": "join", "join_authorised_via_users_server": "@a:w"});
    assert_eq!(servers(version("10"), restricted.clone()), ["t", "w"]);
    assert_eq!(
        servers(version("7"), restricted),
        ["t"],
        "no restricted joins yet"
    );
    let third_party = json!({"membership": "invite", "third_party_invite": {"signed": {}}});
    assert_eq!(servers(version("10"), third_party), Vec::<String>::new());
}

#[test]
fn our_signature_is_added_to_theirs() {
    let version = version("10");
    let content = json!({"membership": "invite"});
    let theirs = signed_again(&membership(version, content, "@alice:s"), version, &key(2));
    let mut pdu = parse(&theirs, version).unwrap();
    let id = pdu.event.event_id.clone();
    pdu.add_signature_of(server_name!("w"), &key(3)).unwrap();
    let sent: Value = serde_json::from_str(&pdu.json).unwrap();
    assert_eq!(sent["signatures"]["s"], theirs["signatures"]["s"]);
    assert!(sent["signatures"]["w"]["ed25519:a_1"].is_string());
    assert_eq!(parse(&sent, version).unwrap().event.event_id, id);
    assert_eq!(
        pdu.object()
            .get("signatures")
            .and_then(CanonicalJsonValue::as_object)
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn fields_that_a_version_does_not_have_may_hold_anything() {
    let version = version("11");
    let mut pdu = built(version, room_of(version));
    pdu["redacts"] = json!({"no": "id"});
    pdu["event_id"] = json!(5);
    assert_eq!(parse(&pdu, version).unwrap().event.redacts, None);
}

#[test]
fn a_template_has_neither_hashes_nor_signatures() {
    let key = key(1);
    for version in RoomVersion::all() {
        let builder = EventBuilder {
            version,
            server_name: server_name!("s"),
            key: &key,
        };
        let new = NewEvent {
            kind: "m.room.member".into(),
            state_key: Some("@bob:t".to_owned()),
            content: serde_json::from_value(json!({"membership": "join"})).unwrap(),
            redacts: None,
        };
        let template = builder
            .template(room_of(version), user_id!("@bob:t"), new, &Parents::default(), 5)
            .unwrap();
        let fields: Vec<_> = template.keys().map(String::as_str).collect();
        assert_eq!(
            fields,
            [
                "auth_events",
                "content",
                "depth",
                "origin_server_ts",
                "prev_events",
                "room_id",
                "sender",
                "state_key",
                "type"
            ]
        );
    }
}

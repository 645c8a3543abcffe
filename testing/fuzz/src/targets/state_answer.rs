//! `gatehouse_federation::answer_splitter`: answers about a room's state, taken apart as they come.

use gatehouse_federation::answer_splitter::{AnswerSplitter, Expected, Piece, SplitError};
use serde::Deserialize;
use serde_json::value::RawValue;

pub(super) const CORPUS: &[&[u8]] = &[
    br#"{"pdus":[{"type":"m.room.create","content":{"a":"}]\"\\"}},{"b":[[],{}]}],"auth_chain":[]}"#,
    br#"{"auth_chain":[{}] , "pdus" : [ {"depth":-1.5e3} , null ],"origin":"a","x":[[{"pdus":[1]}]]}"#,
    br#"{"event":{"a":1},"pd\u0075s":["\ud83d\ude00"],"auth_chain":[true,false]}"#,
    br#"{"pdus":[],"pdus":[],"auth_chain":[]}"#,
    br#"{"a":"\u0022]}","":0,"auth_chain":[{"event":2}],"pdus":[]}"#,
    b" {\n\t} ",
];

const EXPECTED: Expected = Expected {
    lists: &["pdus", "auth_chain"],
    fields: &["event"],
    in_pair: false,
    max_element: 64,
    max_field: 32,
    max_elements: 6,
};

/// However the bytes come, the same comes of them; and what a parser makes of the whole, within the bounds.
pub fn state_answer(data: &[u8]) -> bool {
    let whole = split(&[data]);
    let one_by_one: Vec<&[u8]> = data.chunks(1).collect();
    assert_eq!(split(&one_by_one), whole, "byte by byte");
    let (before, after) = data.split_at(data.len() / 2);
    assert_eq!(split(&[before, after]), whole, "in halves");
    if let Ok(pieces) = &whole {
        assert!(pieces.len() <= EXPECTED.max_elements + 1, "too many pieces");
        for (name, json) in pieces {
            let is_element = *name != "event";
            let most = if is_element {
                EXPECTED.max_element
            } else {
                EXPECTED.max_field
            };
            assert!(json.len() <= most, "too long a piece");
            assert!(
                serde_json::from_str::<&RawValue>(json).is_ok(),
                "a piece is no JSON"
            );
        }
    }
    // Parsers take lists for objects, too.
    let is_object = data.trim_ascii_start().starts_with(b"{");
    if is_object && let Ok(parsed) = serde_json::from_slice::<Answer>(data) {
        let count = parsed.pdus.len() + parsed.auth_chain.len();
        match whole {
            Err(error) => assert_eq!(error, SplitError::TooLarge, "a right answer is refused"),
            Ok(mut pieces) => {
                pieces.retain(|(name, _)| *name != "event");
                assert_eq!(pieces.len(), count, "something is missing");
                let of = |list: &'static str| -> Vec<&str> {
                    let pieces = pieces.iter().filter(|(name, _)| *name == list);
                    pieces.map(|(_, json)| json.as_str()).collect()
                };
                assert_eq!(of("pdus"), texts(&parsed.pdus));
                assert_eq!(of("auth_chain"), texts(&parsed.auth_chain));
                return true;
            }
        }
    }
    false
}

/// The answer as a parser reads it.
#[derive(Deserialize)]
struct Answer {
    pdus: Vec<Box<RawValue>>,
    auth_chain: Vec<Box<RawValue>>,
    #[expect(dead_code, reason = "it may not stand there twice")]
    event: Option<Box<RawValue>>,
}

fn texts(pdus: &[Box<RawValue>]) -> Vec<&str> {
    pdus.iter().map(|pdu| pdu.get()).collect()
}

fn split(chunks: &[&[u8]]) -> Result<Vec<(&'static str, String)>, SplitError> {
    let mut splitter = AnswerSplitter::new(EXPECTED);
    let mut pieces = Vec::new();
    for chunk in chunks {
        splitter.feed(chunk, &mut pieces)?;
    }
    splitter.finish()?;
    Ok(pieces
        .into_iter()
        .map(|piece| match piece {
            Piece::Element(name, json) | Piece::Field(name, json) => (name, json.get().to_owned()),
        })
        .collect())
}

//! The same parts, however the bytes come.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const STATE: Expected = Expected {
    lists: &["pdus", "auth_chain"],
    fields: &["event"],
    in_pair: false,
    max_element: 1_000,
    max_field: 200,
    max_elements: 50,
};

/// What is handed on, as text: the name, `[]` for an element, and the value.
fn split(expected: Expected, chunks: &[&[u8]]) -> Result<Vec<String>, SplitError> {
    let mut splitter = AnswerSplitter::new(expected);
    let mut pieces = Vec::new();
    for chunk in chunks {
        splitter.feed(chunk, &mut pieces)?;
    }
    splitter.finish()?;
    Ok(pieces
        .into_iter()
        .map(|piece| match piece {
            Piece::Element(list, json) => format!("{list}[] {json}"),
            Piece::Field(field, json) => format!("{field} {json}"),
        })
        .collect())
}

fn whole(json: &str) -> Result<Vec<String>, SplitError> {
    split(STATE, &[json.as_bytes()])
}

/// However the bytes are dealt out, the same comes of it.
fn check(expected: Expected, json: &str, parts: &[&str]) {
    let bytes = json.as_bytes();
    assert_eq!(split(expected, &[bytes]).unwrap(), parts, "{json}");
    let one_by_one: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(
        split(expected, &one_by_one).unwrap(),
        parts,
        "{json}, byte by byte"
    );
    for cut in 0..bytes.len() {
        let (before, after) = bytes.split_at(cut);
        assert_eq!(
            split(expected, &[before, after]).unwrap(),
            parts,
            "{json}, cut at {cut}"
        );
        // What ends early is never taken for whole.
        assert!(split(expected, &[before]).is_err(), "{json}, ending at {cut}");
    }
}

#[test]
fn elements_are_handed_on_as_they_are() {
    check(
        STATE,
        r#"{"pdus":[{"a":"}]\"\\"},{"b":[{},[]]}],"auth_chain":[]}"#,
        &[r#"pdus[] {"a":"}]\"\\"}"#, r#"pdus[] {"b":[{},[]]}"#],
    );
    check(
        STATE,
        " {\t\"auth_chain\" : [ 1 ,-2.5e+3\n, null, \"x\" ] , \"junk\":{\"pdus\":[9]},\r\n\"pdus\":[ ]}",
        &[
            "auth_chain[] 1",
            "auth_chain[] -2.5e+3",
            "auth_chain[] null",
            "auth_chain[] \"x\"",
        ],
    );
    check(
        STATE,
        r#"{"event":{"é":"ü"},"x":"\u0022]","y":17,"pd\u0075s":[{}],"auth_chain":[{ }]}"#,
        &["event {\"é\":\"ü\"}", "pdus[] {}", "auth_chain[] { }"],
    );
    let pair = Expected {
        in_pair: true,
        ..STATE
    };
    check(pair, r#"[200, {"pdus":[{}],"auth_chain":[]}]"#, &["pdus[] {}"]);
}

#[test]
fn what_is_not_of_the_form_is_refused() {
    for json in [
        "[]",
        "1",
        "\"pdus\"",
        "{]",
        "{,}",
        "{\"pdus\":[],}",
        "{\"pdus\" []}",
        "{\"pdus\":{}}",
        "{\"pdus\":null}",
        "{\"pdus\":[],\"pdus\":[]}",
        "{\"pdus\":[],\"pd\\u0075s\":[]}",
        "{\"pdus\":[{}{}]}",
        "{\"pdus\":[{},]}",
        "{\"pdus\":[,{}]}",
        "{\"pdus\":[{]]}",
        "{\"pdus\":[tru]}",
        "{\"pdus\":[{\"a\":01}]}",
        "{\"pdus\":[\"\n\"]}",
        "{\"pdus\":[x]}",
        "{\"pdus\":[]}{}",
        "{\"pdus\":[]} x",
        "{\"a\\x\":1}",
        "[200,{\"pdus\":[],\"auth_chain\":[]}]",
    ] {
        assert_eq!(whole(json), Err(SplitError::Malformed), "{json}");
    }
    for json in [
        "",
        "{}",
        "{\"pdus\":[]}",
        "{\"pdus\":[],\"auth_chain\":[]",
        "{\"pdus\":[{\"auth_chain\":[]}]}",
    ] {
        assert_eq!(whole(json), Err(SplitError::Incomplete), "{json}");
    }
    let pair = Expected {
        in_pair: true,
        ..STATE
    };
    for json in [
        "{\"pdus\":[],\"auth_chain\":[]}",
        "[{\"pdus\":[],\"auth_chain\":[]}]",
    ] {
        assert_eq!(
            split(pair, &[json.as_bytes()]),
            Err(SplitError::Malformed),
            "{json}"
        );
    }
    assert!(
        whole(r#"{"pdus":["\ud800"],"auth_chain":[]}"#).is_ok(),
        "for whoever reads it to refuse"
    );
    let no_text = [b"{\"pdus\":[\"".as_slice(), &[0xFF], b"\"],\"auth_chain\":[]}"];
    assert_eq!(split(STATE, &no_text), Err(SplitError::Malformed));
}

#[test]
fn x07_what_is_too_long_or_too_much_is_refused_before_it_is_kept() {
    let long = "a".repeat(STATE.max_element);
    assert_eq!(whole(&format!("{{\"pdus\":[\"{long}")), Err(SplitError::TooLarge));
    assert_eq!(whole(&format!("{{\"event\":\"{long}")), Err(SplitError::TooLarge));
    let many = "1,".repeat(STATE.max_elements / 2);
    let lists = |more: &str| format!("{{\"pdus\":[{many}1],\"auth_chain\":[{many}1{more}]}}");
    let fits = Expected {
        max_elements: STATE.max_elements + 2,
        ..STATE
    };
    assert_eq!(
        split(fits, &[lists("").as_bytes()]).unwrap().len(),
        fits.max_elements
    );
    assert_eq!(split(fits, &[lists(",1").as_bytes()]), Err(SplitError::TooLarge));

    // What nobody wants is never kept, however long, and however deep.
    let mut splitter = AnswerSplitter::new(STATE);
    let mut pieces = Vec::new();
    splitter.feed(b"{\"junk\":", &mut pieces).unwrap();
    for _ in 0..1_000 {
        splitter.feed(&[b'['; 1_000], &mut pieces).unwrap();
    }
    assert!(splitter.kept.capacity() <= STATE.max_element);
    assert!(pieces.is_empty());
    // A name, too, is read but not kept.
    let mut splitter = AnswerSplitter::new(STATE);
    splitter.feed(b"{\"", &mut pieces).unwrap();
    splitter.feed(&vec![b'\\'; 100_000], &mut pieces).unwrap();
    assert!(splitter.name.len() <= MAX_NAME);
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_answer_in_any_chunks_gives_the_elements_that_a_parser_gives(
        pdus in proptest::collection::vec(json_value(), 0..6),
        auth_chain in proptest::collection::vec(json_value(), 0..6),
        junk in json_value(),
        pretty in any::<bool>(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let generous = Expected { max_element: usize::MAX, ..STATE };
        let answer = json!({ "pdus": pdus, "junk": junk, "auth_chain": auth_chain });
        let text = if pretty { serde_json::to_string_pretty(&answer) } else { serde_json::to_string(&answer) }.unwrap();
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        let mut splitter = AnswerSplitter::new(generous);
        let mut pieces = Vec::new();
        for chunk in &chunks {
            splitter.feed(chunk, &mut pieces).unwrap();
        }
        prop_assert_eq!(splitter.finish(), Ok(()));
        let mut lists = (Vec::new(), Vec::new());
        for piece in pieces {
            match piece {
                Piece::Element("pdus", json) => lists.0.push(serde_json::from_str::<Value>(json.get()).unwrap()),
                Piece::Element("auth_chain", json) => lists.1.push(serde_json::from_str(json.get()).unwrap()),
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert_eq!(lists, (pdus, auth_chain));
    }

    #[test]
    fn no_bytes_do_harm(bytes in proptest::collection::vec(prop_oneof![
        Just(b'{'), Just(b'['), Just(b'"'), Just(b'}'), Just(b']'), Just(b','), Just(b':'), Just(b'\\'), any::<u8>()
    ], 0..200), cut in any::<prop::sample::Index>()) {
        let whole = split(STATE, &[&bytes]);
        let (before, after) = bytes.split_at(cut.index(bytes.len() + 1));
        prop_assert_eq!(split(STATE, &[before, after]), whole);
    }
}

//! The query of a request, as `gatehouse_http` reads it.

use gatehouse_http::query::{query_value, query_values};

pub(super) const CORPUS: &[&[u8]] = &[
    b"from=t1&to=t2&limit=10&dir=b",
    b"name=%7B%22a%22%3Anull%7D&name=&name",
    b"server_name=a&server_name=b+c&via=%E2%98%95",
    b"name=%&name=%zz&name=%ff",
    b"",
];

/// The first value is the value; what is encoded is read back.
pub fn query(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let values = query_values(text, "name");
    assert_eq!(query_value(text, "name").as_ref(), values.first());
    let escaped: String = form_urlencoded::byte_serialize(data).collect();
    let whole = format!("a=b&name={escaped}&c=d");
    assert_eq!(query_values(&whole, "name"), [text]);
    !values.is_empty()
}

//! Takes the answer to a question about a room's state apart as it comes: an object with long lists of events.
//!
//! Such an answer may be a hundred megabytes, so that it is never in memory as a whole: each element of a list is handed on
//! as soon as its last byte is here. Only the outermost object is looked at. What an element is worth is for whoever
//! takes it to see: here it is nothing but JSON of a bounded length.

mod value;

use serde_json::value::RawValue;
use thiserror::Error;

use self::value::ValueScan;

/// Of a name that is longer than any that matters, the beginning is enough.
const MAX_NAME: usize = 64;

/// What is expected of an answer, and what it may cost.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// The names of the lists: each must be there, once.
    pub lists: &'static [&'static str],
    /// The names of other values that are handed on, where they are there.
    pub fields: &'static [&'static str],
    /// Whether the object is the second of a pair whose first is a status (`send_join`, version 1).
    pub in_pair: bool,
    /// How long an element of a list may be, in bytes.
    pub max_element: usize,
    /// How long another value may be.
    pub max_field: usize,
    /// How many elements the lists may have together.
    pub max_elements: usize,
}

/// A part of an answer.
#[derive(Debug)]
pub enum Piece {
    /// An element of the list of this name.
    Element(&'static str, Box<RawValue>),
    /// The value of this name.
    Field(&'static str, Box<RawValue>),
}

/// Why an answer is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SplitError {
    /// It is not JSON, or not of the form that it should be.
    #[error("the answer is not what the specification says")]
    Malformed,
    /// A part of it is too long, or there are too many.
    #[error("the answer is too large")]
    TooLarge,
    /// It ends before it is whole, or a list is not there.
    #[error("the answer is not whole")]
    Incomplete,
}

/// Where in the answer the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    /// In the status that comes before the object.
    Status,
    Object,
    /// After `{`.
    NameOrEnd,
    /// After a comma in the object.
    Name,
    InName {
        escaped: bool,
    },
    Colon,
    Value,
    /// After `[`.
    ElementOrEnd,
    /// After a comma in a list.
    Element,
    InValue,
    AfterElement,
    AfterValue,
    /// After the object, in a pair.
    EndOfPair,
    Done,
}

/// What the name is that was read last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    List(&'static str),
    Field(&'static str),
    /// Nothing that matters.
    Other,
}

/// The state of an answer that is taken apart.
#[derive(Debug)]
pub struct AnswerSplitter {
    expected: Expected,
    at: At,
    name: Vec<u8>,
    named: Named,
    value: ValueScan,
    /// What is here of the value, unless nobody wants it.
    kept: Vec<u8>,
    elements: usize,
    seen: Vec<&'static str>,
}

impl AnswerSplitter {
    /// Before the first byte.
    pub fn new(expected: Expected) -> Self {
        Self {
            expected,
            at: At::Start,
            name: Vec::new(),
            named: Named::Other,
            value: ValueScan::default(),
            kept: Vec::new(),
            elements: 0,
            seen: Vec::new(),
        }
    }

    /// Goes on with the next bytes, and adds to `pieces` what they complete. After an error nothing more is to be expected.
    pub fn feed(&mut self, mut bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<(), SplitError> {
        while let Some(&byte) = bytes.first() {
            let used = if self.at == At::InValue {
                self.go_on_in_value(bytes, pieces)?
            } else {
                self.step(byte)?
            };
            bytes = bytes.get(used..).unwrap_or_default();
        }
        Ok(())
    }

    /// After the last byte.
    pub fn finish(self) -> Result<(), SplitError> {
        let has_all = self.expected.lists.iter().all(|list| self.seen.contains(list));
        if self.at == At::Done && has_all {
            Ok(())
        } else {
            Err(SplitError::Incomplete)
        }
    }

    /// Looks at one byte between values, and says how many are behind us.
    fn step(&mut self, byte: u8) -> Result<usize, SplitError> {
        if let At::InName { escaped } = self.at {
            self.go_on_in_name(byte, escaped)?;
            return Ok(1);
        }
        if byte.is_ascii_whitespace() {
            return Ok(1);
        }
        let next = match (self.at, byte) {
            (At::Start, b'[') if self.expected.in_pair => At::Status,
            (At::Status, b'0'..=b'9') => At::Status,
            (At::Status, b',') => At::Object,
            (At::Start, b'{') if !self.expected.in_pair => At::NameOrEnd,
            (At::Object, b'{') => At::NameOrEnd,
            (At::NameOrEnd | At::Name, b'"') => {
                self.name.clear();
                At::InName { escaped: false }
            }
            (At::NameOrEnd | At::AfterValue, b'}') => self.after_object(),
            (At::EndOfPair, b']') => At::Done,
            (At::Colon, b':') => At::Value,
            (At::Value, b'[') if matches!(self.named, Named::List(_)) => At::ElementOrEnd,
            (At::Value, _) if matches!(self.named, Named::List(_)) => return Err(SplitError::Malformed),
            (At::ElementOrEnd | At::AfterElement, b']') => At::AfterValue,
            (At::AfterElement, b',') => At::Element,
            (At::AfterValue, b',') => At::Name,
            (At::Value | At::ElementOrEnd | At::Element, _) => return self.begin_value(byte),
            _ => return Err(SplitError::Malformed),
        };
        self.at = next;
        Ok(1)
    }

    fn after_object(&self) -> At {
        if self.expected.in_pair {
            At::EndOfPair
        } else {
            At::Done
        }
    }

    fn go_on_in_name(&mut self, byte: u8, escaped: bool) -> Result<(), SplitError> {
        if byte == b'"' && !escaped {
            self.named = self.meaning_of_name()?;
            self.at = At::Colon;
            return Ok(());
        }
        if self.name.len() < MAX_NAME {
            self.name.push(byte);
        }
        self.at = At::InName {
            escaped: byte == b'\\' && !escaped,
        };
        Ok(())
    }

    /// Names with escapes in them mean the same to others, so that they must not pass for something else here.
    fn meaning_of_name(&mut self) -> Result<Named, SplitError> {
        let mut quoted = Vec::with_capacity(self.name.len() + 2);
        quoted.push(b'"');
        quoted.extend_from_slice(&self.name);
        quoted.push(b'"');
        let name: String = match serde_json::from_slice(&quoted) {
            Ok(name) => name,
            // Cut off somewhere.
            Err(_) if self.name.len() == MAX_NAME => return Ok(Named::Other),
            Err(_) => return Err(SplitError::Malformed),
        };
        let known = |names: &'static [&'static str]| names.iter().copied().find(|known| **known == name);
        let (found, named) = match (known(self.expected.lists), known(self.expected.fields)) {
            (Some(list), _) => (list, Named::List(list)),
            (None, Some(field)) => (field, Named::Field(field)),
            (None, None) => return Ok(Named::Other),
        };
        if self.seen.contains(&found) {
            return Err(SplitError::Malformed);
        }
        self.seen.push(found);
        Ok(named)
    }

    fn begin_value(&mut self, byte: u8) -> Result<usize, SplitError> {
        self.value = ValueScan::begin(byte).ok_or(SplitError::Malformed)?;
        if matches!(self.named, Named::List(_)) {
            self.elements += 1;
            if self.elements > self.expected.max_elements {
                return Err(SplitError::TooLarge);
            }
        }
        self.at = At::InValue;
        self.kept.clear();
        // The first byte is looked at again with the rest.
        Ok(0)
    }

    fn go_on_in_value(&mut self, bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<usize, SplitError> {
        let (used, ended) = self.value.scan(bytes);
        let max_bytes = match self.named {
            Named::List(_) => self.expected.max_element,
            Named::Field(_) => self.expected.max_field,
            // Nobody wants it: it costs nothing but the time to read it.
            Named::Other => usize::MAX,
        };
        if self.named != Named::Other {
            if self.kept.len() + used > max_bytes {
                return Err(SplitError::TooLarge);
            }
            self.kept.extend_from_slice(bytes.get(..used).unwrap_or_default());
        }
        if ended {
            self.end_value(pieces)?;
        }
        Ok(used)
    }

    fn end_value(&mut self, pieces: &mut Vec<Piece>) -> Result<(), SplitError> {
        let json = || serde_json::from_slice(&self.kept).map_err(|_| SplitError::Malformed);
        self.at = match self.named {
            Named::List(list) => {
                pieces.push(Piece::Element(list, json()?));
                At::AfterElement
            }
            Named::Field(field) => {
                pieces.push(Piece::Field(field, json()?));
                At::AfterValue
            }
            Named::Other => At::AfterValue,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests;

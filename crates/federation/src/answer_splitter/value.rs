//! Where a JSON value ends.

/// What is known of a value whose beginning was seen. It does not check the value: it finds the end of a right one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ValueScan {
    kind: Kind,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    /// Up to the bracket that closes the first.
    Nested,
    /// Up to the quotation mark.
    Text,
    /// A number, or one of the words: up to what cannot be part of one.
    #[default]
    Bare,
}

impl ValueScan {
    /// Of the value that begins with this byte, if one can.
    pub(super) fn begin(byte: u8) -> Option<Self> {
        let kind = match byte {
            b'{' | b'[' => Kind::Nested,
            b'"' => Kind::Text,
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => Kind::Bare,
            _ => return None,
        };
        Some(Self {
            kind,
            ..Self::default()
        })
    }

    /// How many of the bytes belong to the value, and whether it ends with them.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> (usize, bool) {
        if self.kind == Kind::Bare {
            let end = bytes.iter().position(|byte| !is_bare(*byte));
            return (end.unwrap_or(bytes.len()), end.is_some());
        }
        for (index, &byte) in bytes.iter().enumerate() {
            if self.is_last(byte) {
                return (index + 1, true);
            }
        }
        (bytes.len(), false)
    }

    fn is_last(&mut self, byte: u8) -> bool {
        if self.in_string {
            if self.escaped {
                self.escaped = false;
            } else if byte == b'\\' {
                self.escaped = true;
            } else if byte == b'"' {
                self.in_string = false;
                return self.kind == Kind::Text;
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}

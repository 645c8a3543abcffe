//! Just enough of Rust's grammar to read sources by: words and marks with their lines, comments and literals gone.

/// A word, a mark, or a literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier or a keyword.
    Word(String),
    /// One character of punctuation; `::` is two of them.
    Mark(char),
    /// A string literal's content, unescaped only as far as needed: not at all.
    Text(String),
    /// A number, a character or a lifetime: nothing a rule looks at.
    Other,
}

/// One token and the line that it starts on, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) line: usize,
}

impl Token {
    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(own) if own == word)
    }

    pub(crate) fn is_mark(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }

    pub(crate) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// Read a whole file. Never fails: what is not understood becomes marks.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut reader = Reader {
        characters: text.chars().collect(),
        at: 0,
        line: 1,
        tokens: Vec::new(),
    };
    while reader.step() {}
    reader.tokens
}

/// The index just after the bracket that closes the one at `open`.
pub(crate) fn after_closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Mark('{' | '(' | '[') => depth += 1,
            Kind::Mark('}' | ')' | ']') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return index + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

struct Reader {
    characters: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

impl Reader {
    fn peek(&self, ahead: usize) -> char {
        self.characters.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn next(&mut self) -> char {
        let character = self.peek(0);
        self.at += 1;
        if character == '\n' {
            self.line += 1;
        }
        character
    }

    fn push(&mut self, kind: Kind, line: usize) {
        self.tokens.push(Token { kind, line });
    }

    /// Read one token or skip one comment; `false` at the end.
    fn step(&mut self) -> bool {
        if self.at >= self.characters.len() {
            return false;
        }
        let line = self.line;
        match (self.peek(0), self.peek(1)) {
            ('/', '/') => self.line_comment(),
            ('/', '*') => self.block_comment(),
            ('"', _) => self.string(line),
            ('r' | 'b' | 'c', _) if self.raw_string_starts() => self.raw_string(line),
            ('b' | 'c', '"') => {
                self.next();
                self.string(line);
            }
            ('b', '\'') => {
                self.next();
                self.quote(line);
            }
            ('\'', _) => self.quote(line),
            (first, _) if first.is_alphabetic() || first == '_' => self.word(line),
            (first, _) if first.is_ascii_digit() => self.number(line),
            (first, _) if first.is_whitespace() => {
                self.next();
            }
            (mark, _) => {
                self.next();
                self.push(Kind::Mark(mark), line);
            }
        }
        true
    }

    fn line_comment(&mut self) {
        while self.at < self.characters.len() && self.peek(0) != '\n' {
            self.next();
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while self.at < self.characters.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    self.next();
                    continue;
                }
            }
            self.next();
            self.next();
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self, line: usize) {
        self.next();
        let mut text = String::new();
        while self.at < self.characters.len() {
            match self.next() {
                '"' => break,
                '\\' => {
                    text.push('\\');
                    text.push(self.next());
                }
                character => text.push(character),
            }
        }
        self.push(Kind::Text(text), line);
    }

    /// `r"`, `r#"`, `br"` and so on, but not the identifier `r#type`.
    fn raw_string_starts(&self) -> bool {
        let mut ahead = usize::from(self.peek(0) != 'r');
        if self.peek(ahead) != 'r' {
            return false;
        }
        ahead += 1;
        while self.peek(ahead) == '#' {
            ahead += 1;
        }
        self.peek(ahead) == '"'
    }

    fn raw_string(&mut self, line: usize) {
        while self.peek(0) != 'r' {
            self.next();
        }
        self.next();
        let mut hashes = 0;
        while self.peek(0) == '#' {
            self.next();
            hashes += 1;
        }
        self.next();
        let mut text = String::new();
        while self.at < self.characters.len() {
            if self.peek(0) == '"' && (1..=hashes).all(|ahead| self.peek(ahead) == '#') {
                for _ in 0..=hashes {
                    self.next();
                }
                break;
            }
            text.push(self.next());
        }
        self.push(Kind::Text(text), line);
    }

    /// A character literal or a lifetime.
    fn quote(&mut self, line: usize) {
        self.next();
        if self.peek(0) == '\\' {
            self.next();
            self.next();
            while self.at < self.characters.len() && self.next() != '\'' {}
        } else if self.peek(1) == '\'' {
            self.next();
            self.next();
        } else {
            while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
                self.next();
            }
        }
        self.push(Kind::Other, line);
    }

    fn word(&mut self, line: usize) {
        let mut word = String::new();
        while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
            word.push(self.next());
        }
        self.push(Kind::Word(word), line);
    }

    fn number(&mut self, line: usize) {
        while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
            self.next();
        }
        self.push(Kind::Other, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        tokens(text)
            .iter()
            .filter_map(|token| token.word().map(str::to_owned))
            .collect()
    }

    #[test]
    fn comments_and_literals_hold_no_words() {
        assert_eq!(
            words("let a = \"fn b\"; // fn c\n/* fn /* d */ */ 'e'; r#\"fn \"f\"\"#; &'g h"),
            ["let", "a", "h"]
        );
    }

    #[test]
    fn lines_are_counted_through_strings_and_comments() {
        let last = tokens("/*\n*/ \"\n\" \n end").pop().map(|token| token.line);
        assert_eq!(last, Some(4));
    }

    #[test]
    fn escaped_quotes_do_not_end_a_literal() {
        assert_eq!(words(r#"'\'' "\"x" y"#), ["y"]);
    }

    #[test]
    fn a_bracket_finds_its_partner() {
        let tokens = tokens("a { b ( [ ] ) { } } c");
        assert!(tokens[after_closing(&tokens, 1)].is_word("c"));
    }
}

//! From the text of an expression to its words: numbers, names, texts, operators.
//!
//! Invariant: every word knows where it starts; the last word is the end. Called by the parser.

use super::error::{Outcome, Trouble};
use super::number::Number;
use num_complex::Complex;

/// A word and where it starts, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) word: Word,
    pub(super) at: usize,
}

/// A word of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    Number(Number),
    Name(String),
    Text(String),
    Symbol(&'static str),
    End,
}

impl Word {
    /// What people call it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Number(_) => "a number".to_owned(),
            Self::Name(name) => format!("'{name}'"),
            Self::Text(_) => "a text".to_owned(),
            Self::Symbol(symbol) => format!("'{symbol}'"),
            Self::End => "the end".to_owned(),
        }
    }
}

/// Longer ones first.
const SYMBOLS: [&str; 31] = [
    "...", "**", "//", "<<", ">>", "<=", ">=", "==", "!=", "+", "-", "*", "/", "%", "@", "&", "|", "^", "~",
    "<", ">", "(", ")", "[", "]", ",", ":", ";", ".", "=", "!",
];

/// The words of `text`.
pub(super) fn words(text: &str) -> Outcome<Vec<Token>> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.take_while(char::is_whitespace);
        let at = lexer.at;
        let word = lexer.word()?;
        let is_end = word == Word::End;
        tokens.push(Token { word, at });
        if is_end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or("")
    }

    fn word(&mut self) -> Outcome<Word> {
        let rest = self.rest();
        let mut chars = rest.chars();
        let Some(first) = chars.next() else { return Ok(Word::End) };
        let second = chars.next().unwrap_or(' ');
        if first.is_ascii_digit() || first == '.' && second.is_ascii_digit() {
            return self.number();
        }
        if first.is_alphabetic() || first == '_' {
            return Ok(Word::Name(self.take_while(|c| c.is_alphanumeric() || c == '_').to_owned()));
        }
        if first == '"' || first == '\'' {
            return self.quoted(first);
        }
        let symbol = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol));
        let symbol = symbol.ok_or_else(|| {
            Trouble::at(self.at, format!("the character {first:?} has no meaning in an expression"))
        })?;
        self.at += symbol.len();
        Ok(Word::Symbol(symbol))
    }

    fn quoted(&mut self, quote: char) -> Outcome<Word> {
        let start = self.at;
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((offset, c)) = chars.next() {
            match c {
                _ if c == quote => {
                    self.at = start + offset + 1;
                    return Ok(Word::Text(text));
                }
                '\\' => match chars.next() {
                    Some((_, c @ ('\\' | '\'' | '"'))) => text.push(c),
                    _ => {
                        return Err(Trouble::at(
                            start + offset,
                            "in a text, \\ stands before \\, ' or \" only",
                        ));
                    }
                },
                _ => text.push(c),
            }
        }
        Err(Trouble::at(start, format!("this text has no end; close it with {quote}")))
    }

    fn number(&mut self) -> Outcome<Word> {
        let start = self.at;
        let wrong = |why: &str| Trouble::at(start, format!("this is no number: {why}"));
        let prefix = self.rest().get(..2).unwrap_or("").to_ascii_lowercase();
        if let Some(radix) = match prefix.as_str() {
            "0x" => Some(16),
            "0o" => Some(8),
            "0b" => Some(2),
            _ => None,
        } {
            self.at += 2;
            let digits = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
            let digits = joined(digits.strip_prefix('_').unwrap_or(digits))
                .ok_or_else(|| wrong("an underscore stands between digits"))?;
            let number = i128::from_str_radix(&digits, radix);
            return number
                .map(|number| Word::Number(Number::Int(number)))
                .map_err(|_| wrong(&format!("'{digits}' is no number to base {radix} of at most 128 bits")));
        }
        let digits = |c: char| c.is_ascii_digit() || c == '_';
        self.take_while(digits);
        let mut is_float = false;
        if self.rest().starts_with('.') {
            is_float = true;
            self.at += 1;
            self.take_while(digits);
        }
        let exponent = self.rest().strip_prefix(['e', 'E']).unwrap_or("");
        if exponent.strip_prefix(['+', '-']).unwrap_or(exponent).starts_with(|c: char| c.is_ascii_digit()) {
            is_float = true;
            self.at += 2; // the letter, and a sign or a first digit
            self.take_while(digits);
        }
        let written = self.text.get(start..self.at).unwrap_or("");
        let clean = joined_around(written).ok_or_else(|| wrong("an underscore stands between digits"))?;
        let is_imaginary = self.rest().starts_with(['j', 'J']);
        if is_imaginary {
            self.at += 1;
        }
        if self.rest().starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            return Err(wrong("a letter follows; write * between a number and a name"));
        }
        let float = || clean.parse::<f64>().map_err(|fault| wrong(&fault.to_string()));
        Ok(Word::Number(if is_imaginary {
            Number::Complex(Complex::new(0.0, float()?))
        } else if is_float {
            Number::Float(float()?)
        } else if clean.len() > 1 && clean.starts_with('0') && clean.bytes().any(|digit| digit != b'0') {
            return Err(wrong("an integer starts with no 0; octal numbers start with 0o"));
        } else {
            Number::Int(
                clean.parse().map_err(|_| wrong("it has more than 128 bits; write a float, as in 1e40"))?,
            )
        }))
    }
}

/// Digits without the single underscores between them; `None` if one stands elsewhere.
fn joined(digits: &str) -> Option<String> {
    let misplaced = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    (!misplaced).then(|| digits.replace('_', ""))
}

/// As [`joined`] for each run of digits of a float.
fn joined_around(number: &str) -> Option<String> {
    let apart = |c: char| matches!(c, '.' | 'e' | 'E' | '+' | '-');
    number.split(apart).all(|run| joined(run).is_some()).then(|| number.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Option<Number> {
        match words(text).ok()?.first()?.word {
            Word::Number(number) => Some(number),
            _ => None,
        }
    }

    #[test]
    fn numbers_are_pythons() {
        assert_eq!(number("1_000"), Some(Number::Int(1000)));
        assert_eq!(number("0xFF_ff"), Some(Number::Int(0xffff)));
        assert_eq!(number("0b101"), Some(Number::Int(5)));
        assert_eq!(number("1."), Some(Number::Float(1.0)));
        assert_eq!(number(".5e-1"), Some(Number::Float(0.05)));
        assert_eq!(number("1e5"), Some(Number::Float(1e5)));
        assert_eq!(number("2.5j"), Some(Number::Complex(Complex::new(0.0, 2.5))));
        assert_eq!(number("00"), Some(Number::Int(0)));
        for wrong in
            ["1__0", "1_", "012", "0xg", "1x", "0x", "1_.5", "9999999999999999999999999999999999999999999"]
        {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn texts_end() {
        assert_eq!(words(r#""a'\"b""#).unwrap()[0].word, Word::Text("a'\"b".to_owned()));
        assert!(words("'a").is_err());
        assert!(words(r"'a\n'").is_err());
        assert!(words("a − b").is_err());
    }
}

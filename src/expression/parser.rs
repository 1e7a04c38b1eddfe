//! From words to trees, by operator precedence (Pratt, "Top Down Operator Precedence", 1973); the order is Python's.
//!
//! Invariants: the parser recurses no deeper than [`MAX_DEPTH`] and makes no deeper tree; what Python has and `eval`
//! has not is refused by name. Called by [`super::Expression::parse`].

use super::error::{Outcome, Trouble};
use super::lexer::{Token, Word, words};
use super::number::Number;
use super::syntax::{Argument, Binary, Item, Kind, MAX_DEPTH, Node, Statement, UNARY_POWER, Unary};
use std::collections::HashMap;

/// Names that cannot be given to results.
const RESERVED: [&str; 9] = ["True", "False", "None", "and", "or", "not", "if", "lambda", "in"];

/// The statements of `text`.
pub(super) fn parse(text: &str) -> Outcome<Vec<Statement>> {
    let tokens = words(text)?;
    let mut parser = Parser { tokens, next: 0, nesting: 0, depths: HashMap::new() };
    let mut statements = Vec::new();
    loop {
        while parser.take(";").is_some() {}
        if *parser.peek() == Word::End {
            break;
        }
        statements.push(parser.statement()?);
        match parser.peek() {
            Word::End | Word::Symbol(";") => {}
            _ => return Err(parser.unexpected("an operator or ';'")),
        }
    }
    if statements.is_empty() {
        return Err(Trouble::at(0, "there is no expression; write one such as mean(x, axis=0)"));
    }
    Ok(statements)
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    /// How deep the parser itself is.
    nesting: usize,
    /// Depths of the trees that earlier statements named.
    depths: HashMap<String, usize>,
}

impl Parser {
    fn peek(&self) -> &Word {
        self.tokens.get(self.next).map_or(&Word::End, |token| &token.word)
    }

    fn peek_symbol(&self) -> &'static str {
        if let Word::Symbol(symbol) = self.peek() { symbol } else { "" }
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |token| token.at)
    }

    /// Takes the symbol if it is next; where it stands.
    fn take(&mut self, symbol: &str) -> Option<usize> {
        let at = self.at();
        (self.peek_symbol() == symbol && !symbol.is_empty()).then(|| {
            self.next += 1;
            at
        })
    }

    fn expect(&mut self, symbol: &str, of: &str) -> Outcome<()> {
        match self.take(symbol) {
            Some(_) => Ok(()),
            None => Err(self.unexpected(&format!("'{symbol}' {of}"))),
        }
    }

    fn unexpected(&self, wanted: &str) -> Trouble {
        let found = self.peek();
        if let Word::Name(name) = found
            && let Some(trouble) = refused_keyword(name)
        {
            return Trouble::at(self.at(), trouble);
        }
        Trouble::at(self.at(), format!("found {} where {wanted} was expected", found.shown()))
    }

    fn statement(&mut self) -> Outcome<Statement> {
        let target = match (self.peek(), self.tokens.get(self.next + 1).map(|token| &token.word)) {
            (Word::Name(name), Some(Word::Symbol("="))) => Some(name.clone()),
            _ => None,
        };
        if let Some(name) = &target {
            if RESERVED.contains(&name.as_str()) {
                return Err(Trouble::at(self.at(), format!("'{name}' cannot name a result")));
            }
            self.next += 2;
        }
        let value = self.tuple()?;
        if let Some(name) = &target {
            self.depths.insert(name.clone(), value.depth);
        }
        Ok(Statement { target, value })
    }

    /// One expression, or several with commas between: a tuple.
    fn tuple(&mut self) -> Outcome<Node> {
        let (at, first) = (self.at(), self.expression(0)?);
        if self.peek_symbol() != "," {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.take(",").is_some() {
            if matches!(self.peek(), Word::End | Word::Symbol(";" | ")")) {
                break;
            }
            items.push(self.expression(0)?);
        }
        self.list(items, at)
    }

    fn node(&self, kind: Kind, at: usize, below: usize) -> Outcome<Node> {
        let depth = below + 1;
        if depth > MAX_DEPTH {
            let message =
                format!("operations stand more than {MAX_DEPTH} deep here; store a part as a file first");
            return Err(Trouble::at(at, message));
        }
        Ok(Node { kind, at, depth })
    }

    fn list(&self, items: Vec<Node>, at: usize) -> Outcome<Node> {
        let below = items.iter().map(|item| item.depth).max().unwrap_or(0);
        self.node(Kind::List(items), at, below)
    }

    /// An expression whose operators bind at least as tightly as `power`.
    fn expression(&mut self, power: u8) -> Outcome<Node> {
        if self.nesting >= MAX_DEPTH {
            return Err(Trouble::at(
                self.at(),
                format!("brackets and signs stand more than {MAX_DEPTH} deep here"),
            ));
        }
        self.nesting += 1;
        let tree = self.operators(power);
        self.nesting -= 1;
        tree
    }

    fn operators(&mut self, power: u8) -> Outcome<Node> {
        let mut left = self.operand()?;
        let mut compared = false;
        loop {
            let (at, symbol) = (self.at(), self.peek_symbol());
            let Some(operator) = Binary::of(symbol) else { return Ok(left) };
            if operator.power() < power {
                return Ok(left);
            }
            if operator.is_comparison() && std::mem::replace(&mut compared, true) {
                let message = "comparisons cannot be chained; write (a < b) & (b < c)";
                return Err(Trouble::at(at, message));
            }
            self.next += 1;
            // A power takes signs on its right, and groups to the right; all else groups to the left.
            let above = if operator == Binary::Power { UNARY_POWER } else { operator.power() + 1 };
            let right = self.expression(above)?;
            let below = left.depth.max(right.depth);
            left = self.node(Kind::Binary(operator, Box::new((left, right))), at, below)?;
        }
    }

    /// An operand with the signs before it and what follows it: attributes, calls, indices.
    fn operand(&mut self) -> Outcome<Node> {
        let at = self.at();
        let unary = match self.peek_symbol() {
            "+" => Some(Unary::Positive),
            "-" => Some(Unary::Negative),
            "~" => Some(Unary::Invert),
            _ => None,
        };
        if let Some(operator) = unary {
            self.next += 1;
            let operand = self.expression(UNARY_POWER)?;
            let below = operand.depth;
            return self.node(Kind::Unary(operator, Box::new(operand)), at, below);
        }
        let mut node = self.primary()?;
        loop {
            let at = self.at();
            if self.take(".").is_some() {
                let at = self.at();
                let Word::Name(name) = self.peek().clone() else {
                    return Err(self.unexpected("the name of a method"));
                };
                self.next += 1;
                let below = node.depth;
                node = self.node(Kind::Attribute(Box::new(node), name), at, below)?;
            } else if self.take("(").is_some() {
                let arguments = self.arguments()?;
                let below =
                    arguments.iter().map(|argument| argument.value.depth).fold(node.depth, usize::max);
                // A call is where its function's name is.
                let at = node.at;
                node = self.node(Kind::Call(Box::new(node), arguments), at, below)?;
            } else if self.take("[").is_some() {
                let items = self.items()?;
                let below = node.depth;
                node = self.node(Kind::Subscript(Box::new(node), items), at, below)?;
            } else {
                return Ok(node);
            }
        }
    }

    fn primary(&mut self) -> Outcome<Node> {
        let at = self.at();
        let kind = match self.peek().clone() {
            Word::Number(number) => Kind::Number(number),
            Word::Text(text) => Kind::Text(text),
            Word::Symbol("...") => Kind::Ellipsis,
            Word::Name(name) => match name.as_str() {
                "True" => Kind::Number(Number::Bool(true)),
                "False" => Kind::Number(Number::Bool(false)),
                "None" => Kind::Nothing,
                _ => match refused_keyword(&name) {
                    Some(trouble) => return Err(Trouble::at(at, trouble)),
                    None => {
                        let depth = self.depths.get(&name).copied().unwrap_or(1);
                        self.next += 1;
                        return Ok(Node { kind: Kind::Name(name), at, depth });
                    }
                },
            },
            Word::Symbol("(") => {
                self.next += 1;
                if self.take(")").is_some() {
                    return self.list(Vec::new(), at);
                }
                let inside = self.tuple()?;
                self.expect(")", "to close the bracket")?;
                return Ok(inside);
            }
            Word::Symbol("[") => {
                self.next += 1;
                let mut items = Vec::new();
                while self.peek_symbol() != "]" {
                    items.push(self.expression(0)?);
                    if self.take(",").is_none() {
                        break;
                    }
                }
                self.expect("]", "to close the list")?;
                return self.list(items, at);
            }
            _ => return Err(self.unexpected("a number, a name or a bracket")),
        };
        self.next += 1;
        self.node(kind, at, 0)
    }

    /// What follows the bracket of a call, to its end.
    fn arguments(&mut self) -> Outcome<Vec<Argument>> {
        let mut arguments: Vec<Argument> = Vec::new();
        while self.peek_symbol() != ")" {
            let at = self.at();
            let keyword = match (self.peek(), self.tokens.get(self.next + 1).map(|token| &token.word)) {
                (Word::Name(name), Some(Word::Symbol("="))) => Some(name.clone()),
                _ => None,
            };
            if keyword.is_some() {
                self.next += 2;
            } else if arguments.iter().any(|argument| argument.keyword.is_some()) {
                return Err(Trouble::at(at, "arguments by position come before those by name"));
            }
            if keyword.is_some() && arguments.iter().any(|argument| argument.keyword == keyword) {
                return Err(Trouble::at(at, "this argument is given twice"));
            }
            arguments.push(Argument { keyword, at, value: self.expression(0)? });
            if self.take(",").is_none() {
                break;
            }
        }
        self.expect(")", "to close the call")?;
        Ok(arguments)
    }

    /// What follows the bracket of an index, to its end.
    fn items(&mut self) -> Outcome<Vec<Item>> {
        let mut items = Vec::new();
        while self.peek_symbol() != "]" {
            items.push(self.item()?);
            if self.take(",").is_none() {
                break;
            }
        }
        if items.is_empty() {
            return Err(self.unexpected("an index"));
        }
        self.expect("]", "to close the index")?;
        Ok(items)
    }

    fn item(&mut self) -> Outcome<Item> {
        let start = if self.peek_symbol() == ":" { None } else { Some(self.expression(0)?) };
        if self.take(":").is_none() {
            return match start {
                Some(value) => Ok(Item::Value(value)),
                None => Err(self.unexpected("an index")),
            };
        }
        let stop = self.bound()?;
        let step = if self.take(":").is_some() { self.bound()? } else { None };
        Ok(Item::Slice(Box::new([start, stop, step])))
    }

    fn bound(&mut self) -> Outcome<Option<Node>> {
        if matches!(self.peek_symbol(), ":" | "," | "]") { Ok(None) } else { self.expression(0).map(Some) }
    }
}

/// What to write in place of Python's words for what `eval` has not.
fn refused_keyword(name: &str) -> Option<&'static str> {
    Some(match name {
        "and" => "'and' is not available; write & between brackets, or logical_and(a, b)",
        "or" => "'or' is not available; write | between brackets, or logical_or(a, b)",
        "not" => "'not' is not available; write ~ before a bracket, or logical_not(a)",
        "if" | "else" => "'if' is not available; write where(condition, a, b)",
        "is" => "'is' is not available; write ==",
        "in" => "'in' is not available; write (x == a) | (x == b)",
        "lambda" | "for" | "def" | "import" | "while" => "only expressions are available here",
        _ => return None,
    })
}

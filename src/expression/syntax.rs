//! The syntax tree of an expression.
//!
//! Invariant: no tree is deeper than [`MAX_DEPTH`], counting what earlier statements stand for, so that whoever walks
//! it or the arrays made of it may recurse. Made by the parser, walked by the evaluator.

use super::number::Number;

/// Operations that may lie one above another.
pub(super) const MAX_DEPTH: usize = 250;

/// `NAME = EXPR`, or an expression alone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statement {
    pub(super) target: Option<String>,
    pub(super) value: Node,
}

/// A part of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Where it, or its operator, stands: bytes from the start of the text.
    pub(super) at: usize,
    /// Operations from here down.
    pub(super) depth: usize,
}

/// What a part of an expression is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Number(Number),
    Text(String),
    Name(String),
    Nothing,
    Ellipsis,
    List(Vec<Node>),
    Unary(Unary, Box<Node>),
    Binary(Binary, Box<(Node, Node)>),
    Attribute(Box<Node>, String),
    Call(Box<Node>, Vec<Argument>),
    Subscript(Box<Node>, Vec<Item>),
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Argument {
    pub(super) keyword: Option<String>,
    pub(super) at: usize,
    pub(super) value: Node,
}

/// What stands between the brackets of `x[...]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    Value(Node),
    /// Start, stop, step.
    Slice(Box<[Option<Node>; 3]>),
}

/// An operator before its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Positive,
    Negative,
    Invert,
}

impl Unary {
    /// NumPy's name of what it does to arrays.
    pub(super) const fn function(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Negative => "negative",
            Self::Invert => "invert",
        }
    }
}

macro_rules! binary_operators {
    ($($variant:ident $symbol:literal $function:literal $power:literal;)*) => {
        /// An operator between its operands.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Binary { $($variant),* }

        impl Binary {
            /// The operator that is written `symbol`.
            pub(super) fn of(symbol: &str) -> Option<Self> {
                match symbol { $($symbol => Some(Self::$variant),)* _ => None }
            }

            /// How it is written.
            pub(super) const fn symbol(self) -> &'static str {
                match self { $(Self::$variant => $symbol),* }
            }

            /// NumPy's name of what it does to arrays.
            pub(super) const fn function(self) -> &'static str {
                match self { $(Self::$variant => $function),* }
            }

            /// How tightly it binds; Python's order.
            pub(super) const fn power(self) -> u8 {
                match self { $(Self::$variant => $power),* }
            }
        }
    };
}
binary_operators! {
    Less "<" "less" 10;
    LessEqual "<=" "less_equal" 10;
    Greater ">" "greater" 10;
    GreaterEqual ">=" "greater_equal" 10;
    Equal "==" "equal" 10;
    NotEqual "!=" "not_equal" 10;
    Or "|" "bitwise_or" 20;
    Xor "^" "bitwise_xor" 30;
    And "&" "bitwise_and" 40;
    LeftShift "<<" "left_shift" 50;
    RightShift ">>" "right_shift" 50;
    Add "+" "add" 60;
    Subtract "-" "subtract" 60;
    Multiply "*" "multiply" 70;
    Divide "/" "true_divide" 70;
    FloorDivide "//" "floor_divide" 70;
    Remainder "%" "remainder" 70;
    Product "@" "matmul" 70;
    Power "**" "power" 90;
}

/// How tightly operators before their operand bind: looser than a power on their right, tighter than a product.
pub(super) const UNARY_POWER: u8 = 80;

impl Binary {
    /// Whether it is one of the six comparisons.
    pub(super) const fn is_comparison(self) -> bool {
        self.power() == 10
    }
}

//! Expressions of the Common Expression Language, read.
//!
//! The part of CEL that selectors of devices use: literals, `device`, fields, indices, operators, `in`, `has`, `cel.bind`, `?
//! :`, lists, maps left out, and calls. An expression is bounded in length and depth, so that none takes more than its share.

use super::Error;
use std::iter::Peekable;
use std::str::Chars;

/// The longest expression.
///
/// Source: `CELSelectorExpressionMaxLength` of the API.
const MAX_LENGTH: usize = 10 << 10;
/// The deepest expression.
const MAX_DEPTH: usize = 64;

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Name(String),
    List(Vec<Expr>),
    Field(Box<Expr>, String),
    Index(Box<Expr>, Box<Expr>),
    /// An operator by its sign.
    Unary(&'static str, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Choose(Box<[Expr; 3]>),
    /// A function, or a method of a value.
    Call(Option<Box<Expr>>, String, Vec<Expr>),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Int(i64),
    Double(f64),
    Text(String),
    Name(String),
    Sign(&'static str),
}

/// The signs, longer ones first.
const SIGNS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", "(", ")", "[", "]",
    ",", ".", "{", "}",
];

/// The binary operators by how tightly they bind.
const LEVELS: [&[&str]; 5] =
    [&["||"], &["&&"], &["==", "!=", "<=", ">=", "<", ">", "in"], &["+", "-"], &["*", "/", "%"]];

/// Reads an expression; the error says what is wrong.
pub(super) fn parse(text: &str) -> Result<Expr, Error> {
    if text.len() > MAX_LENGTH {
        return Err(Error::Wrong(format!("it has {} bytes; {MAX_LENGTH} are the most", text.len())));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let expr = parser.whole()?;
    match parser.tokens.get(parser.at) {
        None => Ok(expr),
        Some(token) => Err(Error::Wrong(format!("{} is not expected", shown(token)))),
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Int(number) => number.to_string(),
        Token::Double(number) => number.to_string(),
        Token::Text(text) => format!("the text '{text}'"),
        Token::Name(name) => format!("'{name}'"),
        Token::Sign(sign) => format!("'{sign}'"),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, Error> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(comment) = rest.strip_prefix("//") {
            rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
            continue;
        }
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        if first.is_ascii_digit() {
            let (token, behind) = number(rest)?;
            tokens.push(token);
            rest = behind;
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let (name, behind) = rest.split_at(end);
            if matches!(behind.chars().next(), Some('"' | '\'')) {
                if !matches!(name, "r" | "R") {
                    return Err(Error::Limit(format!("texts with '{name}' before them are not known here")));
                }
                let (raw, behind) = quoted(behind, true)?;
                tokens.push(Token::Text(raw));
                rest = behind;
                continue;
            }
            tokens.push(Token::Name(name.to_owned()));
            rest = behind;
        } else if matches!(first, '"' | '\'') {
            let (inner, behind) = quoted(rest, false)?;
            tokens.push(Token::Text(inner));
            rest = behind;
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else {
            return Err(Error::Wrong(format!("'{first}' is not expected")));
        }
    }
}

fn number(text: &str) -> Result<(Token, &str), Error> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    if let Some(digits) = hex {
        let end = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
        let value = i64::from_str_radix(&digits[..end], 16).map_err(|error| format!("a number: {error}"))?;
        return Ok((Token::Int(value), &digits[end..]));
    }
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut end = digits(text);
    let mut whole = true;
    if let Some(fraction) =
        text[end..].strip_prefix('.').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    {
        end += 1 + digits(fraction);
        whole = false;
    }
    let read = &text[..end];
    let behind = &text[end..];
    if behind.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(Error::Wrong(format!("'{read}' is followed by a letter")));
    }
    if whole {
        let value = read.parse().map_err(|error| format!("{read}: {error}"))?;
        return Ok((Token::Int(value), behind));
    }
    let value = read.parse().map_err(|error| format!("{read}: {error}"))?;
    Ok((Token::Double(value), behind))
}

/// A text in quotes, and what is behind it.
fn quoted(text: &str, raw: bool) -> Result<(String, &str), Error> {
    if text.starts_with("\"\"\"") || text.starts_with("'''") {
        return Err(Error::Limit("texts in three quotes are not known here".to_owned()));
    }
    let mut letters = text.chars().peekable();
    let quote = letters.next().unwrap_or('"');
    let mut inner = String::new();
    let mut used = quote.len_utf8();
    while let Some(letter) = letters.next() {
        used += letter.len_utf8();
        match letter {
            letter if letter == quote => return Ok((inner, &text[used..])),
            '\n' => break,
            '\\' if !raw => inner.push(escape(&mut letters, &mut used)?),
            letter => inner.push(letter),
        }
    }
    Err(Error::Wrong("a text does not end".to_owned()))
}

fn escape(letters: &mut Peekable<Chars<'_>>, used: &mut usize) -> Result<char, Error> {
    let letter = letters.next().ok_or_else(|| "a text does not end".to_owned())?;
    *used += letter.len_utf8();
    Ok(match letter {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        '\\' | '"' | '\'' | '`' | '?' => letter,
        other => return Err(Error::Limit(format!("the escape \\{other} is not known here"))),
    })
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn takes(&mut self, sign: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Sign(own)) if *own == sign);
        self.at += usize::from(found);
        found
    }

    fn expects(&mut self, sign: &str) -> Result<(), Error> {
        if self.takes(sign) {
            return Ok(());
        }
        Err(Error::Wrong(match self.tokens.get(self.at) {
            Some(token) => format!("'{sign}' is expected, not {}", shown(token)),
            None => format!("'{sign}' is missing at the end"),
        }))
    }

    fn whole(&mut self) -> Result<Expr, Error> {
        if self.depth >= MAX_DEPTH {
            return Err(Error::Limit(format!("it is deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let condition = self.binary(0)?;
        let expr = if self.takes("?") {
            let yes = self.binary(0)?;
            self.expects(":")?;
            Expr::Choose(Box::new([condition, yes, self.whole()?]))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn operator(&mut self, level: usize) -> Option<&'static str> {
        let sign = match self.tokens.get(self.at)? {
            Token::Sign(sign) => sign,
            Token::Name(name) if name == "in" => "in",
            _ => return None,
        };
        let found = LEVELS[level].iter().find(|own| **own == sign)?;
        self.at += 1;
        Some(found)
    }

    fn binary(&mut self, level: usize) -> Result<Expr, Error> {
        if level == LEVELS.len() {
            return self.unary();
        }
        let mut left = self.binary(level + 1)?;
        let mut length = 0;
        while let Some(operator) = self.operator(level) {
            // A chain is as deep as it is long.
            length += 1;
            if length > MAX_DEPTH {
                return Err(Error::Limit(format!("more than {MAX_DEPTH} operators follow one another")));
            }
            left = Expr::Binary(operator, Box::new(left), Box::new(self.binary(level + 1)?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, Error> {
        let mut signs = Vec::new();
        loop {
            if self.takes("!") {
                signs.push("!");
            } else if self.takes("-") {
                signs.push("-");
            } else {
                break;
            }
            if signs.len() > MAX_DEPTH {
                return Err(Error::Limit(format!("it is deeper than {MAX_DEPTH} levels")));
            }
        }
        let inner = self.member()?;
        Ok(signs.into_iter().rev().fold(inner, |inner, sign| Expr::Unary(sign, Box::new(inner))))
    }

    fn member(&mut self) -> Result<Expr, Error> {
        let mut expr = self.primary()?;
        for _ in 0..MAX_DEPTH {
            if self.takes(".") {
                if self.takes("?") {
                    return Err(Error::Limit("optional fields ('.?') are not known here".to_owned()));
                }
                let Some(Token::Name(name)) = self.tokens.get(self.at).cloned() else {
                    return Err(Error::Wrong("a name is expected behind '.'".to_owned()));
                };
                self.at += 1;
                expr = if self.takes("(") {
                    Expr::Call(Some(Box::new(expr)), name, self.list(")")?)
                } else {
                    Expr::Field(Box::new(expr), name)
                };
            } else if self.takes("[") {
                if self.takes("?") {
                    return Err(Error::Limit("optional indices ('[?') are not known here".to_owned()));
                }
                let index = self.whole()?;
                self.expects("]")?;
                expr = Expr::Index(Box::new(expr), Box::new(index));
            } else {
                return Ok(expr);
            }
        }
        Err(Error::Limit(format!("it is deeper than {MAX_DEPTH} levels")))
    }

    fn list(&mut self, end: &str) -> Result<Vec<Expr>, Error> {
        let mut list = Vec::new();
        while !self.takes(end) {
            if !list.is_empty() {
                self.expects(",")?;
                if end == "]" && self.takes(end) {
                    break;
                }
            }
            list.push(self.whole()?);
        }
        Ok(list)
    }

    fn primary(&mut self) -> Result<Expr, Error> {
        let token = self.tokens.get(self.at).cloned().ok_or_else(|| "it ends too early".to_owned())?;
        self.at += 1;
        Ok(match token {
            Token::Int(number) => Expr::Int(number),
            Token::Double(number) => Expr::Double(number),
            Token::Text(text) => Expr::Text(text),
            Token::Sign("(") => {
                let inner = self.whole()?;
                self.expects(")")?;
                inner
            }
            Token::Sign("{") => return Err(Error::Limit("maps are not known here".to_owned())),
            Token::Sign("[") => Expr::List(self.list("]")?),
            Token::Name(name) => match name.as_str() {
                "true" => Expr::Bool(true),
                "false" => Expr::Bool(false),
                "null" => Expr::Null,
                _ if self.takes("(") => Expr::Call(None, name, self.list(")")?),
                _ => Expr::Name(name),
            },
            token @ Token::Sign(_) => return Err(Error::Wrong(format!("{} is not expected", shown(&token)))),
        })
    }
}

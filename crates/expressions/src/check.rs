//! What is looked at when a condition is saved: that everything in it is known and fits together, and how many steps it
//! takes at most. What passes can still fail on a sum out of range or a division by zero, and on nothing else.

use crate::kind::{FACTS, Kind, LINE, NUMBER, One, TEXT, TRUTH, named};
use crate::limits::{DEPTH_MAX, LOCAL_MAX, TEXT_MAX};
use crate::refused::{Place, Refused};
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo};

/// What each turn of `exists` and its like takes besides its body: setting the name, asking whether to go on, keeping the result.
const TURN_STEPS: u64 = 10;
/// Looking up a name outside of `exists` and its like.
const FACT_STEPS: u64 = 3;
/// Comparing what is larger: the interpreter prepares what it would say if it failed.
const ORDER_STEPS: u64 = 4;
/// Reading a part of a line.
const PART_STEPS: u64 = 2;
/// Going through a text, as when another one is looked for in it.
const SEARCH_STEPS: u64 = 12;
/// Elements that are compared or added up in one step.
const ELEMENTS_A_STEP: usize = 8;

const FUNCTIONS: &[&str] = &["size", "contains", "startsWith", "endsWith", "sum", "all", "exists", "exists_one", "filter", "map"];

/// The most steps it takes to evaluate an expression, as it was written: before its macros are expanded.
///
/// # Errors
/// What is unknown in it or does not fit together.
pub fn steps(written: &IdedExpr, info: &SourceInfo) -> Result<u64, Refused> {
    let mut check = Check { info, locals: Vec::new(), depth: 0 };
    let (kind, steps) = check.expression(written)?;
    if kind != TRUTH {
        return Err(Refused::NotBoolean { given: kind.words() });
    }
    Ok(steps)
}

struct Check<'e> {
    info: &'e SourceInfo,
    /// Names that `exists` and its like have given, the innermost last.
    locals: Vec<(&'e str, One)>,
    depth: usize,
}

/// What an expression gives, and the steps it takes at most.
type Found = Result<(Kind, u64), Refused>;

impl<'e> Check<'e> {
    fn expression(&mut self, expression: &'e IdedExpr) -> Found {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Refused::TooDeep);
        }
        let id = expression.id;
        let (kind, steps) = match &expression.expr {
            Expr::Literal(literal) => (self.literal(id, literal)?, 0),
            Expr::Ident(name) => (self.local(name).ok_or_else(|| self.unknown(id, name))?, 0),
            Expr::Select(select) => self.select(id, select)?,
            Expr::Call(call) => self.call(id, call)?,
            Expr::List(list) => self.list(id, &list.elements)?,
            Expr::Map(_) | Expr::Struct(_) => return Err(self.unsupported(id, "conditions have no maps and no structures")),
            Expr::Comprehension(_) | Expr::Unspecified => return Err(self.unsupported(id, "this cannot be part of a condition")),
        };
        self.depth -= 1;
        Ok((kind, steps.saturating_add(1)))
    }

    fn literal(&self, id: u64, literal: &LiteralValue) -> Result<Kind, Refused> {
        match literal {
            LiteralValue::Boolean(_) => Ok(TRUTH),
            LiteralValue::Int(_) => Ok(NUMBER),
            LiteralValue::String(text) if text.inner().chars().count() <= TEXT_MAX => Ok(TEXT),
            LiteralValue::String(_) => Err(self.unsupported(id, "a text has at most 200 characters")),
            LiteralValue::Double(_) | LiteralValue::UInt(_) => {
                Err(self.unsupported(id, "numbers are whole: 1299 for 12.99, without a suffix"))
            }
            LiteralValue::Bytes(_) | LiteralValue::Null => Err(self.unsupported(id, "conditions have no bytes and no `null`")),
        }
    }

    fn local(&self, name: &str) -> Option<Kind> {
        self.locals.iter().rev().find(|(known, _)| *known == name).map(|(_, one)| Kind::One(*one))
    }

    fn select(&mut self, id: u64, select: &'e SelectExpr) -> Found {
        let field = &select.field;
        if let Expr::Ident(root) = &select.operand.expr
            && self.local(root).is_none()
        {
            let name = format!("{root}.{field}");
            let kind = named(FACTS, &name).ok_or_else(|| self.unknown(id, &name))?;
            return Ok((kind, FACT_STEPS));
        }
        match self.expression(&select.operand)? {
            (Kind::One(One::Line), steps) => {
                let kind = named(LINE, field).ok_or_else(|| self.unknown(id, field))?;
                Ok((kind, steps.saturating_add(PART_STEPS)))
            }
            (other, _) => Err(self.unsuited(id, &format!(".{field}"), &[other])),
        }
    }

    fn list(&mut self, id: u64, elements: &'e [IdedExpr]) -> Found {
        let (mut kinds, mut steps) = (Vec::with_capacity(elements.len()), 0_u64);
        for element in elements {
            let (kind, taken) = self.expression(element)?;
            kinds.push(kind);
            steps = steps.saturating_add(taken);
        }
        match kinds.first() {
            Some(Kind::One(one)) if kinds.iter().all(|k| *k == Kind::One(*one)) => Ok((Kind::List(*one, elements.len()), steps)),
            Some(_) => Err(self.unsuited(id, "[ ]", &kinds)),
            None => Err(self.unsupported(id, "a list has at least one element")),
        }
    }

    fn call(&mut self, id: u64, call: &'e CallExpr) -> Found {
        if let (Some(target), "all" | "exists" | "exists_one" | "filter" | "map", [name, body]) =
            (&call.target, call.func_name.as_str(), call.args.as_slice())
        {
            return self.each(id, &call.func_name, target, name, body);
        }
        let (mut kinds, mut steps) = (Vec::new(), 0_u64);
        for argument in call.target.as_deref().into_iter().chain(&call.args) {
            let (kind, taken) = self.expression(argument)?;
            kinds.push(kind);
            steps = steps.saturating_add(taken);
        }
        let result = if call.target.is_some() { method(&call.func_name, &kinds) } else { operator(&call.func_name, &kinds) };
        match result {
            Some((kind, taken)) => Ok((kind, steps.saturating_add(taken))),
            None if is_known(&call.func_name) => Err(self.unsuited(id, symbol(&call.func_name), &kinds)),
            None => Err(Refused::UnknownFunction { at: self.place(id), name: call.func_name.clone() }),
        }
    }

    /// `range.exists(name, body)` and its like: the body once for each element.
    fn each(&mut self, id: u64, what: &str, range: &'e IdedExpr, name: &'e IdedExpr, body: &'e IdedExpr) -> Found {
        let (one, most, range_steps) = match self.expression(range)? {
            (Kind::List(one, most), steps) => (one, most, steps),
            (other, _) => return Err(self.unsuited(id, what, &[other])),
        };
        let Expr::Ident(local) = &name.expr else {
            return Err(self.unsupported(name.id, "the first argument is a name of your own for each element"));
        };
        if local.len() > LOCAL_MAX {
            return Err(self.unsupported(name.id, "a name of your own has at most 64 letters"));
        }
        self.locals.push((local, one));
        let (gives, body_steps) = self.expression(body)?;
        self.locals.pop();
        let kind = match (what, gives) {
            ("all" | "exists" | "exists_one", TRUTH) => TRUTH,
            ("filter", TRUTH) => Kind::List(one, most),
            ("map", Kind::One(each)) => Kind::List(each, most),
            _ => return Err(self.unsuited(id, what, &[gives])),
        };
        let steps = body_steps.saturating_add(TURN_STEPS).saturating_mul(count(most)).saturating_add(range_steps);
        Ok((kind, steps))
    }

    fn place(&self, id: u64) -> Place {
        let (start, _) = self.info.offset_for(id).unwrap_or_default();
        Place::of(&self.info.source, usize::try_from(start).unwrap_or_default())
    }

    fn unknown(&self, id: u64, name: &str) -> Refused {
        Refused::UnknownName { at: self.place(id), name: name.to_owned() }
    }

    fn unsupported(&self, id: u64, what: &'static str) -> Refused {
        Refused::Unsupported { at: self.place(id), what }
    }

    fn unsuited(&self, id: u64, what: &str, kinds: &[Kind]) -> Refused {
        let mut given: Vec<_> = kinds.iter().map(|k| k.words()).collect();
        given.dedup();
        let given = if given.is_empty() { "nothing".to_owned() } else { given.join(" and ") };
        Refused::Unsuited { at: self.place(id), what: what.to_owned(), given }
    }
}

/// What an operator or a free function gives, and its own steps. Nothing here makes a longer text or list than it was given.
fn operator(name: &str, kinds: &[Kind]) -> Option<(Kind, u64)> {
    use One::{Line, Number, Text};
    match (name, kinds) {
        ("!_", [TRUTH]) => Some((TRUTH, 1)),
        ("_&&_" | "_||_", [TRUTH, TRUTH]) => Some((TRUTH, 0)),
        ("-_", [NUMBER]) | ("_+_" | "_-_" | "_*_" | "_/_" | "_%_", [NUMBER, NUMBER]) => Some((NUMBER, 0)),
        ("_==_" | "_!=_", [Kind::One(a), Kind::One(b)]) if a == b && *a != Line => Some((TRUTH, 0)),
        ("_<_" | "_<=_" | "_>_" | "_>=_", [Kind::One(a), Kind::One(b)]) if a == b && matches!(a, Number | Text) => {
            Some((TRUTH, ORDER_STEPS))
        }
        ("@in", [Kind::One(a), Kind::List(b, most)]) if a == b && *a != Line => Some((TRUTH, through(*most))),
        ("_?_:_", [TRUTH, a, b]) => a.or(*b).map(|kind| (kind, 0)),
        ("size", [TEXT]) => Some((NUMBER, SEARCH_STEPS)),
        ("size", [Kind::List(_, most)]) => Some((NUMBER, through(*most))),
        _ => None,
    }
}

/// The same for what stands behind a point.
fn method(name: &str, kinds: &[Kind]) -> Option<(Kind, u64)> {
    match (name, kinds) {
        ("size", [_]) => operator(name, kinds),
        ("contains" | "startsWith" | "endsWith", [TEXT, TEXT]) => Some((TRUTH, SEARCH_STEPS)),
        ("sum", [Kind::List(One::Number, most)]) => Some((NUMBER, through(*most))),
        _ => None,
    }
}

/// Steps to go through a list.
fn through(most: usize) -> u64 {
    count(most.div_ceil(ELEMENTS_A_STEP))
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// A function, or an operator, which has a sign in its name.
fn is_known(name: &str) -> bool {
    FUNCTIONS.contains(&name) || name.contains(|c: char| c != '_' && !c.is_alphanumeric())
}

/// An operator as it is written.
fn symbol(name: &str) -> &str {
    match name {
        "@in" => "in",
        "_?_:_" => "? :",
        "_[_]" => "[ ]",
        _ => name.trim_matches('_'),
    }
}

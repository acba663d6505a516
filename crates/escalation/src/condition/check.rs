//! Checks the types of a parsed expression and lowers it to what runs.

use cel::Program;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators as op};
use firewatch_domain::FlagKind;

use super::facts::{BOOL_FACTS, FLAGS, NUMBER_FACTS, TEXT_FACTS, Text, Type, names};
use super::{Match, Num, Order, Test};

/// A part of an expression, with its type.
enum Part {
    Bool(Test),
    Int(Num),
    Double(Num),
    Text(Text),
    Quoted(Box<str>),
    Flags,
    List(Vec<Box<str>>),
}

impl Part {
    fn kind(&self) -> Type {
        match self {
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Double(_) => Type::Double,
            Self::Text(_) | Self::Quoted(_) => Type::String,
            Self::Flags | Self::List(_) => Type::Strings,
        }
    }
}

/// A fault and the part of the expression it is in.
struct Fault(u64, String);

/// Parses, checks and lowers.
pub(super) fn test(source: &str) -> Result<Test, String> {
    let program = Program::compile(source).map_err(|e| {
        let first = e.errors.first().map(|e| (e.pos.1, e.msg.clone()));
        let (column, problem) = first.unwrap_or((1, "cannot be read".into()));
        format!("{source:?}, character {column}: {problem}")
    })?;
    let whole = program.expression();
    let checked = part(whole).and_then(|part| match part {
        Part::Bool(test) => Ok(test),
        other => Err(Fault(
            whole.id,
            format!("this is of type {}; a condition is a bool, such as `risk >= 15`", other.kind().name()),
        )),
    });
    checked.map_err(|Fault(id, problem)| {
        let column = program.source_info().offset_for(id).map_or(1, |(start, _)| start + 1);
        format!("{source:?}, character {column}: {problem}")
    })
}

fn part(e: &IdedExpr) -> Result<Part, Fault> {
    match &e.expr {
        Expr::Literal(literal) => self::literal(e.id, literal),
        Expr::Ident(name) => ident(e.id, name),
        Expr::List(list) => {
            let texts = list.elements.iter().map(|element| match part(element)? {
                Part::Quoted(text) => Ok(text),
                other => Err(Fault(
                    element.id,
                    format!("a list holds texts in quotes, and this is of type {}", other.kind().name()),
                )),
            });
            Ok(Part::List(texts.collect::<Result<_, _>>()?))
        }
        Expr::Call(call) => self::call(e.id, call),
        Expr::Comprehension(_) => {
            Err(Fault(e.id, "loops are not for conditions; write `\"press\" in flags`".into()))
        }
        Expr::Select(select) => {
            Err(Fault(e.id, format!("there is no `.{}`; names have no parts", select.field)))
        }
        Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
            Err(Fault(e.id, "maps are not for conditions".into()))
        }
    }
}

fn literal(id: u64, literal: &LiteralValue) -> Result<Part, Fault> {
    Ok(match literal {
        LiteralValue::Boolean(is) => Part::Bool(Test::Const(*is.inner())),
        LiteralValue::Double(x) => Part::Double(Num::Const(*x.inner())),
        LiteralValue::Int(n) => Part::Int(Num::Const(*n.inner() as f64)),
        LiteralValue::String(text) => Part::Quoted(text.inner().into()),
        LiteralValue::UInt(_) => return Err(Fault(id, "write the number without the `u`".into())),
        LiteralValue::Bytes(_) | LiteralValue::Null => {
            return Err(Fault(id, "only numbers, texts in quotes, true and false are for conditions".into()));
        }
    })
}

fn ident(id: u64, name: &str) -> Result<Part, Fault> {
    if let Some(fact) = NUMBER_FACTS.iter().find(|fact| fact.name == name) {
        let number = Num::Fact(fact.number);
        return Ok(if fact.kind == Type::Int { Part::Int(number) } else { Part::Double(number) });
    }
    if let Some((flag, ..)) = BOOL_FACTS.iter().find(|(_, own, _)| *own == name) {
        return Ok(Part::Bool(Test::Fact(*flag)));
    }
    if let Some((text, ..)) = TEXT_FACTS.iter().find(|(_, own, _)| *own == name) {
        return Ok(Part::Text(*text));
    }
    if name == FLAGS {
        return Ok(Part::Flags);
    }
    let all: Vec<&str> = names().map(|(name, ..)| name).collect();
    Err(Fault(id, unknown("name", name, &all)))
}

/// Says that something is not known, and what may have been meant.
fn unknown(what: &str, given: &str, known: &[&str]) -> String {
    let close = |k: &&&str| strsim::jaro_winkler(k, given);
    let near = known.iter().max_by(|a, b| close(a).total_cmp(&close(b))).filter(|k| close(k) > 0.8);
    match near {
        Some(near) => format!("{what} `{given}` is not known; did you mean `{near}`?"),
        None => format!("{what} `{given}` is not known; there are {}", known.join(", ")),
    }
}

fn call(id: u64, call: &CallExpr) -> Result<Part, Fault> {
    let target = call.target.iter().map(AsRef::as_ref);
    let mut parts = target.chain(&call.args).map(part).collect::<Result<Vec<_>, _>>()?.into_iter();
    let name = call.func_name.as_str();
    match (parts.next(), parts.next(), parts.next()) {
        (Some(x), None, None) => one(id, name, x),
        (Some(x), Some(y), None) => two(id, name, x, y),
        (Some(Part::Bool(test)), Some(x), Some(y)) if name == op::CONDITIONAL => choose(id, test, x, y),
        _ => Err(Fault(id, no_function(name))),
    }
}

fn no_function(name: &str) -> String {
    format!(
        "`{}` is not for these; there are && || ! == != < <= > >= + - * / in ?: size() double() startsWith() endsWith() \
         contains()",
        name.trim_matches(['_', '@'])
    )
}

fn one(id: u64, name: &str, x: Part) -> Result<Part, Fault> {
    Ok(match (name, x) {
        (op::LOGICAL_NOT, Part::Bool(test)) => Part::Bool(Test::Not(test.into())),
        (op::NEGATE, Part::Int(n)) => Part::Int(Num::Negative(n.into())),
        (op::NEGATE, Part::Double(x)) => Part::Double(Num::Negative(x.into())),
        ("double", Part::Int(n) | Part::Double(n)) => Part::Double(n),
        ("size", Part::Flags) => Part::Int(Num::CountFlags),
        (name, x) => {
            return Err(Fault(id, format!("{}, and this is of type {}", no_function(name), x.kind().name())));
        }
    })
}

fn two(id: u64, name: &str, x: Part, y: Part) -> Result<Part, Fault> {
    if let Some(order) = order(name) {
        return compare(id, order, x, y).map(Part::Bool);
    }
    let fault = |x: &Part, y: &Part| {
        let mixed = matches!((x, y), (Part::Int(_), Part::Double(_)) | (Part::Double(_), Part::Int(_)));
        let hint =
            if mixed { "; write double(...) around the whole number, or 2.0 instead of 2" } else { "" };
        Fault(id, format!("{} and {} do not go together here{hint}", x.kind().name(), y.kind().name()))
    };
    Ok(match (name, x, y) {
        (op::LOGICAL_AND, Part::Bool(x), Part::Bool(y)) => Part::Bool(Test::All(flat(x, y, true))),
        (op::LOGICAL_OR, Part::Bool(x), Part::Bool(y)) => Part::Bool(Test::Any(flat(x, y, false))),
        (op::IN, Part::Quoted(flag), Part::Flags) => Part::Bool(Test::Flagged(vec![flag_kind(id, &flag)?])),
        (op::IN, Part::Text(text), Part::List(all)) => Part::Bool(Test::Text(text, Match::Among(all))),
        ("startsWith", Part::Text(text), Part::Quoted(with)) => {
            Part::Bool(Test::Text(text, Match::Begins(with)))
        }
        ("endsWith", Part::Text(text), Part::Quoted(with)) => Part::Bool(Test::Text(text, Match::Ends(with))),
        ("contains", Part::Text(text), Part::Quoted(part)) => {
            Part::Bool(Test::Text(text, Match::Contains(part)))
        }
        (op::ADD | op::SUBSTRACT | op::MULTIPLY, Part::Int(x), Part::Int(y)) => Part::Int(sum(name, x, y)),
        (op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE, Part::Double(x), Part::Double(y)) => {
            Part::Double(sum(name, x, y))
        }
        (op::DIVIDE | op::MODULO, Part::Int(_), Part::Int(_)) => {
            return Err(Fault(id, "whole numbers are divided as double(...) / double(...)".into()));
        }
        (
            op::LOGICAL_AND | op::LOGICAL_OR | op::IN | op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE,
            x,
            y,
        ) => {
            return Err(fault(&x, &y));
        }
        (other, ..) => return Err(Fault(id, no_function(other))),
    })
}

fn choose(id: u64, test: Test, x: Part, y: Part) -> Result<Part, Fault> {
    Ok(match (x, y) {
        (Part::Int(x), Part::Int(y)) => Part::Int(Num::If(test.into(), x.into(), y.into())),
        (Part::Double(x), Part::Double(y)) => Part::Double(Num::If(test.into(), x.into(), y.into())),
        (Part::Bool(x), Part::Bool(y)) => {
            let not = Test::Not(Box::new(test.clone()));
            Part::Bool(Test::Any(vec![Test::All(vec![test, x]), Test::All(vec![not, y])]))
        }
        (x, y) => {
            return Err(Fault(
                id,
                format!(
                    "both sides of ?: must be of one type, and are {} and {}",
                    x.kind().name(),
                    y.kind().name()
                ),
            ));
        }
    })
}

fn sum(name: &str, x: Num, y: Num) -> Num {
    let (x, y) = (x.into(), y.into());
    match name {
        op::ADD => Num::Sum(x, y),
        op::SUBSTRACT => Num::Difference(x, y),
        op::MULTIPLY => Num::Product(x, y),
        _ => Num::Quotient(x, y),
    }
}

fn order(name: &str) -> Option<Order> {
    Some(match name {
        op::LESS => Order::Less,
        op::LESS_EQUALS => Order::LessOrEqual,
        op::GREATER => Order::Greater,
        op::GREATER_EQUALS => Order::GreaterOrEqual,
        op::EQUALS => Order::Equal,
        op::NOT_EQUALS => Order::Unequal,
        _ => return None,
    })
}

fn compare(id: u64, order: Order, x: Part, y: Part) -> Result<Test, Fault> {
    let negate = |test: Test| if order == Order::Unequal { Test::Not(test.into()) } else { test };
    let equality = matches!(order, Order::Equal | Order::Unequal);
    Ok(match (x, y) {
        (Part::Int(x) | Part::Double(x), Part::Int(y) | Part::Double(y)) => Test::Compare(x, order, y),
        (Part::Text(text), Part::Quoted(one)) | (Part::Quoted(one), Part::Text(text)) if equality => {
            negate(Test::Text(text, Match::Among(vec![one])))
        }
        (Part::Bool(x), Part::Bool(y)) if equality => {
            let neither = [&x, &y].map(|t| Test::Not(Box::new(t.clone()))).to_vec();
            negate(Test::Any(vec![Test::All(vec![x, y]), Test::All(neither)]))
        }
        (x, y) => {
            let (x, y) = (x.kind().name(), y.kind().name());
            return Err(Fault(id, format!("{x} and {y} cannot be compared like this")));
        }
    })
}

fn flag_kind(id: u64, name: &str) -> Result<FlagKind, Fault> {
    let all = FlagKind::ALL.map(FlagKind::name);
    let found = FlagKind::ALL.into_iter().find(|kind| kind.name() == name);
    found.ok_or_else(|| Fault(id, unknown("flag", name, &all)))
}

/// Joins tests, and those of the same kind within them.
fn flat(x: Test, y: Test, all: bool) -> Vec<Test> {
    let open = |test: Test| match test {
        Test::All(tests) if all => tests,
        Test::Any(tests) if !all => tests,
        other => vec![other],
    };
    let mut tests = open(x);
    tests.extend(open(y));
    tests
}

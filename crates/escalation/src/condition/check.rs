//! Checks the types of a parsed expression and lowers it to the form that is evaluated.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators as op};
use cel::{ParseErrors, Program};
use firewatch_domain::FlagKind;
use thiserror::Error;

use super::facts::{BOOL_FACTS, FLAGS_NAME, FactType, NUMERIC_FACT_SPECS, TEXT_FACTS, TextFact, fact_names};
use super::{BoolExpr, Comparison, NumExpr, TextMatch};

/// Why a condition is not valid: what is wrong, where, and the remedy.
#[derive(Debug, Error)]
pub enum ConditionError {
    /// The text does not follow the grammar.
    #[error("{condition:?}, character {column}: {problem}")]
    Syntax {
        /// The condition as it was written.
        condition: String,
        /// Position of the first fault, from 1.
        column: isize,
        /// The first fault.
        problem: String,
        /// All faults that the parser found.
        #[source]
        cause: ParseErrors,
    },
    /// A part is unknown, not supported or of the wrong type.
    #[error("{condition:?}, character {column}: {problem}")]
    Type {
        /// The condition as it was written.
        condition: String,
        /// Position of the part, from 1.
        column: u32,
        /// What is wrong, and the remedy.
        problem: String,
    },
}

/// A part of an expression with its type.
enum TypedExpr {
    Bool(BoolExpr),
    Int(NumExpr),
    Double(NumExpr),
    Text(TextFact),
    Quoted(Box<str>),
    Flags,
    List(Vec<Box<str>>),
}

impl TypedExpr {
    fn kind(&self) -> FactType {
        match self {
            Self::Bool(_) => FactType::Bool,
            Self::Int(_) => FactType::Int,
            Self::Double(_) => FactType::Double,
            Self::Text(_) | Self::Quoted(_) => FactType::String,
            Self::Flags | Self::List(_) => FactType::Strings,
        }
    }
}

/// A fault, with the id of the expression it is in.
struct TypeError(u64, String);

/// Parses, checks and lowers a condition.
///
/// # Errors
/// The first fault, with its position and the remedy.
pub(super) fn compile(source: &str) -> Result<BoolExpr, ConditionError> {
    let program = Program::compile(source).map_err(|cause| {
        let first = cause.errors.first().map(|e| (e.pos.1, e.msg.clone()));
        let (column, problem) = first.unwrap_or((1, "syntax error".into()));
        ConditionError::Syntax { condition: source.into(), column, problem, cause }
    })?;
    let whole = program.expression();
    let checked = lower(whole).and_then(|part| match part {
        TypedExpr::Bool(test) => Ok(test),
        other => Err(TypeError(
            whole.id,
            format!(
                "this is of type {}; a condition must be a bool, such as `risk >= 15`",
                other.kind().name()
            ),
        )),
    });
    checked.map_err(|TypeError(id, problem)| {
        let column = program.source_info().offset_for(id).map_or(1, |(start, _)| start + 1);
        ConditionError::Type { condition: source.into(), column, problem }
    })
}

fn lower(e: &IdedExpr) -> Result<TypedExpr, TypeError> {
    match &e.expr {
        Expr::Literal(literal) => self::literal(e.id, literal),
        Expr::Ident(name) => ident(e.id, name),
        Expr::List(list) => {
            let texts = list.elements.iter().map(|element| match lower(element)? {
                TypedExpr::Quoted(text) => Ok(text),
                other => Err(TypeError(
                    element.id,
                    format!("elements of a list must be quoted strings, not of type {}", other.kind().name()),
                )),
            });
            Ok(TypedExpr::List(texts.collect::<Result<_, _>>()?))
        }
        Expr::Call(call) => self::call(e.id, call),
        Expr::Comprehension(_) => {
            Err(TypeError(e.id, "loops are not supported; write `\"press\" in flags`".into()))
        }
        Expr::Select(select) => {
            Err(TypeError(e.id, format!("`.{}` is not supported; names have no fields", select.field)))
        }
        Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
            Err(TypeError(e.id, "maps are not supported".into()))
        }
    }
}

fn literal(id: u64, literal: &LiteralValue) -> Result<TypedExpr, TypeError> {
    Ok(match literal {
        LiteralValue::Boolean(is) => TypedExpr::Bool(BoolExpr::Const(*is.inner())),
        LiteralValue::Double(x) => TypedExpr::Double(NumExpr::Const(*x.inner())),
        LiteralValue::Int(n) => TypedExpr::Int(NumExpr::Const(*n.inner() as f64)),
        LiteralValue::String(text) => TypedExpr::Quoted(text.inner().into()),
        LiteralValue::UInt(_) => return Err(TypeError(id, "write the number without the `u`".into())),
        LiteralValue::Bytes(_) | LiteralValue::Null => {
            return Err(TypeError(id, "only numbers, quoted strings, true and false are supported".into()));
        }
    })
}

fn ident(id: u64, name: &str) -> Result<TypedExpr, TypeError> {
    if let Some(fact) = NUMERIC_FACT_SPECS.iter().find(|fact| fact.name == name) {
        let number = NumExpr::Fact(fact.number);
        return Ok(if fact.kind == FactType::Int {
            TypedExpr::Int(number)
        } else {
            TypedExpr::Double(number)
        });
    }
    if let Some((flag, ..)) = BOOL_FACTS.iter().find(|(_, own, _)| *own == name) {
        return Ok(TypedExpr::Bool(BoolExpr::Fact(*flag)));
    }
    if let Some((text, ..)) = TEXT_FACTS.iter().find(|(_, own, _)| *own == name) {
        return Ok(TypedExpr::Text(*text));
    }
    if name == FLAGS_NAME {
        return Ok(TypedExpr::Flags);
    }
    let all: Vec<&str> = fact_names().map(|(name, ..)| name).collect();
    Err(TypeError(id, unknown("name", name, &all)))
}

/// Reports an unknown name or flag, with the closest known one or all of them.
fn unknown(kind: &str, given: &str, known: &[&str]) -> String {
    let close = |k: &&&str| strsim::jaro_winkler(k, given);
    let closest = known.iter().max_by(|a, b| close(a).total_cmp(&close(b))).filter(|k| close(k) > 0.8);
    match closest {
        Some(closest) => format!("unknown {kind} `{given}`; did you mean `{closest}`?"),
        None => format!("unknown {kind} `{given}`; give one of {}", known.join(", ")),
    }
}

fn call(id: u64, call: &CallExpr) -> Result<TypedExpr, TypeError> {
    let target = call.target.iter().map(AsRef::as_ref);
    let mut parts = target.chain(&call.args).map(lower).collect::<Result<Vec<_>, _>>()?.into_iter();
    let name = call.func_name.as_str();
    match (parts.next(), parts.next(), parts.next()) {
        (Some(x), None, None) => lower_unary(id, name, x),
        (Some(x), Some(y), None) => lower_binary(id, name, x, y),
        (Some(TypedExpr::Bool(test)), Some(x), Some(y)) if name == op::CONDITIONAL => {
            lower_conditional(id, test, x, y)
        }
        _ => Err(TypeError(id, no_function(name))),
    }
}

fn no_function(name: &str) -> String {
    format!(
        "`{}` is not supported here; use && || ! == != < <= > >= + - * / in ?: size() double() startsWith() endsWith() \
         contains()",
        name.trim_matches(['_', '@'])
    )
}

fn lower_unary(id: u64, name: &str, x: TypedExpr) -> Result<TypedExpr, TypeError> {
    Ok(match (name, x) {
        (op::LOGICAL_NOT, TypedExpr::Bool(test)) => TypedExpr::Bool(BoolExpr::Not(test.into())),
        (op::NEGATE, TypedExpr::Int(n)) => TypedExpr::Int(NumExpr::Negative(n.into())),
        (op::NEGATE, TypedExpr::Double(x)) => TypedExpr::Double(NumExpr::Negative(x.into())),
        ("double", TypedExpr::Int(n) | TypedExpr::Double(n)) => TypedExpr::Double(n),
        ("size", TypedExpr::Flags) => TypedExpr::Int(NumExpr::CountFlags),
        (name, x) => {
            return Err(TypeError(id, format!("{}; this is of type {}", no_function(name), x.kind().name())));
        }
    })
}

fn lower_binary(id: u64, name: &str, x: TypedExpr, y: TypedExpr) -> Result<TypedExpr, TypeError> {
    if let Some(order) = comparison(name) {
        return compare(id, order, x, y).map(TypedExpr::Bool);
    }
    let fault = |x: &TypedExpr, y: &TypedExpr| {
        let mixed = matches!(
            (x, y),
            (TypedExpr::Int(_), TypedExpr::Double(_)) | (TypedExpr::Double(_), TypedExpr::Int(_))
        );
        let hint =
            if mixed { "; write double(...) around the whole number, or 2.0 instead of 2" } else { "" };
        TypeError(id, format!("{} and {} cannot be combined here{hint}", x.kind().name(), y.kind().name()))
    };
    Ok(match (name, x, y) {
        (op::LOGICAL_AND, TypedExpr::Bool(x), TypedExpr::Bool(y)) => {
            TypedExpr::Bool(BoolExpr::All(flatten(x, y, true)))
        }
        (op::LOGICAL_OR, TypedExpr::Bool(x), TypedExpr::Bool(y)) => {
            TypedExpr::Bool(BoolExpr::Any(flatten(x, y, false)))
        }
        (op::IN, TypedExpr::Quoted(flag), TypedExpr::Flags) => {
            TypedExpr::Bool(BoolExpr::Flagged(vec![flag_kind(id, &flag)?]))
        }
        (op::IN, TypedExpr::Text(text), TypedExpr::List(all)) => {
            TypedExpr::Bool(BoolExpr::Text(text, TextMatch::OneOf(all)))
        }
        ("startsWith", TypedExpr::Text(text), TypedExpr::Quoted(with)) => {
            TypedExpr::Bool(BoolExpr::Text(text, TextMatch::Begins(with)))
        }
        ("endsWith", TypedExpr::Text(text), TypedExpr::Quoted(with)) => {
            TypedExpr::Bool(BoolExpr::Text(text, TextMatch::Ends(with)))
        }
        ("contains", TypedExpr::Text(text), TypedExpr::Quoted(part)) => {
            TypedExpr::Bool(BoolExpr::Text(text, TextMatch::Contains(part)))
        }
        (op::ADD | op::SUBSTRACT | op::MULTIPLY, TypedExpr::Int(x), TypedExpr::Int(y)) => {
            TypedExpr::Int(lower_arithmetic(name, x, y))
        }
        (op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE, TypedExpr::Double(x), TypedExpr::Double(y)) => {
            TypedExpr::Double(lower_arithmetic(name, x, y))
        }
        (op::DIVIDE | op::MODULO, TypedExpr::Int(_), TypedExpr::Int(_)) => {
            return Err(TypeError(id, "divide whole numbers as double(...) / double(...)".into()));
        }
        (
            op::LOGICAL_AND | op::LOGICAL_OR | op::IN | op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE,
            x,
            y,
        ) => {
            return Err(fault(&x, &y));
        }
        (other, ..) => return Err(TypeError(id, no_function(other))),
    })
}

fn lower_conditional(id: u64, test: BoolExpr, x: TypedExpr, y: TypedExpr) -> Result<TypedExpr, TypeError> {
    Ok(match (x, y) {
        (TypedExpr::Int(x), TypedExpr::Int(y)) => {
            TypedExpr::Int(NumExpr::If(test.into(), x.into(), y.into()))
        }
        (TypedExpr::Double(x), TypedExpr::Double(y)) => {
            TypedExpr::Double(NumExpr::If(test.into(), x.into(), y.into()))
        }
        (TypedExpr::Bool(x), TypedExpr::Bool(y)) => {
            let not = BoolExpr::Not(Box::new(test.clone()));
            TypedExpr::Bool(BoolExpr::Any(vec![BoolExpr::All(vec![test, x]), BoolExpr::All(vec![not, y])]))
        }
        (x, y) => {
            return Err(TypeError(
                id,
                format!(
                    "both branches of ?: must have the same type, not {} and {}",
                    x.kind().name(),
                    y.kind().name()
                ),
            ));
        }
    })
}

fn lower_arithmetic(name: &str, x: NumExpr, y: NumExpr) -> NumExpr {
    let (x, y) = (x.into(), y.into());
    match name {
        op::ADD => NumExpr::Sum(x, y),
        op::SUBSTRACT => NumExpr::Difference(x, y),
        op::MULTIPLY => NumExpr::Product(x, y),
        _ => NumExpr::Quotient(x, y),
    }
}

fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        op::LESS => Comparison::Less,
        op::LESS_EQUALS => Comparison::LessOrEqual,
        op::GREATER => Comparison::Greater,
        op::GREATER_EQUALS => Comparison::GreaterOrEqual,
        op::EQUALS => Comparison::Equal,
        op::NOT_EQUALS => Comparison::Unequal,
        _ => return None,
    })
}

fn compare(id: u64, order: Comparison, x: TypedExpr, y: TypedExpr) -> Result<BoolExpr, TypeError> {
    let negate =
        |test: BoolExpr| if order == Comparison::Unequal { BoolExpr::Not(test.into()) } else { test };
    let equality = matches!(order, Comparison::Equal | Comparison::Unequal);
    Ok(match (x, y) {
        (TypedExpr::Int(x) | TypedExpr::Double(x), TypedExpr::Int(y) | TypedExpr::Double(y)) => {
            BoolExpr::Compare(x, order, y)
        }
        (TypedExpr::Text(text), TypedExpr::Quoted(one)) | (TypedExpr::Quoted(one), TypedExpr::Text(text))
            if equality =>
        {
            negate(BoolExpr::Text(text, TextMatch::OneOf(vec![one])))
        }
        (TypedExpr::Bool(x), TypedExpr::Bool(y)) if equality => {
            let neither = [&x, &y].map(|t| BoolExpr::Not(Box::new(t.clone()))).to_vec();
            negate(BoolExpr::Any(vec![BoolExpr::All(vec![x, y]), BoolExpr::All(neither)]))
        }
        (x, y) => {
            let (x, y) = (x.kind().name(), y.kind().name());
            return Err(TypeError(id, format!("{x} and {y} cannot be compared like this")));
        }
    })
}

fn flag_kind(id: u64, name: &str) -> Result<FlagKind, TypeError> {
    let all = FlagKind::ALL.map(FlagKind::name);
    let found = FlagKind::ALL.into_iter().find(|kind| kind.name() == name);
    found.ok_or_else(|| TypeError(id, unknown("flag", name, &all)))
}

/// Joins two tests, and nested tests of the same kind.
fn flatten(x: BoolExpr, y: BoolExpr, all: bool) -> Vec<BoolExpr> {
    let open = |test: BoolExpr| match test {
        BoolExpr::All(tests) if all => tests,
        BoolExpr::Any(tests) if !all => tests,
        other => vec![other],
    };
    let mut tests = open(x);
    tests.extend(open(y));
    tests
}

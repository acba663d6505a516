//! The structure of rows: how a file's columns form the fields, structs, lists and maps of an event.
//!
//! Parquet stores a nested value as flat columns with levels. Each node keeps the levels at which its value
//! exists, by the rules of the format's specification for lists and maps, old ones included.

use std::collections::BTreeMap;
use std::ops::Range;

use ::parquet::basic::{ConvertedType, Repetition};
use ::parquet::schema::types::{Type, TypePtr};

use super::value::ColumnFormat;

/// The fields of a row and the formats of its columns.
pub struct RowSchema {
    pub fields: Vec<Field>,
    /// One for each column of the file, in order.
    pub formats: Vec<ColumnFormat>,
}

/// A named value.
pub struct Field {
    /// The name in JSON, in quotes and with a colon.
    pub key: String,
    pub node: Node,
}

/// A value of a row.
pub struct Node {
    pub shape: Shape,
    /// The least definition level at which the value is not null.
    pub defined: i16,
    /// Columns that store the value.
    pub columns: Range<usize>,
}

/// What a value consists of.
pub enum Shape {
    Value,
    Struct(Vec<Field>),
    /// Columns with dotted names. The struct is null in a row if all of its fields are.
    Dotted(Vec<Field>),
    List(Repeated<Box<Node>>),
    Map(Repeated<Box<Entry>>),
}

/// Items of a list or entries of a map.
pub struct Repeated<T> {
    pub item: T,
    /// The repetition level of every item but the first.
    pub level: i16,
}

/// An entry of a map.
pub struct Entry {
    pub key: Node,
    pub value: Node,
}

impl RowSchema {
    /// Derives the structure of rows from a file's schema.
    pub fn new(root: &Type) -> Self {
        let mut builder = Builder { formats: vec![] };
        let columns = root.get_fields().iter();
        let nodes: Vec<(&str, Node)> = columns
            .filter_map(|column| Some((column.name(), builder.node(column, Levels::default())?)))
            .collect();
        let mut formats = builder.formats;
        for (_, node) in &nodes {
            if let Shape::Value = node.shape {
                let format = &mut formats[node.columns.start];
                *format = format.at_top_level();
            }
        }
        Self { fields: gathered(nodes), formats }
    }
}

/// Gathers columns with dotted names into structs, which follow the other columns.
fn gathered(columns: Vec<(&str, Node)>) -> Vec<Field> {
    let mut parts: BTreeMap<&str, Vec<(&str, Node)>> = BTreeMap::new();
    let mut fields = Vec::new();
    for (name, node) in columns {
        match name.split_once('.') {
            Some((stem, rest)) => parts.entry(stem).or_default().push((rest, node)),
            None => fields.push(Field::new(name, node)),
        }
    }
    fields.extend(parts.into_iter().map(|(name, columns)| {
        Field::new(name, Node { shape: Shape::Dotted(gathered(columns)), defined: 0, columns: 0..0 })
    }));
    fields
}

impl Field {
    fn new(name: &str, node: Node) -> Self {
        Self { key: format!("{}:", serde_json::Value::from(name)), node }
    }
}

/// Definition and repetition level of the values in which a type is nested.
#[derive(Clone, Copy, Default)]
struct Levels {
    definition: i16,
    repetition: i16,
}

impl Levels {
    fn optional(self) -> Self {
        Self { definition: self.definition + 1, ..self }
    }

    fn repeated(self) -> Self {
        Self { definition: self.definition + 1, repetition: self.repetition + 1 }
    }
}

/// Builds nodes and collects the formats of their columns. Groups without columns have no node.
struct Builder {
    formats: Vec<ColumnFormat>,
}

impl Builder {
    fn node(&mut self, ty: &Type, outer: Levels) -> Option<Node> {
        match repetition(ty) {
            Repetition::REQUIRED => self.required(ty, outer),
            Repetition::OPTIONAL => self.required(ty, outer.optional()),
            Repetition::REPEATED => {
                let inner = outer.repeated();
                let item = self.required(ty, inner)?;
                Some(list(item, outer, inner))
            }
        }
    }

    /// Builds the node of a type whose own repetition the levels include.
    fn required(&mut self, ty: &Type, levels: Levels) -> Option<Node> {
        if ty.is_primitive() {
            self.formats.push(ColumnFormat::new(ty));
            let column = self.formats.len() - 1;
            let columns = column..column + 1;
            return Some(Node { shape: Shape::Value, defined: levels.definition, columns });
        }
        match (ty.get_basic_info().converted_type(), only_repeated(ty)) {
            (ConvertedType::LIST, Some(items)) => self.list(ty, items, levels),
            (ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE, Some(entries)) => {
                match children(entries) {
                    [key, value] => self.map(key, value, levels),
                    // A map without values is the list of its keys.
                    _ => self.list(ty, entries, levels),
                }
            }
            _ => self.group(ty, levels),
        }
    }

    fn group(&mut self, ty: &Type, levels: Levels) -> Option<Node> {
        let start = self.formats.len();
        let fields: Vec<Field> = children(ty)
            .iter()
            .filter_map(|child| Some(Field::new(child.name(), self.node(child, levels)?)))
            .collect();
        let columns = start..self.formats.len();
        let node = Node { shape: Shape::Struct(fields), defined: levels.definition, columns };
        (!node.columns.is_empty()).then_some(node)
    }

    fn list(&mut self, ty: &Type, items: &Type, outer: Levels) -> Option<Node> {
        let inner = outer.repeated();
        let item = match children(items) {
            [item] if !is_item(ty, items, item) => self.node(item, inner),
            [] => self.required(items, inner),
            _ => self.group(items, inner),
        };
        Some(list(item?, outer, inner))
    }

    fn map(&mut self, key: &Type, value: &Type, outer: Levels) -> Option<Node> {
        let inner = outer.repeated();
        let start = self.formats.len();
        let item = Box::new(Entry { key: self.node(key, inner)?, value: self.node(value, inner)? });
        let shape = Shape::Map(Repeated { item, level: inner.repetition });
        Some(Node { shape, defined: outer.definition, columns: start..self.formats.len() })
    }
}

fn list(item: Node, outer: Levels, inner: Levels) -> Node {
    let columns = item.columns.clone();
    let shape = Shape::List(Repeated { item: Box::new(item), level: inner.repetition });
    Node { shape, defined: outer.definition, columns }
}

/// Returns whether the repeated group of a list is the item itself, as old writers have it, and does not just
/// wrap its only child.
fn is_item(list: &Type, items: &Type, child: &Type) -> bool {
    let is_named_like_item = items.name() == "array" || items.name() == format!("{}_tuple", list.name());
    is_named_like_item
        && items.get_basic_info().converted_type() != ConvertedType::LIST
        && repetition(child) != Repetition::REPEATED
}

/// Returns the child of a group if it is the only one and repeated.
fn only_repeated(group: &Type) -> Option<&Type> {
    match children(group) {
        [child] if repetition(child) == Repetition::REPEATED => Some(child),
        _ => None,
    }
}

fn children(ty: &Type) -> &[TypePtr] {
    if ty.is_group() { ty.get_fields() } else { &[] }
}

fn repetition(ty: &Type) -> Repetition {
    let about = ty.get_basic_info();
    if about.has_repetition() { about.repetition() } else { Repetition::REQUIRED }
}

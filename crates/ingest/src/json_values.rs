//! Lenient JSON values for platform payloads, which write the same field as a number in one place and as a
//! string in another.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// An id, given as a string or an integer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(pub String);

/// A count, given as a number or a string. `None` for a negative one, which platforms use for "unknown".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count(pub Option<u64>);

/// Returns the count if it is present and known.
pub(crate) fn known_count(count: Option<Count>) -> Option<u64> {
    count.and_then(|count| count.0)
}

/// Returns the id if it is present. Platforms write an empty id or 0 for "none".
pub(crate) fn non_empty_id(id: Option<Id>) -> Option<String> {
    id.map(|id| id.0).filter(|id| !id.is_empty() && id != "0")
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = Id;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id, as a string or an integer")
    }

    fn visit_str<E: de::Error>(self, id: &str) -> Result<Id, E> {
        Ok(Id(id.to_owned()))
    }

    fn visit_string<E: de::Error>(self, id: String) -> Result<Id, E> {
        Ok(Id(id))
    }

    fn visit_u64<E: de::Error>(self, id: u64) -> Result<Id, E> {
        Ok(Id(id.to_string()))
    }

    fn visit_i64<E: de::Error>(self, id: i64) -> Result<Id, E> {
        Ok(Id(id.to_string()))
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(IdVisitor)
    }
}

struct CountVisitor;

impl Visitor<'_> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a count")
    }

    fn visit_u64<E: de::Error>(self, count: u64) -> Result<Count, E> {
        Ok(Count(Some(count)))
    }

    fn visit_i64<E: de::Error>(self, count: i64) -> Result<Count, E> {
        Ok(Count(u64::try_from(count).ok()))
    }

    fn visit_f64<E: de::Error>(self, count: f64) -> Result<Count, E> {
        let is_whole = count.fract() == 0.0 && (0.0..1e15).contains(&count);
        if is_whole {
            Ok(Count(Some(count as u64)))
        } else {
            Err(E::custom("a count that is not an integer"))
        }
    }

    fn visit_str<E: de::Error>(self, count: &str) -> Result<Count, E> {
        count.parse().map(|count| Count(Some(count))).map_err(|_| E::custom("a string that is not a count"))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(CountVisitor)
    }
}

/// An optional object, where a platform writes a string, boolean or number for "none".
#[derive(Debug)]
pub(crate) struct IfObject<T>(pub Option<T>);

struct IfObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for IfObjectVisitor<T> {
    type Value = IfObject<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, or a string, boolean or number in its place")
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<IfObject<T>, E> {
        Ok(IfObject(None))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<IfObject<T>, E> {
        Ok(IfObject(None))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<IfObject<T>, E> {
        Ok(IfObject(None))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, object: A) -> Result<IfObject<T>, A::Error> {
        T::deserialize(de::value::MapAccessDeserializer::new(object)).map(|object| IfObject(Some(object)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for IfObject<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(IfObjectVisitor(PhantomData))
    }
}

/// A text, where a platform writes an object in another payload.
#[derive(Debug, Clone)]
pub(crate) struct IfText(pub Option<String>);

struct IfTextVisitor;

impl<'de> Visitor<'de> for IfTextVisitor {
    type Value = IfText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or an object in its place")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<IfText, E> {
        Ok(IfText(Some(text.to_owned())))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, object: A) -> Result<IfText, A::Error> {
        de::IgnoredAny::deserialize(de::value::MapAccessDeserializer::new(object)).map(|_| IfText(None))
    }
}

impl<'de> Deserialize<'de> for IfText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(IfTextVisitor)
    }
}

/// A list, where a platform writes an object in another payload.
#[derive(Debug)]
pub(crate) struct IfList<T>(pub Option<Items<T>>);

struct IfListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for IfListVisitor<T> {
    type Value = IfList<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list, or an object in its place")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<IfList<T>, A::Error> {
        Items::deserialize(de::value::SeqAccessDeserializer::new(list)).map(|list| IfList(Some(list)))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, object: A) -> Result<IfList<T>, A::Error> {
        de::IgnoredAny::deserialize(de::value::MapAccessDeserializer::new(object)).map(|_| IfList(None))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for IfList<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(IfListVisitor(PhantomData))
    }
}

/// The items of a page. A `null` is no item: platforms leave it where an item was, and so does
/// [`crate::bad_items`]. A `null` in the place of the page is an empty one.
#[derive(Debug, Clone)]
pub(crate) struct Items<T>(Vec<Option<T>>);

struct ItemsVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ItemsVisitor<T> {
    type Value = Items<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Items<T>, A::Error> {
        Vec::deserialize(de::value::SeqAccessDeserializer::new(list)).map(Items)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Items<T>, E> {
        Ok(Items::default())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ItemsVisitor(PhantomData))
    }
}

impl<T> Items<T> {
    /// Returns whether there is a place without an item.
    pub fn has_gaps(&self) -> bool {
        self.0.iter().any(Option::is_none)
    }

    /// Returns whether there is neither an item nor a place for one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the items in order, for changes.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flatten()
    }

    /// Returns the items in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self(vec![])
    }
}

/// Iterates over the places of a page, so that each item keeps its number.
impl<T> IntoIterator for Items<T> {
    type Item = Option<T>;
    type IntoIter = std::vec::IntoIter<Option<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Items<T> {
    type Item = Option<&'a T>;
    type IntoIter = std::iter::Map<std::slice::Iter<'a, Option<T>>, fn(&'a Option<T>) -> Option<&'a T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(Option::as_ref)
    }
}

impl<T> FromIterator<T> for Items<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().map(Some).collect())
    }
}

/// A single object or an array of objects.
#[derive(Debug)]
pub(crate) enum OneOrMany<T> {
    One(Box<T>),
    Many(Items<T>),
}

struct OneOrManyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list of objects")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<OneOrMany<T>, A::Error> {
        Items::deserialize(de::value::SeqAccessDeserializer::new(list)).map(OneOrMany::Many)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, object: A) -> Result<OneOrMany<T>, A::Error> {
        T::deserialize(de::value::MapAccessDeserializer::new(object)).map(Box::new).map(OneOrMany::One)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OneOrManyVisitor(PhantomData))
    }
}

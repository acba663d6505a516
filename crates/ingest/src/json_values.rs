//! Ids and counts as platforms write them: the same field is a number here and a text there.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// An id: a text, or a whole number that stands for one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(pub String);

/// A count; a negative one says that the platform will not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count(pub Option<u64>);

/// The count, if one is told.
pub(crate) fn known_count(count: Option<Count>) -> Option<u64> {
    count.and_then(|count| count.0)
}

/// The text of an id, if one is told: platforms write an empty one, or zero, for none.
pub(crate) fn non_empty_id(id: Option<Id>) -> Option<String> {
    id.map(|id| id.0).filter(|id| !id.is_empty() && id != "0")
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = Id;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id, as a text or a whole number")
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
        if is_whole { Ok(Count(Some(count as u64))) } else { Err(E::custom("a count with a fraction")) }
    }

    fn visit_str<E: de::Error>(self, count: &str) -> Result<Count, E> {
        count.parse().map(|count| Count(Some(count))).map_err(|_| E::custom("a text that is no count"))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(CountVisitor)
    }
}

/// An object, where something else stands for none.
#[derive(Debug)]
pub(crate) struct IfObject<T>(pub Option<T>);

struct IfObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for IfObjectVisitor<T> {
    type Value = IfObject<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, or a text, flag or number in its place")
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

/// One, or a list of them.
#[derive(Debug)]
pub(crate) enum OneOrMany<T> {
    One(Box<T>),
    Many(Vec<T>),
}

struct OneOrManyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list of objects")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<OneOrMany<T>, A::Error> {
        Vec::deserialize(de::value::SeqAccessDeserializer::new(list)).map(OneOrMany::Many)
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

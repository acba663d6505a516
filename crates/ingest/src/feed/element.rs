//! Elements of RSS and Atom: one or several of a name, with their text and attributes.

use firewatch_domain::EventTime;
use serde::Deserialize;

use crate::json_values::{Items, OneOrMany};
use crate::{Result, html, platform_time};

#[derive(Debug, Deserialize)]
pub(super) struct Element {
    #[serde(default)]
    pub(super) label: String,
    #[serde(default)]
    pub(super) attributes: Attributes,
    /// The name of an author.
    pub(super) name: Option<Box<OneOrMany<Element>>>,
    /// The title of a source.
    pub(super) title: Option<Box<OneOrMany<Element>>>,
    pub(super) author: Option<Box<OneOrMany<Element>>>,
    #[serde(rename = "media:description")]
    pub(super) description: Option<Box<OneOrMany<Element>>>,
    #[serde(rename = "app:draft")]
    pub(super) draft: Option<Box<OneOrMany<Element>>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Attributes {
    pub(super) href: Option<String>,
    pub(super) rel: Option<String>,
    pub(super) lang: Option<String>,
    /// What relative addresses in the element begin with.
    pub(super) base: Option<String>,
    pub(super) about: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    #[serde(rename = "isPermaLink")]
    pub(super) is_permalink: Option<String>,
    /// The entry that a tombstone stands for, and when it was deleted.
    #[serde(rename = "ref")]
    pub(super) entry: Option<String>,
    pub(super) when: Option<String>,
}

impl Element {
    pub(super) fn text(&self) -> Option<String> {
        Some(self.label.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// Returns the words. Only Atom says when a text is no HTML.
    pub(super) fn words(&self) -> String {
        if self.attributes.kind.as_deref() == Some("text") {
            self.label.clone()
        } else {
            html::text(&self.label)
        }
    }

    /// Returns the name of a person or source: of its author, its own, its title, or its text.
    pub(super) fn name_or_text(&self) -> Option<String> {
        let author = self.author.as_deref().and_then(|author| person(Some(author)));
        let named = self.name.as_deref().or(self.title.as_deref());
        author.or_else(|| first_text(named)).or_else(|| self.text())
    }
}

/// Returns the name of an author, without an address of mail: feeds write `address (name)` and `name <address>`.
pub(super) fn person(author: Option<&OneOrMany<Element>>) -> Option<String> {
    let text = first(author).and_then(Element::name_or_text)?;
    let name = match (text.split_once('('), text.split_once('<')) {
        (Some((address, name)), _) if address.contains('@') => name.trim_end_matches(')'),
        (_, Some((name, address))) if address.contains('@') => name,
        _ => &text,
    };
    Some(name.trim().to_owned()).filter(|name| !name.is_empty() && !name.contains('@'))
}

/// Returns the time of the first of these elements that is present.
pub(super) fn first_time<const N: usize>(
    places: [(&str, &Option<OneOrMany<Element>>); N],
) -> Result<Option<EventTime>> {
    let present = places.into_iter().find_map(|place| Some((place.0, first_text(place.1.as_ref())?)));
    present.map(|present| platform_time::text(present.0, Some(&present.1))).transpose()
}

pub(super) fn first_text(elements: Option<&OneOrMany<Element>>) -> Option<String> {
    first(elements)?.text()
}

pub(super) fn first<T>(elements: Option<&OneOrMany<T>>) -> Option<&T> {
    elements.and_then(|elements| each(elements).next())
}

pub(super) fn each<T>(elements: &OneOrMany<T>) -> Box<dyn Iterator<Item = &T> + '_> {
    match elements {
        OneOrMany::One(one) => Box::new(std::iter::once(&**one)),
        OneOrMany::Many(many) => Box::new(many.iter()),
    }
}

pub(super) fn only<T>(elements: OneOrMany<T>) -> Option<T> {
    many(elements).into_iter().flatten().next()
}

pub(super) fn many<T>(elements: OneOrMany<T>) -> Items<T> {
    match elements {
        OneOrMany::One(one) => [*one].into_iter().collect(),
        OneOrMany::Many(many) => many,
    }
}

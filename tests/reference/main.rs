//! The book's reference chapters, generated from schemas, descriptors and the command's own help.
//!
//! `FIREWATCH_BLESS=1` writes the pages. Without it a page that differs from the code fails, and so does a
//! broken link or an unlisted page.

mod book;
mod pages;

use firewatch_tests::root;

#[test]
fn every_reference_page_is_generated_from_the_code() {
    let folder = root().join("docs/src/reference");
    let mut stale = Vec::new();
    for (name, page) in pages::all() {
        let path = folder.join(name);
        if std::env::var_os("FIREWATCH_BLESS").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != page {
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "out of date; regenerate with FIREWATCH_BLESS=1: {stale:?}");
}

#[test]
fn every_key_of_settings_and_policy_is_described() {
    for name in ["settings", "policy"] {
        let rows = pages::rows_of(&pages::schema(name));
        assert!(rows.len() > 40, "{name}: {} keys", rows.len());
        let bare: Vec<&String> =
            rows.iter().filter(|row| row.description.is_empty()).map(|row| &row.key).collect();
        assert!(bare.is_empty(), "{name}: {bare:?}");
    }
}

#[test]
fn the_sample_settings_show_every_section() {
    let sample = std::fs::read_to_string(root().join("firewatch.toml")).unwrap();
    for row in pages::rows_of(&pages::schema("settings")) {
        let section = row.key.split('.').next().unwrap();
        assert!(sample.contains(&format!("[{section}")), "firewatch.toml has no [{section}]");
    }
}

#[test]
fn every_link_and_picture_in_the_documents_resolves() {
    let broken = book::broken_links();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let (listed, there) = book::contents();
    assert_eq!(listed, there, "SUMMARY.md and the pages differ");
}

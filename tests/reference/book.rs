//! Checks of the book: every link resolves, every page is in the table of contents.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use firewatch_tests::root;

/// Documents outside the book that link into it.
const PAPERS: [&str; 5] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"];

fn pages_below(folder: &Path, to: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages_below(&path, to);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            to.push(path);
        }
    }
}

fn book() -> PathBuf {
    root().join("docs/src")
}

/// Returns the links to files or headings that do not exist, each with its page.
pub fn broken_links() -> Vec<String> {
    let mut pages: Vec<PathBuf> = PAPERS.iter().map(|paper| root().join(paper)).collect();
    pages_below(&book(), &mut pages);
    let mut broken = Vec::new();
    for page in &pages {
        for link in links(&std::fs::read_to_string(page).unwrap()) {
            if !leads_somewhere(page, &link) {
                broken.push(format!("{}: {link}", page.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    broken
}

/// Returns the targets of a page's links and pictures, except those in code.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Text between single back-ticks is code as well.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        let mut rest = prose.as_str();
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            if let Some(end) = rest.find(')') {
                links.push(rest[..end].to_owned());
                rest = &rest[end..];
            }
        }
    }
    links
}

fn leads_somewhere(page: &Path, link: &str) -> bool {
    if link.starts_with("https://") || link.starts_with("http://") || link.starts_with("mailto:") {
        return true;
    }
    let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
    let target = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    let Some(heading) = heading else { return target.exists() };
    let Ok(text) = std::fs::read_to_string(&target) else { return false };
    text.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == heading)
}

/// Returns a heading's anchor as mdBook and code hosts make it: lower case, spaces as hyphens, only letters,
/// digits, `_` and `-`.
fn anchor(heading: &str) -> String {
    let title = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Returns the pages that the table of contents lists, and those that exist.
pub fn contents() -> (BTreeSet<String>, BTreeSet<String>) {
    let summary = std::fs::read_to_string(book().join("SUMMARY.md")).unwrap();
    let mut pages = Vec::new();
    pages_below(&book(), &mut pages);
    let name = |page: &PathBuf| page.strip_prefix(book()).unwrap().display().to_string();
    let there = pages.iter().map(name).filter(|name| name != "SUMMARY.md").collect();
    (links(&summary).into_iter().collect(), there)
}

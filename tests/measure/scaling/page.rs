//! docs/scaling.md: the parts of it that this program writes are between two comments.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::example::Plan;
use crate::inputs::Inputs;
use crate::tiers::{self, Tables};

/// One part of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Inputs,
    Answers,
    Viewers,
    Memory,
    Well,
    WithoutAShield,
    WithoutARegion,
    Channels,
    Example,
}

impl Part {
    /// Its name in the comments.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Inputs => "inputs",
            Self::Answers => "answers",
            Self::Viewers => "viewers",
            Self::Memory => "memory",
            Self::Well => "well",
            Self::WithoutAShield => "without a shield",
            Self::WithoutARegion => "without a region",
            Self::Channels => "channels",
            Self::Example => "example",
        }
    }

    /// The text in `page` between this part's comments, and the text before and after it.
    pub(crate) fn find(self, page: &str) -> Result<[&str; 3]> {
        let (begin, end) =
            (format!("<!-- begin {} -->\n", self.name()), format!("<!-- end {} -->", self.name()));
        let split = page.split_once(&begin).and_then(|(before, rest)| {
            let (text, behind) = rest.split_once(&end)?;
            let (before, rest) = page.split_at(before.len() + begin.len());
            Some([before, text, rest.get(rest.len() - behind.len() - end.len()..)?])
        });
        split.with_context(|| format!("the page has no {begin}"))
    }
}

/// The path of the page.
pub(crate) fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/scaling.md")
}

/// A part, and its text.
type Text = (Part, String);

/// The results of the arithmetic.
pub(crate) async fn model(inputs: &Inputs) -> Result<Vec<Text>> {
    Ok(vec![
        (Part::Inputs, inputs.table()),
        (Part::Answers, inputs.responses()),
        (Part::Viewers, inputs.viewers_table()),
        (Part::Memory, inputs.memory_table()),
        (Part::Example, Plan::new(inputs).steps().await?),
    ])
}

/// The results of the simulation, whatever the inputs.
pub(crate) async fn simulation() -> Result<Vec<Text>> {
    let Tables { well, without_a_shield, without_a_region } = Tables::simulate().await?;
    Ok(vec![
        (Part::Well, well),
        (Part::WithoutAShield, without_a_shield),
        (Part::WithoutARegion, without_a_region),
        (Part::Channels, tiers::by_channels().await?),
    ])
}

/// Writes all parts into the page.
pub(crate) fn write(texts: &[Text]) -> Result<()> {
    let mut page = std::fs::read_to_string(file()).context("docs/scaling.md")?;
    for (part, text) in texts {
        let [before, _, behind] = part.find(&page)?;
        page = [before, text, behind].concat();
    }
    std::fs::write(file(), page).context("docs/scaling.md")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_in_the_page(texts: &[Text]) {
        let page = std::fs::read_to_string(file()).unwrap();
        for (part, text) in texts {
            let [_, shown, _] = part.find(&page).unwrap();
            let command = "cargo run -q --release -p tidegate-tests --bin scaling write";
            assert_eq!(shown, text, "{part:?}: to update it, run {command}");
        }
    }

    #[tokio::test]
    async fn the_page_has_the_computed_model() {
        assert_in_the_page(&model(&Inputs::default()).await.unwrap());
    }

    #[tokio::test]
    async fn the_page_has_the_simulated_tiers() {
        assert_in_the_page(&simulation().await.unwrap());
    }

    #[test]
    fn a_part_is_found_between_its_comments() {
        let page = "a\n<!-- begin well -->\nold\n<!-- end well -->\nb\n";
        let [before, text, behind] = Part::Well.find(page).unwrap();
        assert_eq!((before, text, behind), ("a\n<!-- begin well -->\n", "old\n", "<!-- end well -->\nb\n"));
        assert!(Part::Memory.find(page).is_err());
    }
}

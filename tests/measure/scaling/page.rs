//! docs/scaling.md: the parts of it that this program writes stand between two comments.

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

    /// What stands in `page` between this part's comments, and what is before and behind it.
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

/// Where the page is.
pub(crate) fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/scaling.md")
}

/// A part, and what it says.
type Text = (Part, String);

/// What arithmetic says.
pub(crate) async fn model(inputs: &Inputs) -> Result<Vec<Text>> {
    Ok(vec![
        (Part::Inputs, inputs.table()),
        (Part::Answers, inputs.responses()),
        (Part::Viewers, inputs.viewers_table()),
        (Part::Memory, inputs.memory_table()),
        (Part::Example, Plan::new(inputs).steps().await?),
    ])
}

/// What is simulated, whatever is given.
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

    fn assert_stand_in_the_page(texts: &[Text]) {
        let page = std::fs::read_to_string(file()).unwrap();
        for (part, text) in texts {
            let [_, shown, _] = part.find(&page).unwrap();
            let command = "cargo run -q --release -p tidegate-tests --bin scaling write";
            assert_eq!(shown, text, "{part:?}: to write it anew, run {command}");
        }
    }

    #[tokio::test]
    async fn the_page_has_the_model_as_it_is_computed() {
        assert_stand_in_the_page(&model(&Inputs::default()).await.unwrap());
    }

    #[tokio::test]
    async fn the_page_has_the_tiers_as_they_are_simulated() {
        assert_stand_in_the_page(&simulation().await.unwrap());
    }

    #[test]
    fn a_part_is_found_between_its_comments() {
        let page = "a\n<!-- begin well -->\nold\n<!-- end well -->\nb\n";
        let [before, text, behind] = Part::Well.find(page).unwrap();
        assert_eq!((before, text, behind), ("a\n<!-- begin well -->\n", "old\n", "<!-- end well -->\nb\n"));
        assert!(Part::Memory.find(page).is_err());
    }
}

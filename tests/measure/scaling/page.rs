//! docs/scaling.md: the parts of it that this program writes stand between two comments.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::example::Plan;
use crate::inputs::Inputs;
use crate::tiers::{self, Scenes};

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
    pub(crate) const ALL: [Self; 9] = [
        Self::Inputs,
        Self::Answers,
        Self::Viewers,
        Self::Memory,
        Self::Well,
        Self::WithoutAShield,
        Self::WithoutARegion,
        Self::Channels,
        Self::Example,
    ];

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

    pub(crate) async fn write(self, inputs: &Inputs) -> Result<String> {
        Ok(match self {
            Self::Inputs => inputs.table(),
            Self::Answers => inputs.answers(),
            Self::Viewers => inputs.viewers_table(),
            Self::Memory => inputs.memory_table(),
            Self::Well => Scenes::new().well().await?,
            Self::WithoutAShield => Scenes::new().without_a_shield().await?,
            Self::WithoutARegion => Scenes::new().without_a_region().await?,
            Self::Channels => tiers::by_channels().await?,
            Self::Example => Plan::new(inputs).steps().await?,
        })
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

/// Writes all parts into the page.
pub(crate) async fn write(inputs: &Inputs) -> Result<()> {
    let mut page = std::fs::read_to_string(file()).context("docs/scaling.md")?;
    for part in Part::ALL {
        let text = part.write(inputs).await?;
        let [before, _, behind] = part.find(&page)?;
        page = [before, &text, behind].concat();
    }
    std::fs::write(file(), page).context("docs/scaling.md")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of the slow parts is a test of its own, so that they run beside each other.
    async fn assert_true(part: Part) {
        let page = std::fs::read_to_string(file()).unwrap();
        let [_, text, _] = part.find(&page).unwrap();
        let written = part.write(&Inputs::default()).await.unwrap();
        assert_eq!(text, written, "run `cargo run -q --release -p tidegate-tests --bin scaling write`");
    }

    #[tokio::test]
    async fn the_page_has_the_model_that_this_program_computes() {
        for part in [Part::Inputs, Part::Answers, Part::Viewers, Part::Memory, Part::Channels, Part::Example]
        {
            assert_true(part).await;
        }
    }

    #[tokio::test]
    async fn the_page_has_the_tiers_as_they_are_simulated() {
        assert_true(Part::Well).await;
    }

    #[tokio::test]
    async fn the_page_has_the_loss_of_a_shield_as_it_is_simulated() {
        assert_true(Part::WithoutAShield).await;
    }

    #[tokio::test]
    async fn the_page_has_the_loss_of_a_region_as_it_is_simulated() {
        assert_true(Part::WithoutARegion).await;
    }

    #[test]
    fn a_part_is_found_between_its_comments() {
        let page = "a\n<!-- begin well -->\nold\n<!-- end well -->\nb\n";
        let [before, text, behind] = Part::Well.find(page).unwrap();
        assert_eq!((before, text, behind), ("a\n<!-- begin well -->\n", "old\n", "<!-- end well -->\nb\n"));
        assert!(Part::Memory.find(page).is_err());
    }
}

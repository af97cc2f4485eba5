//! The numbers in which a stream is published, where they are not the origin's own.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_cache::Head;
use tidegate_headers::conditional;
use tidegate_hls::{Mark, Media, Numbering, Splice};

/// A version of a media playlist as it is given out.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) media: Media,
    pub(crate) body: Bytes,
    pub(super) published: Published,
    pub(super) is_altered: bool,
    /// A run begins with it.
    pub(crate) begins: bool,
    /// It is of an earlier run than the one that is given out.
    pub(crate) is_old: bool,
}

/// In which numbers a stream is given out.
#[derive(Debug, Clone, Default)]
pub(super) struct Published {
    pub(super) numbering: Numbering,
    /// How whoever was asked last numbers it itself.
    pub(super) received: Numbering,
    /// What is added to that.
    pub(super) shift: i64,
    pub(super) splice: Option<Arc<Splice>>,
    /// The mark of what comes without one.
    pub(super) unmarked: Option<Mark>,
}

impl Published {
    /// How it is given out if whoever was asked last says this now.
    pub(super) fn continued(&self, received: Numbering) -> Numbering {
        let epoch = if received.epoch == self.received.epoch {
            self.numbering.epoch
        } else {
            received.epoch.or(self.numbering.epoch)
        };
        Numbering { epoch, added: received.added.saturating_add_signed(self.shift) }
    }
}

impl Version {
    /// The head that it is given out with.
    pub(crate) fn head(&self, head: Head) -> Head {
        if self.is_altered { Head { headers: conditional::altered(&head.headers), ..head } } else { head }
    }
}

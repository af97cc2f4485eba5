//! A version as it is published, and the numbering of a stream, where it is not the origin's own.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_cache::Head;
use tidegate_headers::conditional;
use tidegate_hls::{Mark, Media, Numbering, Splice};

/// A version of a media playlist as it is published.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) media: Arc<Media>,
    pub(crate) body: Bytes,
    pub(super) published: PublishedNumbering,
    pub(super) is_rewritten: bool,
    /// It is the first one of a new epoch.
    pub(crate) starts_epoch: bool,
    /// It belongs to an earlier epoch than the published one.
    pub(crate) is_outdated: bool,
}

/// The numbering in which a stream is published.
#[derive(Debug, Clone, Default)]
pub(super) struct PublishedNumbering {
    pub(super) numbering: Numbering,
    /// The numbering of the last received playlist.
    pub(super) received: Numbering,
    /// The number that is added to the received media sequence numbers.
    pub(super) shift: i64,
    pub(super) splice: Option<Arc<Splice>>,
    /// The mark of URIs that are received without one.
    pub(super) default_mark: Option<Mark>,
}

impl PublishedNumbering {
    /// The published numbering, if the upstream of the last playlist now sends one with the numbering
    /// `received`.
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
    /// The head with which it is published.
    pub(crate) fn head(&self, head: Head) -> Head {
        if self.is_rewritten { Head { headers: conditional::altered(&head.headers), ..head } } else { head }
    }
}

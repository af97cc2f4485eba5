//! Objects that an encoder pushes: in memory, each visible when it is complete, the old one until then.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::Body;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::answer::{Answer, Content, Object, Refusal, etag};
use crate::config;
use crate::objects::{PLAYLIST, type_by_name};

/// The store of pushed objects.
#[derive(Debug)]
pub(crate) struct Shelf {
    stock: Mutex<Stock>,
    config: config::Ingest,
}

#[derive(Debug, Default)]
struct Stock {
    objects: BTreeMap<String, Stored>,
    /// The size of all objects, finished and under way.
    bytes: u64,
}

#[derive(Clone, Debug)]
struct Stored {
    content: Bytes,
    content_type: String,
    etag: String,
    at: Duration,
}

impl Shelf {
    pub(crate) fn new(config: config::Ingest) -> Self {
        Self { stock: Mutex::default(), config }
    }

    /// Receives an upload. It is visible when its last byte has arrived; one that breaks off leaves nothing
    /// behind.
    pub(crate) async fn put<B>(
        &self,
        path: &str,
        content_type: Option<&str>,
        body: B,
        now: Duration,
    ) -> Answer
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let mut upload = Upload { shelf: self, bytes: BytesMut::new(), reserved: 0 };
        if let Err(refusal) = upload.receive(body).await {
            return refusal.into();
        }
        let content = std::mem::take(&mut upload.bytes).freeze();
        let named = type_by_name(path).or(content_type).unwrap_or("application/octet-stream");
        let stored = Stored { etag: etag(&content), content, content_type: named.to_owned(), at: now };
        upload.store(path, stored)
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        let mut stock = self.stock.lock();
        match stock.objects.remove(path) {
            Some(stored) => {
                stock.bytes -= stored.content.len() as u64;
                Answer::bare(StatusCode::NO_CONTENT)
            }
            None => Answer::text(StatusCode::NOT_FOUND, "there is nothing to delete"),
        }
    }

    pub(crate) fn object(&self, path: &str, live: &config::Live) -> Option<Object> {
        let stored = self.stock.lock().objects.get(path).cloned()?;
        let is_playlist = stored.content_type == PLAYLIST;
        let lifetime = if is_playlist { &live.playlist_cache_control } else { &live.segment_cache_control };
        Some(Object {
            cache_control: lifetime.clone(),
            content: Content::Whole(stored.content),
            content_type: stored.content_type,
            etag: Some(stored.etag),
            last_modified: Some(stored.at),
        })
    }
}

/// An upload under way; dropping it releases the space that it has reserved and not stored.
struct Upload<'a> {
    shelf: &'a Shelf,
    bytes: BytesMut,
    reserved: u64,
}

impl Upload<'_> {
    async fn receive<B>(&mut self, mut body: B) -> Result<(), Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let stall = self.shelf.config.stall_timeout;
        loop {
            let stalled = |_elapsed| Refusal::new(StatusCode::REQUEST_TIMEOUT, "the upload has stalled");
            match timeout(stall, body.frame()).await.map_err(stalled)? {
                None => return Ok(()),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.take(&data)?;
                    }
                }
                Some(Err(error)) => {
                    let line = format!("the upload broke off: {error}");
                    return Err(Refusal::new(StatusCode::BAD_REQUEST, line));
                }
            }
        }
    }

    fn take(&mut self, data: &Bytes) -> Result<(), Refusal> {
        let config = &self.shelf.config;
        let length = data.len() as u64;
        if self.reserved + length > config.object_bytes_max {
            let line = format!("the object is too large: at most {} bytes", config.object_bytes_max);
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, line));
        }
        let mut stock = self.shelf.stock.lock();
        if stock.bytes + length > config.total_bytes_max {
            let line = format!("the shelf is full: at most {} bytes in all", config.total_bytes_max);
            return Err(Refusal::new(StatusCode::INSUFFICIENT_STORAGE, line));
        }
        stock.bytes += length;
        self.reserved += length;
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    fn store(mut self, path: &str, stored: Stored) -> Answer {
        let max = self.shelf.config.objects_max;
        let mut stock = self.shelf.stock.lock();
        let is_new = !stock.objects.contains_key(path);
        if is_new && stock.objects.len() as u64 >= max {
            drop(stock);
            let line = format!("the shelf is full: at most {max} objects");
            return Answer::text(StatusCode::INSUFFICIENT_STORAGE, &line);
        }
        self.reserved = 0;
        if let Some(old) = stock.objects.insert(path.to_owned(), stored) {
            stock.bytes -= old.content.len() as u64;
        }
        drop(stock);
        Answer::bare(if is_new { StatusCode::CREATED } else { StatusCode::NO_CONTENT })
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        self.shelf.stock.lock().bytes -= self.reserved;
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    fn shelf() -> Shelf {
        Shelf::new(config::Ingest {
            object_bytes_max: 10,
            total_bytes_max: 25,
            objects_max: 3,
            ..config::Ingest::default()
        })
    }

    async fn put(shelf: &Shelf, path: &str, length: usize) -> u16 {
        let body = Full::new(Bytes::from(vec![1; length]));
        shelf.put(path, None, body, Duration::ZERO).await.status.as_u16()
    }

    #[tokio::test]
    async fn an_uploaded_object_is_read_replaced_and_deleted() {
        let shelf = shelf();
        assert_eq!(put(&shelf, "/ingest/a.m3u8", 3).await, 201);
        assert_eq!(put(&shelf, "/ingest/a.m3u8", 4).await, 204);
        let object = shelf.object("/ingest/a.m3u8", &config::Live::default()).unwrap();
        assert_eq!((object.content.len(), object.cache_control.as_str()), (4, "no-cache"));
        assert_eq!(object.content_type, PLAYLIST);
        assert_eq!(shelf.delete("/ingest/a.m3u8").status, 204);
        assert_eq!(shelf.delete("/ingest/a.m3u8").status, 404);
        assert_eq!(shelf.stock.lock().bytes, 0);
    }

    #[tokio::test]
    async fn the_store_is_bounded_and_a_refused_upload_takes_no_space() {
        let shelf = shelf();
        assert_eq!(put(&shelf, "/ingest/large", 11).await, 413);
        assert_eq!(put(&shelf, "/ingest/1", 10).await, 201);
        assert_eq!(put(&shelf, "/ingest/2", 10).await, 201);
        assert_eq!(put(&shelf, "/ingest/3", 6).await, 507);
        assert_eq!(put(&shelf, "/ingest/3", 5).await, 201);
        assert_eq!(put(&shelf, "/ingest/4", 0).await, 507);
        assert_eq!(shelf.stock.lock().bytes, 25);
    }

    #[tokio::test]
    async fn an_upload_that_breaks_off_leaves_the_old_object() {
        let shelf = shelf();
        put(&shelf, "/ingest/a", 3).await;
        let pieces = [Ok(http_body::Frame::data(Bytes::from_static(b"new"))), Err("gone")];
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(pieces));
        assert_eq!(shelf.put("/ingest/a", None, body, Duration::ZERO).await.status, 400);
        assert_eq!(
            shelf.object("/ingest/a", &config::Live::default()).unwrap().content.slice(0..3),
            [1, 1, 1][..]
        );
        assert_eq!(shelf.stock.lock().bytes, 3);
    }
}

//! A request for a low-latency stream: it is blocked until its object exists, for a limited time.

use std::sync::Arc;

use http::Request;

use crate::answer::{Answer, Refusal};
use crate::faults::effects::Effects;
use crate::low_latency::Progress;
use crate::low_latency::file::{File, Look};
use crate::low_latency::growth::{announce, first_byte};
use crate::low_latency::watch::Watch;
use crate::playlist::low_latency::Report;
use crate::shared::Shared;

/// Responds to GET and HEAD of paths below `/ll/`.
pub(super) async fn answer<B>(
    shared: &Arc<Shared>,
    request: &Request<B>,
    rest: &str,
    effects: &mut Effects,
) -> Result<Answer, Refusal> {
    let file = File::parse(rest)?;
    let directives = file.directives(request.uri().query().unwrap_or_default())?;
    let first_byte = first_byte(request.headers());
    let mut watch = Watch::new(shared, request.uri().path(), file.cut(&shared.config), effects);
    let (progress, view) = watch.until(|progress| file.needs(progress, &directives, first_byte)).await?;

    let reports = &reports(shared, &file);
    let look = Look { config: &shared.config, progress: &progress, view: &view, effects, reports };
    let object = match file.growing(&look, watch) {
        Some(growing) => growing,
        None => file.object(&look, directives.extent)?,
    };
    let mut answer = object.answer(request.method(), request.headers());
    effects.chunked |= announce(&mut answer, request.headers());
    Ok(answer)
}

/// The positions of the other renditions, each with the faults on its own path.
fn reports(shared: &Shared, file: &File) -> Vec<Report> {
    let cut = file.cut(&shared.config);
    let report = |(rendition, path): (&'static str, String)| {
        let mut effects = Effects::default();
        shared.faults.look_again(&path, &mut effects);
        let last = Progress::at(&shared.view(&effects), cut, &shared.config).last();
        Report { rendition, last }
    };
    file.others().into_iter().map(report).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::config::Config;
    use crate::faults::Fault;
    use crate::low_latency::BLOCK_MAX;

    /// A stub whose clock is stopped at the start of a segment, and the number of that segment.
    fn shared() -> (Arc<Shared>, u64) {
        let shared = Arc::new(Shared::new(Config::default()));
        shared.clock.stop();
        let now = shared.clock.now();
        let segment = now.as_secs() / 2 + 1;
        shared.clock.advance(Duration::from_secs(segment * 2).saturating_sub(now));
        (shared, segment)
    }

    async fn get(shared: &Arc<Shared>, file: &str) -> u16 {
        let request = Request::get(format!("/ll/ch1/cmaf/240p/{file}")).body(()).unwrap();
        let rest = request.uri().path().strip_prefix("/ll/").unwrap();
        let mut effects = shared.faults.meet(request.uri().path());
        answer(shared, &request, rest, &mut effects).await.unwrap_or_else(Answer::from).status.as_u16()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_clock_blocks_no_request_forever() {
        let (shared, segment) = shared();
        let start = Instant::now();
        assert_eq!(get(&shared, &format!("index.m3u8?_HLS_msn={segment}")).await, 503);
        assert_eq!(start.elapsed().as_secs(), 6);
        assert_eq!(get(&shared, &format!("{segment}.0.m4s")).await, 503);
        assert_eq!(start.elapsed().as_secs(), 12);
        assert_eq!(*shared.blocked.borrow(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_ends_after_three_target_durations_of_the_origins_clock() {
        let (shared, segment) = shared();
        shared.faults.add(Fault::on("*").frozen(), shared.clock.now()).unwrap();
        let start = Instant::now();
        let path = format!("{segment}.0.m4s");
        let (status, ()) = tokio::join!(get(&shared, &path), async {
            shared.blocked.subscribe().wait_for(|blocked| *blocked == 1).await.unwrap();
            shared.clock.advance(BLOCK_MAX);
        });
        assert_eq!((status, start.elapsed()), (503, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_limited_freeze_lasts_for_the_requests_that_it_hit() {
        let (shared, segment) = shared();
        shared.faults.add(Fault::on("*").frozen().times(1), shared.clock.now()).unwrap();
        shared.clock.advance(Duration::from_secs(1));
        let path = format!("index.m3u8?_HLS_msn={segment}&_HLS_part=0");
        assert_eq!(get(&shared, &path).await, 503);
        assert_eq!(get(&shared, &path).await, 200);
    }
}

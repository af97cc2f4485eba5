use super::*;

const RULES: Rules = Rules {
    consecutive_failures: 5,
    error_rate_excess: 0.25,
    ejection_time: Duration::from_secs(2),
    ejection_time_max: Duration::from_secs(16),
    ejected_share_max: 0.5,
    slow_start: Duration::from_secs(10),
    rise: 2,
    fall: 3,
};

/// The others of a pool that can spare the upstream in question.
fn spared(tally: Tally) -> Others {
    Others { tally, can_spare: true }
}

struct Case(Health, Instant);

impl Case {
    fn new(is_probed: bool) -> Self {
        let now = Instant::now();
        Self(Health::new(RULES, is_probed, now), now)
    }

    fn after(&mut self, millis: u64) -> &mut Self {
        self.1 += Duration::from_millis(millis);
        self.0.advance(self.1);
        self
    }

    fn fails(&mut self, error: UpstreamError) -> Option<Change> {
        self.0.record_failure(error, spared(Tally::default()), 0.0, self.1)
    }

    fn probe(&mut self, result: Result<(), UpstreamError>) -> Option<Change> {
        self.0.record_probe(result, 0.0, self.1)
    }

    fn state(&self) -> State {
        self.0.status().state
    }

    /// The seconds for which it stays out.
    fn out(&mut self) -> u64 {
        for second in 0..100 {
            if self.state() != State::Ejected && self.state() != State::Down {
                return second;
            }
            self.after(1000);
        }
        panic!("out for ever");
    }
}

#[test]
fn consecutive_failures_eject_and_a_good_response_restarts_the_count() {
    let mut case = Case::new(false);
    for _ in 0..4 {
        assert_eq!(case.fails(UpstreamError::Closed), None);
    }
    case.0.record_success(case.1);
    for _ in 0..4 {
        assert_eq!(case.fails(UpstreamError::Closed), None);
    }
    let change = Change { from: State::Up, to: State::Ejected, why: Some(UpstreamError::Closed) };
    assert_eq!(case.fails(UpstreamError::Closed), Some(change));
}

#[test]
fn an_upstream_out_of_reach_is_down_immediately() {
    let mut case = Case::new(false);
    assert_eq!(case.fails(UpstreamError::Refused).map(|change| change.to), Some(State::Down));
}

#[test]
fn each_time_out_is_twice_as_long_up_to_a_bound_and_short_again_after_a_good_while() {
    let mut case = Case::new(false);
    let mut times = Vec::new();
    for _ in 0..5 {
        case.fails(UpstreamError::Refused);
        times.push(case.out());
    }
    assert_eq!(times, [2, 4, 8, 16, 16]);
    case.after(10_000).after(16_000);
    case.fails(UpstreamError::Refused);
    assert_eq!(case.out(), 2);
}

#[test]
fn where_there_are_probes_they_alone_end_being_down() {
    let mut case = Case::new(true);
    case.fails(UpstreamError::Refused);
    assert_eq!(case.after(1_000_000).state(), State::Down);
    assert_eq!(case.probe(Ok(())), None);
    assert_eq!(case.probe(Err(UpstreamError::Refused)), None);
    assert_eq!(case.probe(Ok(())), None);
    assert_eq!(case.probe(Ok(())).map(|change| change.to), Some(State::Returning));
    assert_eq!(case.after(9_000).state(), State::Returning);
    assert_eq!(case.after(1_000).state(), State::Up);
}

#[test]
fn probes_do_not_end_an_ejection() {
    let mut case = Case::new(true);
    for _ in 0..5 {
        case.fails(UpstreamError::Closed);
    }
    for _ in 0..5 {
        assert_eq!(case.probe(Ok(())), None);
    }
    assert_eq!(case.out(), 2);
}

#[test]
fn failed_probes_in_a_row_make_down() {
    let mut case = Case::new(true);
    for result in
        [Err(UpstreamError::Refused), Err(UpstreamError::Refused), Ok(()), Err(UpstreamError::Refused)]
    {
        assert_eq!(case.probe(result), None);
    }
    assert_eq!(case.probe(Err(UpstreamError::Refused)), None);
    assert_eq!(case.probe(Err(UpstreamError::Refused)).map(|change| change.to), Some(State::Down));
}

#[test]
fn closed_probes_of_a_server_that_serves_are_no_failures() {
    let mut case = Case::new(true);
    case.0.record_success(case.1);
    for _ in 0..5 {
        assert_eq!(case.probe(Err(UpstreamError::Closed)), None);
    }
    for error in [UpstreamError::Refused, UpstreamError::FirstByteTimeout] {
        assert_eq!(case.probe(Err(error)), None);
    }
    assert_eq!(case.probe(Err(UpstreamError::Refused)).map(|change| change.to), Some(State::Down));
    assert!(!case.0.accepts_connections());

    let mut idle = Case::new(true);
    idle.0.record_success(idle.1);
    idle.after(60_000);
    for _ in 0..2 {
        assert_eq!(idle.probe(Err(UpstreamError::Closed)), None);
    }
    assert_eq!(idle.probe(Err(UpstreamError::Closed)).map(|change| change.to), Some(State::Down));
    assert!(idle.0.accepts_connections());
}

#[test]
fn an_answer_from_one_that_is_down_brings_it_back() {
    let mut case = Case::new(true);
    case.fails(UpstreamError::Refused);
    assert_eq!(case.0.record_first_byte(case.1, case.1).map(|change| change.to), Some(State::Returning));
}

#[test]
fn a_share_of_failures_ejects_that_the_peers_do_not_have() {
    let run = |others: Tally| {
        let mut case = Case::new(false);
        let mut ejected_after = None;
        for request in 0..100 {
            let change = if request % 3 == 0 {
                case.0.record_failure(UpstreamError::Closed, spared(others), 0.0, case.1)
            } else {
                case.0.record_success(case.1);
                None
            };
            if change.is_some() {
                ejected_after.get_or_insert(request);
            }
        }
        ejected_after
    };
    assert_eq!(run(Tally { good: 100, bad: 0 }), Some(21), "the first failure beyond the least volume");
    assert_eq!(run(Tally { good: 66, bad: 33 }), None);
}

#[test]
fn a_reported_failure_counts_only_beside_the_peers() {
    let ejected_after = |others: Tally| {
        let mut case = Case::new(false);
        (0..100).find(|_| {
            case.0.record_reported_failure(UpstreamError::Closed, spared(others), 0.0, case.1).is_some()
        })
    };
    assert_eq!(ejected_after(Tally { good: 0, bad: 100 }), None, "all report the same");
    assert_eq!(
        ejected_after(Tally { good: 19, bad: 0 }),
        None,
        "it is unknown whether the others are better"
    );
    assert_eq!(ejected_after(Tally { good: 20, bad: 0 }), Some(19), "its own path is cut");
}

#[test]
fn a_failure_while_returning_restarts_the_slow_start() {
    let mut case = Case::new(false);
    case.fails(UpstreamError::Refused);
    case.after(2_000).after(9_000).fails(UpstreamError::Closed);
    assert_eq!(case.after(9_000).state(), State::Returning);
    assert_eq!(case.after(1_000).state(), State::Up);
}

#[test]
fn old_failures_are_forgotten() {
    let mut case = Case::new(false);
    for _ in 0..4 {
        case.fails(UpstreamError::Closed);
    }
    assert_eq!(case.0.tally(case.1), Tally { good: 0, bad: 4 });
    case.after(11_000);
    assert_eq!(case.0.tally(case.1).bad, 4);
    case.after(11_000);
    assert_eq!(case.0.tally(case.1).bad, 0);
}

#[test]
fn a_pool_that_cannot_do_without_it_keeps_it() {
    let mut case = Case::new(false);
    let needed = Others { tally: Tally::default(), can_spare: false };
    for _ in 0..50 {
        assert_eq!(case.0.record_failure(UpstreamError::Closed, needed, 0.0, case.1), None);
    }
}

#[test]
fn the_share_grows_while_it_returns() {
    let mut case = Case::new(false);
    case.fails(UpstreamError::Refused);
    assert!(case.0.share(case.1) < f64::EPSILON);
    case.after(2_000);
    let shares: Vec<_> = (0..3).map(|_| (case.0.share(case.1), case.after(4_000).1).0).collect();
    assert_eq!(shares, [0.1, 0.4, 0.8]);
    case.after(0);
    assert!((case.0.share(case.1) - 1.0).abs() < f64::EPSILON);
}

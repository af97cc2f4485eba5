//! The use of limits by address or by token: a table with a bounded number of entries.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::usage::Usage;

/// Users with their use, in shards that are locked one by one.
#[derive(Debug)]
pub(super) struct Table<K> {
    shards: Box<[Mutex<Shard<K>>]>,
    shard_max: usize,
    hasher: ahash::RandomState,
}

type Shard<K> = HashMap<K, Arc<Usage>, ahash::RandomState>;

impl<K: Copy + Eq + Hash> Table<K> {
    /// A table that remembers `users_max` users, or somewhat fewer.
    pub(super) fn new(users_max: usize) -> Self {
        let shards = std::iter::repeat_with(Mutex::default).take(SHARDS).collect();
        Self { shards, shard_max: users_max.div_ceil(SHARDS), hasher: ahash::RandomState::new() }
    }

    /// The use by a user. When the table is full, an idle one makes room; if none is idle, any other one that
    /// has no open connection. If all have one, this one is not remembered.
    pub(super) fn usage(&self, user: K, now: Duration) -> Arc<Usage> {
        let index = self.hasher.hash_one(user) % SHARDS as u64;
        let shard = usize::try_from(index).ok().and_then(|index| self.shards.get(index));
        let Some(shard) = shard else { return Arc::default() };
        let mut shard = shard.lock();
        if let Some(usage) = shard.get(&user) {
            return Arc::clone(usage);
        }
        if shard.len() >= self.shard_max {
            tidy(&mut shard, now);
        }
        if shard.len() >= self.shard_max {
            let unused = shard.iter().find(|(_, usage)| Arc::strong_count(usage) == 1);
            let unused = unused.map(|(user, _)| *user);
            match unused {
                Some(unused) => _ = shard.remove(&unused),
                None => return Arc::default(),
            }
        }
        Arc::clone(shard.entry(user).or_default())
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Forgets the idle users.
    pub(super) fn tidy(&self, now: Duration) {
        for shard in &self.shards {
            tidy(&mut shard.lock(), now);
        }
    }
}

fn tidy<K: Eq + Hash>(shard: &mut Shard<K>, now: Duration) {
    shard.retain(|_, usage| Arc::strong_count(usage) > 1 || !usage.is_idle(now));
}

const SHARDS: usize = 64;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn the_table_is_bounded() {
        let table = Table::new(128);
        for number in 0..10_000_u32 {
            let _usage = table.usage(IpAddr::from(number.to_be_bytes()), Duration::ZERO);
        }
        assert!(table.len() <= 128);
        let held: Vec<_> = (0..10_000_u32)
            .map(|number| table.usage(IpAddr::from(number.to_be_bytes()), Duration::ZERO))
            .collect();
        assert!(table.len() <= 128 && held.len() == 10_000);
        assert!(Arc::ptr_eq(&table.usage([0, 0, 0, 0].into(), Duration::ZERO), &held[0]));
    }
}
